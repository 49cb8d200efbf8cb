"""Log-sums in tiles against the matrix of products, at every temperature."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from semblance.objectives.log_sums import between, within

TEMPERATURES = (0.5, 0.1, 0.02, 0.004, 0.0005)
BOUNDS = pytest.mark.parametrize("bounded", [True, False])
TILES = pytest.mark.parametrize("tile", [16, 50, 512])


def directions(count: int, temperature: float, seed: int = 0, width: int = 8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z = F.normalize(torch.randn(count, width, generator=generator, dtype=dtype), dim=1)
    return (z * temperature**-0.5).requires_grad_()


def weights(count: int, dtype=torch.float64):
    return torch.randn(count, generator=torch.Generator().manual_seed(9), dtype=dtype)


@BOUNDS
@TILES
@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_one_set_is_the_matrix_and_its_gradient(temperature, itself, tile, bounded):
    a = directions(70, temperature)
    scores = a @ a.T
    if not itself:
        scores = scores.masked_fill(torch.eye(70, dtype=torch.bool), -torch.inf)
    plain = scores.logsumexp(1)
    ours = within(a, itself=itself, bound=1 / temperature if bounded else None, tile=tile)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=0)
    expected, got = (torch.autograd.grad((value * weights(70)).sum(), a)[0] for value in (plain, ours))
    assert (got - expected).norm() <= 1e-12 * expected.norm()


@BOUNDS
@TILES
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_two_sets_are_the_rows_and_the_columns_of_one_matrix(temperature, tile, bounded):
    a, b = directions(70, temperature), directions(43, temperature, seed=1)
    scores = a @ b.T
    plain = scores.logsumexp(1), scores.logsumexp(0)
    ours = between(a, b, bound=1 / temperature if bounded else None, tile=tile)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
    expected, got = (
        torch.autograd.grad((rows * weights(70)).sum() + (columns * weights(43)).sum(), (a, b))
        for rows, columns in (plain, ours)
    )
    for one, other in zip(got, expected, strict=True):
        assert (one - other).norm() <= 1e-12 * other.norm()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_float32_is_as_near_to_the_truth_as_the_matrix_is(temperature):
    a = directions(200, temperature, dtype=torch.float32)
    wide = a.detach().double().requires_grad_()

    def of_matrix(z):
        return (z @ z.T).masked_fill(torch.eye(200, dtype=torch.bool), -torch.inf).logsumexp(1)

    truth = torch.autograd.grad(of_matrix(wide).mean(), wide)[0]
    plain = torch.autograd.grad(of_matrix(a).mean(), a)[0]
    ours = torch.autograd.grad(within(a, bound=1 / temperature, tile=64).mean(), a)[0]
    errors = [float((one.double() - truth).norm() / truth.norm()) for one in (ours, plain)]
    assert errors[0] < 3 * errors[1] + 2e-7


def test_a_row_far_from_all_others_falls_back_to_its_own_maximum():
    """At a temperature of 0.002 opposite directions differ by 1,000: no shift common to all rows keeps both in range."""
    z = torch.zeros(6, 3)
    z[:, 0], z[0, 0] = 1, -1
    z[1:, 1] = torch.linspace(0, 0.01, 5)
    a = (F.normalize(z, dim=1) * 0.002**-0.5).requires_grad_()
    sums = within(a, bound=500.0)
    scores = (a @ a.T).masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(sums, scores.logsumexp(1))
    assert sums[0] < -490 and sums.isfinite().all()
    assert torch.autograd.grad(sums.sum(), a)[0].isfinite().all()


def test_low_products_err_by_their_rounding_alone():
    a = directions(600, 0.1, width=64, dtype=torch.float32)
    full, low = (within(a, bound=10.0, low=kind) for kind in (None, torch.bfloat16))
    assert 0 < (full - low).abs().max() < 0.02
    one, other = (torch.autograd.grad(value.mean(), a)[0] for value in (full, low))
    assert (one - other).norm() < 0.02 * one.norm()


def test_two_passes_before_a_gradient_do_not_disturb_each_other():
    a, b = directions(40, 0.1), directions(40, 0.1, seed=2)
    alone = [torch.autograd.grad(within(z, bound=10.0, tile=16).mean(), z)[0] for z in (a, b)]
    first, second = within(a, bound=10.0, tile=16).mean(), within(b, bound=10.0, tile=16).mean()
    together = torch.autograd.grad(first + second, (a, b))
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one, other)
