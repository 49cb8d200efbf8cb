"""Translation without pairs: what the loss says of the true map, and that runs do not meddle with one another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from semblance.errors import SemblanceError
from semblance.learning.parts import torch_chance
from semblance.memory import unpaired
from semblance.memory.side_by_side import clipped
from semblance.memory.unpaired import Passed, Plan, Terms, Translators, kept_terms, learn_unpaired

SMALL = Plan(width=16, hidden=16, backbone=1, steps=6, batch=32)


def clusters(n: int, seed: int, dim: int = 6) -> np.ndarray:
    """Directions around four centres of unequal share."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(4, dim))
    z = centres[rng.choice(4, n, p=[0.1, 0.2, 0.3, 0.4])] + 0.3 * rng.normal(size=(n, dim))
    return np.asarray(z / np.linalg.norm(z, axis=1, keepdims=True), np.float32)


X, Y = clusters(200, 1), clusters(220, 2)


def turned_pass() -> Passed:
    """A pass of the true map: y is x turned, and translations turn there and back."""
    x = F.normalize(torch.randn(1, 30, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=2)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    y = x @ turn
    return Passed([x, y], [x, x], [y, x], [x, y], [x, y])


def test_the_true_map_onto_a_turned_space_loses_nothing() -> None:
    for value in kept_terms(turned_pass()).values():
        assert float(value) < 1e-20


@pytest.mark.parametrize("name", ["over", "back", "again"])
def test_a_pass_that_is_off_loses_something(name: str) -> None:
    seen = turned_pass()
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64))[0]
    bent = F.normalize(getattr(seen, name)[0] * torch.tensor([2.0, 1, 1, 1, 1, 1], dtype=torch.float64), dim=2)
    getattr(seen, name)[0] = bent @ turn
    wrong = {key for key, value in kept_terms(seen).items() if float(value) > 1e-4}
    assert wrong == {"over": {"preservation"}, "back": {"cycle", "preservation"}, "again": {"reconstruction"}}[name]


def test_cosines_are_compared_pair_by_pair() -> None:
    chance = torch.Generator().manual_seed(0)
    x, y = (F.normalize(torch.randn(2, 5, d, generator=chance, dtype=torch.float64), dim=2) for d in (3, 4))
    slow = [
        np.mean([float(x[r, i] @ x[r, j] - y[r, i] @ y[r, j]) ** 2 for i in range(5) for j in range(5)]) for r in (0, 1)
    ]
    torch.testing.assert_close(unpaired.preservation(x, y), torch.tensor(slow, dtype=torch.float64))


def test_the_energy_distance_is_zero_for_the_same_sample_and_grows_with_the_gap() -> None:
    x = torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(0))
    far = [float(unpaired.energy(x, x + gap)) for gap in (0.0, 0.5, 2.0)]
    assert abs(far[0]) < 1e-5 < far[1] < far[2]


def test_a_run_is_the_same_alone_and_beside_others() -> None:
    together, wrong = learn_unpaired(X, Y, SMALL, seeds=(3, 4))
    alone, one = learn_unpaired(X, Y, SMALL, seeds=(4,))
    x = torch.from_numpy(X[:9])
    torch.testing.assert_close(together[1](x), alone[0](x), atol=2e-4, rtol=0)
    assert wrong[1] == pytest.approx(one[0], abs=1e-3)
    assert float((together[0](x) - together[1](x)).abs().max()) > 0.01


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (learn_unpaired(X, Y, SMALL, seeds=(5,))[0][0] for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_of_several_starts_the_one_of_the_least_mismatch_goes_on() -> None:
    few = Plan(**{**vars(SMALL), "starts": 3, "scouting": 4, "steps": 4})
    kept, wrong = learn_unpaired(X, Y, few, seeds=(3, 4))
    sides = [torch.from_numpy(X), torch.from_numpy(Y)]
    for seed, translator, least in zip((3, 4), kept, wrong, strict=True):
        runs = unpaired._Runs((6, 6), few, [(seed, start) for start in range(3)], [Terms()] * 3)
        for _ in range(4):
            runs.step(sides, few.lr)
        every = unpaired.mismatch(runs.net, sides)
        assert least == pytest.approx(min(every), abs=1e-3) and max(every) > min(every)
        best = unpaired.Translator.of(runs.net, int(np.argmin(every)), (6, 6), few)
        torch.testing.assert_close(translator(sides[0]), best(sides[0]), atol=1e-3, rtol=0)
    with pytest.raises(SemblanceError, match="7 of 6 steps"):
        learn_unpaired(X, Y, Plan(**{**vars(SMALL), "starts": 2, "scouting": 7}))


def test_a_term_of_weight_zero_has_no_say() -> None:
    off = Terms(adversarial=0.0, latent=0.0)
    found, _ = learn_unpaired(X, Y, SMALL, [Terms(), off], seeds=(6, 6))
    same, _ = learn_unpaired(X, Y, SMALL, [off, off], seeds=(6, 6))
    torch.testing.assert_close(found[1](torch.from_numpy(X)), same[0](torch.from_numpy(X)), atol=2e-4, rtol=0)
    assert float((found[0](torch.from_numpy(X)) - found[1](torch.from_numpy(X))).abs().max()) > 1e-3


def test_the_gradient_of_each_run_is_clipped_by_its_own_norm() -> None:
    p = torch.nn.Parameter(torch.zeros(2, 3, 1))
    p.grad = torch.tensor([[[3.0], [4.0], [0.0]], [[0.3], [0.0], [0.4]]])
    clipped([p])
    torch.testing.assert_close(p.grad[0, :, 0], torch.tensor([0.6, 0.8, 0.0]))
    torch.testing.assert_close(p.grad[1, :, 0], torch.tensor([0.3, 0.0, 0.4]))


def test_some_steps_bring_translations_nearer_to_their_cycle_and_to_the_other_side() -> None:
    plan = Plan(width=16, hidden=32, backbone=1, steps=120, batch=64)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0].astype(np.float32)
    _, wrong = learn_unpaired(X, Y @ turn, plan, seeds=(0,))
    start = Translators((6, 6), plan, [torch_chance(0, 0, 0)])
    before = unpaired.mismatch(start, [torch.from_numpy(X), torch.from_numpy(Y @ turn)])
    assert wrong[0] < 0.6 * before[0]


def test_widths_may_differ_and_outputs_are_directions() -> None:
    found, _ = learn_unpaired(X, clusters(100, 5, dim=9), SMALL, seeds=(0,))
    over, back = found[0](torch.from_numpy(X)), found[0](torch.zeros(0, 9), 1)
    assert over.shape == (200, 9) and back.shape == (0, 6)
    torch.testing.assert_close(over.norm(dim=1), torch.ones(200))


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(SemblanceError, match="first vectors hold NaN"):
        learn_unpaired(np.full((8, 3), np.nan), Y, SMALL)
    with pytest.raises(SemblanceError, match=r"second vectors have the shape \[7\]"):
        learn_unpaired(X, np.zeros(7), SMALL)
    with pytest.raises(SemblanceError, match="1 seeds and 2 sets"):
        learn_unpaired(X, Y, SMALL, [Terms(), Terms()], seeds=(0,))
