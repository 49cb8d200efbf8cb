"""Points that items own: always one each, dealt as well as can be."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.targets import NoiseTargets


class AsItIs(nn.Module):
    def embed(self, batch):
        return batch["x"]


def an_objective(units: int = 40, dim: int = 6, seed: int = 0, **how) -> NoiseTargets:
    torch.manual_seed(seed)
    return NoiseTargets(units, dim, **how)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(["sphere", "corners", "discrete", "one"]))
def test_owners_stay_a_bijection_and_no_deal_raises_the_batchs_loss(seed, points):
    objective = an_objective(seed=seed, points=points)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(5):
        index = torch.randperm(40, generator=generator)[:16]
        z = F.normalize(torch.randn(16, 6, generator=generator), dim=1)
        before = (z * objective.points[objective.owner[index]]).sum()
        objective.deal(z, index)
        assert (z * objective.points[objective.owner[index]]).sum() >= before - 1e-5
        assert torch.equal(objective.owner.sort().values, torch.arange(40))


@pytest.mark.parametrize("seed", range(20))
def test_seven_points_are_dealt_as_brute_force_deals_them(seed):
    objective = an_objective(7, 3, seed)
    z = F.normalize(torch.randn(7, 3), dim=1)
    points = objective.points
    best = max(sum(float(z[i] @ points[p[i]]) for i in range(7)) for p in itertools.permutations(range(7)))
    objective.deal(z, torch.arange(7))
    assert float((z * points[objective.owner]).sum()) == pytest.approx(best, abs=1e-5)


def test_the_loss_is_two_less_twice_the_cosine_and_knows_no_length():
    objective = an_objective(every=0)
    x = torch.randn(8, 6, requires_grad=True)
    batch = {"x": x, "index": torch.arange(8)}
    loss, told = objective(AsItIs(), batch)
    target = objective.points[objective.owner[:8]]
    torch.testing.assert_close(loss, (F.normalize(x, dim=1) - target).square().sum(1).mean())
    torch.testing.assert_close(objective(AsItIs(), {**batch, "x": 5 * x})[0], loss)
    assert told["moved"] == 0 and objective.visits.sum() == 0


def test_points_are_dealt_every_so_many_epochs_and_never_when_only_asked():
    objective = an_objective(every=3)
    batch = {"x": torch.randn(40, 6), "index": torch.arange(40)}
    moved = [objective(AsItIs(), {**batch, "x": torch.randn(40, 6)})[1]["moved"] > 0 for _ in range(6)]
    assert moved == [True, False, False, True, False, False]
    owner = objective.owner.clone()
    objective.eval()
    objective(AsItIs(), batch)
    assert torch.equal(owner, objective.owner)


def test_an_item_that_comes_twice_owns_one_point_all_the_same():
    objective = an_objective()
    index = torch.tensor([3, 5, 3, 7])
    objective.deal(F.normalize(torch.randn(4, 6), dim=1), index)
    assert torch.equal(objective.owner.sort().values, torch.arange(40))


def test_discrete_points_are_as_frequent_as_each_other_and_one_is_one():
    assert an_objective(points="discrete", codes=4).points.unique(dim=0, return_counts=True)[1].tolist() == [10] * 4
    assert len(an_objective(points="one").points.unique(dim=0)) == 1


@pytest.mark.parametrize(("how", "words"), [({"points": "cube"}, "kind of points"), ({"every": -1}, "every is -1")])
def test_settings_that_make_no_sense_are_refused(how, words):
    with pytest.raises(SemblanceError, match=words):
        an_objective(**how)
