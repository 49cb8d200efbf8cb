"""Triplets and pairs against their formulas, their gradients and what they must not notice."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.triplets import (
    DISTANCES,
    Siamese,
    Triplets,
    cosine,
    distance_named,
    gap_named,
    hinge,
    ratio,
    ratio_gradient,
    squared,
)


class Plain(nn.Module):
    """The items themselves."""

    def embed(self, batch):
        return batch["x"]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def many_distances() -> tuple[torch.Tensor, torch.Tensor]:
    return 5 * random(10_000, seed=1).abs(), 5 * random(10_000, seed=2).abs()


def check_gradient(gradient):
    a, b = (d.requires_grad_() for d in many_distances())
    found = torch.autograd.grad(ratio(a, b).sum(), (a, b))
    for one, other in zip(gradient(a, b), found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_the_gradient_is_the_closed_form():
    check_gradient(ratio_gradient)


def test_the_gradient_check_can_fail():
    with pytest.raises(AssertionError):
        check_gradient(lambda a, b: tuple(1.01 * g for g in ratio_gradient(a, b)))


@given(st.floats(0, 30), st.floats(0, 30), st.floats(-20, 20))
def test_the_ratio_is_the_papers_and_ignores_a_common_constant(a, b, constant):
    got = float(ratio(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)))
    assert got == pytest.approx(2 / (1 + math.exp(b - a)) ** 2, abs=1e-6)
    near, far = math.exp(a) / (math.exp(a) + math.exp(b)), math.exp(b) / (math.exp(a) + math.exp(b))
    assert got == pytest.approx(near**2 + (far - 1) ** 2, abs=1e-6)
    moved = ratio(torch.tensor(a + constant, dtype=torch.float64), torch.tensor(b + constant, dtype=torch.float64))
    assert float(moved) == pytest.approx(got, abs=1e-6)


@pytest.mark.parametrize("gap", ["ratio", "hinge", "logistic"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_batch_of_thirds_is_the_mean_over_triples(gap, distance):
    x = random(12, 3)
    terms = []
    for i in range(4):
        anchor, positive, negative = x[i : i + 1], x[4 + i : 5 + i], x[8 + i : 9 + i]
        measure = distance_named(distance)
        terms.append(gap_named(gap)(measure(anchor, positive), measure(anchor, negative)))
    loss, _ = Triplets(gap_named(gap), distance_named(distance))(Plain(), {"x": x})
    torch.testing.assert_close(loss, torch.cat(terms).mean())


def test_the_order_is_counted_per_triple():
    x = torch.tensor([[0.0], [0.0], [1.0], [3.0], [2.0], [2.0]])  # 0: 1 < 2 in order; 0: 3 > 2 not
    assert Triplets()(Plain(), {"x": x})[1]["ordered"] == 0.5


def test_equal_points_give_a_finite_gradient():
    x = torch.zeros(6, 4, requires_grad=True)
    for distance in DISTANCES:
        loss, _ = Triplets(distance=distance_named(distance))(Plain(), {"x": x})
        (gradient,) = torch.autograd.grad(loss, x)
        assert torch.isfinite(gradient).all()


def test_a_triple_beyond_the_margin_is_not_seen():
    a, b = torch.tensor([0.5, 0.5]), torch.tensor([0.71, 0.69])
    assert hinge(a, b).tolist() == pytest.approx([0.0, 0.01], abs=1e-6)


def test_distances_agree_on_the_unit_sphere():
    z1, z2 = (nn.functional.normalize(random(9, 4, seed=s), dim=1) for s in (1, 2))
    torch.testing.assert_close(squared(z1, z2), 2 * cosine(z1, z2))
    torch.testing.assert_close(distance_named("euclidean")(z1, z2).square(), squared(z1, z2))


def test_without_labels_the_other_view_is_near_and_another_item_far():
    first, second = random(5, 3), random(5, 3, seed=1)
    loss, _ = Triplets(from_views=True)(Plain(), {"views": [{"x": first}, {"x": second}]})
    triples = torch.cat([first, second, second[[4, 0, 1, 2, 3]]])
    torch.testing.assert_close(loss, Triplets()(Plain(), {"x": triples})[0])


def test_pairs_are_the_contrastive_loss():
    x, labels = random(8, 3) * 0.4, torch.tensor([0, 1, 2, 3, 0, 1, 0, 0])
    expected = 0.0
    for i in range(4):
        a = float((x[i] - x[4 + i]).norm())
        expected += (a**2 if labels[i] == labels[4 + i] else max(0.0, 1 - a) ** 2) / 4
    assert float(Siamese()(Plain(), {"x": x, "labels": labels})[0]) == pytest.approx(expected)


def test_what_is_no_list_of_triples_or_pairs_is_refused():
    with pytest.raises(SemblanceError, match="batch of 7"):
        Triplets()(Plain(), {"x": random(7, 2)})
    with pytest.raises(SemblanceError, match="batch of 7"):
        Siamese()(Plain(), {"x": random(7, 2), "labels": torch.zeros(7)})
    with pytest.raises(SemblanceError, match="margin is 0"):
        Siamese(margin=0)
    with pytest.raises(SemblanceError, match="did you mean ratio"):
        gap_named("ratios")


def test_triples_pull_labels_apart():
    """Two labels that differ in one of eight coordinates: a linear map learns to look there."""
    g = torch.Generator().manual_seed(0)
    net = nn.Linear(8, 2)
    with torch.no_grad():
        net.weight.copy_(0.3 * torch.randn(2, 8, generator=g))

    class Net(nn.Module):
        def embed(self, batch):
            return net(batch["x"])

    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    ordered = []
    for _ in range(150):
        x = torch.randn(192, 8, generator=g)
        x[:128, 0], x[128:, 0] = 1.5, -1.5
        loss, metrics = Triplets()(Net(), {"x": x})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ordered.append(metrics["ordered"])
    assert sum(ordered[-10:]) / 10 > 0.97 > sum(ordered[:10]) / 10
