"""Latent dynamics: orbits of maps whose resting places are known, and of an autoencoder that has learned items by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp

from semblance.analysis import latent_dynamics as room
from semblance.analysis.autoencoder import fit_autoencoder
from semblance.analysis.latent_dynamics import (
    attractors,
    latent_dynamics,
    linear_denoiser,
    novelty,
    orbits,
    pursuit,
    spectral_radius,
)
from semblance.errors import SemblanceError
from semblance.testing import check_report


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def contracting(rho: float, turns: bool = False, dim: int = 6) -> torch.Tensor:
    """A matrix whose largest eigenvalue, or complex pair, has this absolute value."""
    basis, core = drawn(dim, dim, seed=1), torch.linspace(0.05, 0.3, dim, dtype=torch.float64).diag()
    core[0, 0] = rho
    if turns:
        core[:2, :2] = rho * torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    return basis @ core @ torch.linalg.inv(basis)


@pytest.mark.parametrize("turns", [False, True])
def test_an_affine_map_has_one_attractor_whose_rho_is_the_rate_at_which_orbits_come_in(turns):
    a, b = contracting(0.8, turns), drawn(6)
    found = orbits(lambda z: z @ a.T + b, drawn(20, 6, seed=2))
    ends = attractors(found)
    assert bool(found.rests.all()) and list(ends.basin) == [20]
    torch.testing.assert_close(ends.points[0], torch.linalg.solve(torch.eye(6).double() - a, b), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(spectral_radius(lambda z: z @ a.T + b, ends.points), torch.tensor([0.8]).double())
    assert float((found.late.median() - 0.8).abs()) < 0.03


@pytest.mark.parametrize("turns", [False, True])
def test_power_iteration_gives_the_radius_of_the_eigenvalues(turns, monkeypatch):
    a, z = contracting(0.7, turns), drawn(3, 6)

    def step(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ a.T)

    exact = spectral_radius(step, z)
    monkeypatch.setattr(room, "EXACT", 0)
    torch.testing.assert_close(spectral_radius(step, z, rounds=1000), exact, rtol=0.02, atol=0)


def test_every_well_of_a_map_is_an_attractor_with_its_basin():
    z = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None] + 0.01
    found = orbits(lambda z: torch.tanh(3 * z), z)
    ends = attractors(found)
    assert list(ends.basin) == [21, 20] and ends.points[0] > 0.9 and ends.points[1] < -0.9
    assert torch.equal(ends.of == 0, z[:, 0] > 0)
    assert spectral_radius(lambda z: torch.tanh(3 * z), torch.zeros(1, 1).double()) == 3  # between them it repels


def test_first_lengths_are_those_of_the_first_steps():
    found = orbits(lambda z: z / 2, torch.tensor([[8.0], [-4.0]]).double())
    torch.testing.assert_close(found.lengths, torch.tensor([[4.0, 2, 1], [2, 1, 0.5]]).double())


def test_orbits_that_run_away_or_never_rest_are_told():
    with pytest.raises(SemblanceError, match="2 of 3 orbits are infinite"):
        orbits(lambda z: z**3, torch.tensor([[2.0], [0.5], [-2.0]]).double())
    turn = torch.tensor([[0.0, -1], [1, 0]]).double()
    found = orbits(lambda z: z @ turn, drawn(4, 2), most=50)
    assert not found.rests.any() and set(found.steps.tolist()) == {50}
    with pytest.raises(SemblanceError, match="none of 4 orbits rests"):
        attractors(found)


def test_the_linear_denoiser_moves_along_the_score_of_the_noisy_density():
    covariance, noise = drawn(5, 5) @ drawn(5, 5).T, 0.3
    map_ = linear_denoiser(covariance, noise)
    z = drawn(30, 5, seed=3).requires_grad_()
    noisy = torch.distributions.MultivariateNormal(
        torch.zeros(5).double(), covariance + noise * torch.eye(5, dtype=torch.float64)
    )
    (score,) = torch.autograd.grad(noisy.log_prob(z).sum(), z)
    field = z @ map_.T - z
    torch.testing.assert_close(field, noise * score, rtol=0, atol=1e-10)
    assert not torch.allclose(field, 2 * noise * score)
    with pytest.raises(SemblanceError, match="variance of the noise is 0"):
        linear_denoiser(covariance, 0.0)


def test_the_denoiser_is_the_one_that_regression_finds():
    x = drawn(200_000, 3) @ drawn(3, 3, seed=5)
    noisy = x + 0.5**0.5 * drawn(200_000, 3, seed=6)
    fitted = torch.linalg.lstsq(noisy, x).solution.T
    torch.testing.assert_close(linear_denoiser(x.T.cov(), 0.5), fitted, rtol=0, atol=0.02)


@pytest.mark.parametrize("count", [1, 4])
def test_pursuit_is_orthogonal_matching_pursuit(count):
    atoms, x = drawn(12, 8), drawn(5, 8, seed=1)
    units = atoms / atoms.norm(dim=1, keepdim=True)
    weight = orthogonal_mp(units.T.numpy(), x.T.numpy(), n_nonzero_coefs=count)
    torch.testing.assert_close(pursuit(atoms, x, count), torch.from_numpy((units.T.numpy() @ weight).T))
    with pytest.raises(SemblanceError, match="13 atoms"):
        pursuit(atoms, x, 13)


def test_what_is_made_of_few_atoms_is_written_in_them():
    atoms = torch.linalg.qr(drawn(20, 20))[0]
    x = drawn(6, 3) @ atoms[:3]
    torch.testing.assert_close(pursuit(atoms, x, 3), x)
    assert (pursuit(atoms, x, 2) - x).norm() > 1e-3


def test_what_is_off_the_learned_kind_has_the_longer_path():
    plane = torch.diag(torch.tensor([1.0, 1, 0, 0])).double()
    map_ = linear_denoiser(plane, 0.1)
    inside, outside = drawn(50, 4) @ plane, drawn(50, 4)
    known = attractors(orbits(lambda z: z @ map_.T, inside, most=5000)).points
    scores = {
        key: novelty(lambda z: z @ map_.T, side, known, most=600) for key, side in (("in", inside), ("out", outside))
    }
    for name in ("path", "field", "attractor"):
        assert scores["out"][name].mean() > scores["in"][name].mean()
    assert (scores["out"]["path"].mean() / scores["in"]["path"].mean()) > 3


def test_few_items_are_learned_by_heart_and_every_orbit_ends_at_one_of_them():
    x = torch.rand(5, 30, generator=torch.Generator().manual_seed(0)).round()
    net = fit_autoencoder(x, code=4, hidden=64, noise=0.2, steps=500, batch=32, lr=3e-3).double()
    asked = torch.rand(100, 30, generator=torch.Generator().manual_seed(1)).double()
    found = latent_dynamics(net.encode, net.decode, asked, x.double())
    assert found.like.min() > 0.97 and len(found.rho) <= 5
    assert (found.rho < 1).all() and found.basin.sum() == pytest.approx(found.rests / 100)
    assert "like a known item" in str(found) and found.to_dict()["attractors"][0]["basin"] == found.basin.max()
    check_report(found)
    check_report(latent_dynamics(net.encode, net.decode, asked))


def test_rows_that_are_no_pictures_are_standardised_and_left_unbounded():
    x = (10 + 100 * np.random.default_rng(0).normal(size=(64, 3)) @ np.ones((3, 8))).astype(np.float32)
    net = fit_autoencoder(torch.from_numpy(x), code=3, hidden=32, noise=0.05, steps=400, lr=5e-3)
    assert not net.bounded
    with torch.no_grad():
        back = net.decode(net.encode(torch.from_numpy(x))).numpy()
    assert ((back - x) ** 2).mean() < 0.1 * x.var()
    with pytest.raises(SemblanceError, match="finite rows"):
        fit_autoencoder(torch.full((3, 2), torch.nan))


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    x = torch.rand(20, 6)
    before = torch.get_rng_state()
    one, two, other = (fit_autoencoder(x, code=2, hidden=8, steps=5, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.encode(x), two.encode(x)) and not torch.equal(one.encode(x), other.encode(x))
