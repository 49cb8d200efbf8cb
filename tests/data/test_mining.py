"""Mining against plain loops over items, and in the objective and recipe that use it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.mining import NEGATIVES, POSITIVES, Mining
from semblance.errors import SemblanceError
from semblance.objectives.triplets import Triplets, hinge, squared
from semblance.recipes.triplets import triplet_network

LABELS = torch.tensor([0, 1, 0, 2, 1, -1, 0, 2, 3, 1, 0, -1, 2])


def points(seed: int = 0, n: int = len(LABELS), d: int = 2) -> torch.Tensor:
    return torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distances(seed: int = 0) -> torch.Tensor:
    return torch.cdist(points(seed), points(seed)).square()


def by_loops(d, labels, negatives, positives, margin, active=False):
    """The rules, item by item: for every pair the set of negatives that the rule may give."""
    found = []
    for i in range(len(labels)):
        same = [j for j in range(len(labels)) if j != i and labels[i] >= 0 and labels[j] == labels[i]]
        other = [n for n in range(len(labels)) if labels[i] >= 0 and labels[n] >= 0 and labels[n] != labels[i]]
        if not same or not other:
            continue
        if positives == "hardest":
            same = [max(same, key=lambda j: d[i, j])]
        for j in same:
            chosen = other
            if negatives == "hardest":
                chosen = [min(other, key=lambda n: d[i, n])]
            if negatives == "semi-hard":
                beyond = [n for n in other if d[i, j] < d[i, n] < d[i, j] + margin]
                inside = [n for n in other if d[i, n] <= d[i, j]]
                chosen = [min(beyond, key=lambda n: d[i, n])] if beyond else sorted(inside, key=lambda n: d[i, n])[-1:]
            found += [(i, j, n) for n in chosen if not active or d[i, n] < d[i, j] + margin]
    return found


def triples(mining, d, labels, seed=0):
    return [tuple(t) for t in torch.stack(mining(d, labels, torch.Generator().manual_seed(seed)), 1).tolist()]


@given(
    st.integers(0, 10_000),
    st.sampled_from(["all", "hardest", "semi-hard"]),
    st.sampled_from(["all", "hardest"]),
    st.booleans(),
    st.floats(0.01, 1.0),
)
def test_every_rule_finds_the_triples_of_the_plain_loops(seed, negatives, positives, active, margin):
    d = distances(seed)
    mining = Mining(negatives, positives, margin, active)
    assert sorted(triples(mining, d, LABELS)) == sorted(by_loops(d, LABELS, negatives, positives, margin, active))


def test_the_comparison_with_the_loops_can_fail():
    d = distances()
    found = triples(Mining("semi-hard", margin=0.2), d, LABELS)
    assert sorted(found) != sorted(by_loops(d, LABELS, "hardest", "all", 0.2))


@pytest.mark.parametrize("positives", POSITIVES)
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_a_positive_has_the_anchors_label_and_a_negative_has_another(negatives, positives):
    for anchor, positive, negative in triples(Mining(negatives, positives, 0.5), distances(), LABELS):
        assert anchor != positive and LABELS[anchor] == LABELS[positive] != LABELS[negative]
        assert LABELS[anchor] >= 0 and LABELS[negative] >= 0


def test_random_negatives_are_uniform_over_the_items_of_other_labels():
    labels = torch.tensor([0, 0, 1, 1, 2])
    d = torch.rand(5, 5, generator=torch.Generator().manual_seed(1))
    drawn = [n for seed in range(1500) for i, _, n in triples(Mining("random"), d, labels, seed) if i == 0]
    count = np.bincount(drawn, minlength=5)
    assert count[:2].sum() == 0
    assert np.abs(count[2:] / len(drawn) - 1 / 3).max() < 0.04


def test_random_positives_give_each_anchor_one_of_its_own():
    labels = torch.tensor([0, 0, 0, 1, 1])
    d = torch.rand(5, 5, generator=torch.Generator().manual_seed(1))
    drawn = [triples(Mining("hardest", "random"), d, labels, seed) for seed in range(300)]
    assert {len(t) for t in drawn} == {5}
    share = np.mean([t[0][1] == 1 for t in drawn])
    assert 0.4 < share < 0.6


def test_the_same_generator_draws_the_same_triples():
    d = distances()
    mining = Mining("random", "random")
    assert triples(mining, d, LABELS, 3) == triples(mining, d, LABELS, 3) != triples(mining, d, LABELS, 4)


def test_no_batch_without_a_positive_and_a_negative_goes_through():
    d = torch.zeros(3, 3)
    for labels in ([0, 1, 2], [0, 0, 0], [-1, -1, 0]):
        with pytest.raises(SemblanceError, match="batch of 3 items"):
            Mining()(d, torch.tensor(labels))
    with pytest.raises(SemblanceError, match="did you mean semi-hard"):
        Mining("semihard")
    with pytest.raises(SemblanceError, match="did you mean hardest"):
        Mining(positives="hard")
    with pytest.raises(SemblanceError, match="margin is 0"):
        Mining(margin=0)


class Plain(nn.Module):
    """The items themselves."""

    def embed(self, batch):
        return batch["x"]


def test_the_objective_is_the_mean_over_the_mined_triples_and_its_gradient_is_finite():
    x = points().requires_grad_()
    mining = Mining("all", active=True)
    loss, metrics = Triplets(hinge, squared, mining=mining)(Plain(), {"x": x, "labels": LABELS})
    found, y = by_loops(distances(), LABELS, "all", "all", 0.2, True), points()
    each = [max(0.0, 0.2 + float(((y[i] - y[j]) ** 2).sum() - ((y[i] - y[n]) ** 2).sum())) for i, j, n in found]
    assert loss.item() == pytest.approx(np.mean(each))
    assert metrics["triples"] == len(found)
    (gradient,) = torch.autograd.grad(loss, x)
    assert torch.isfinite(gradient).all() and float(gradient.abs().sum()) > 0
    assert float(gradient[LABELS < 0].abs().sum()) == 0


def test_where_all_are_apart_by_the_margin_the_loss_is_zero():
    x = torch.tensor([[0.0], [0.0], [9.0], [9.0]], requires_grad=True)
    loss, metrics = Triplets(hinge, mining=Mining("semi-hard"))(Plain(), {"x": x, "labels": torch.tensor([0, 0, 1, 1])})
    assert loss.item() == 0 and metrics == {"loss": 0.0, "ordered": 1.0, "triples": 0.0}
    assert float(torch.autograd.grad(loss, x)[0].abs().sum()) == 0


def test_without_labels_the_views_of_an_item_are_alike():
    views = [points(seed, 6, 3) for seed in (0, 1)]
    mining = Mining("hardest", "hardest")
    loss, _ = Triplets(mining=mining, from_views=True)(Plain(), {"views": [{"x": view} for view in views]})
    alike = {"x": torch.cat(views), "labels": torch.arange(6).repeat(2)}
    assert float(loss) == float(Triplets(mining=mining)(Plain(), alike)[0])


def test_the_recipe_draws_triples_unless_told_to_mine():
    shape = Shape("images", (1, 8, 8), 3, 60)
    (drawn,) = triplet_network().stages
    assert drawn.objective(shape).mining is None
    (mined,) = triplet_network(mining="semi-hard", gap="hinge", triples=8, items=4, steps=7).stages
    assert mined.objective(shape).mining == Mining("semi-hard", "all", 0.2)
    labels = np.arange(60) % 5
    batches = mined.batches.epoch(60, labels, np.random.default_rng(0))
    assert len(batches) == 7
    for rows in batches:
        assert len(set(rows)) == len(rows)
        assert set(np.bincount(labels[rows], minlength=5)) == {4}
