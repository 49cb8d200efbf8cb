"""Coding rates: closed forms, invariances, and what a clustering costs."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.encoders.vectors import Flat
from semblance.errors import SemblanceError
from semblance.objectives.coding_rate import RateReduction, coding_length, parts_of, rate, rate_of_parts


def unit(n=60, d=5, seed=0):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double(), dim=1)


def test_the_rate_is_that_of_the_eigenvalues_and_knows_no_rotation():
    z = unit()
    values = torch.linalg.eigvalsh(z.T @ z)
    expected = sum(math.log1p(5 / (60 * 0.1) * float(v)) for v in values) / 2
    assert float(rate(z)) == pytest.approx(expected, rel=1e-10)
    turn = torch.linalg.qr(torch.randn(5, 5).double())[0]
    torch.testing.assert_close(rate(z @ turn), rate(z))


def test_the_rate_of_hard_parts_is_the_mean_of_the_parts_own():
    z, labels = unit(), torch.arange(60) % 4
    expected = sum((labels == k).sum() / 60 * rate(z[labels == k]) for k in range(4))
    torch.testing.assert_close(rate_of_parts(z, F.one_hot(labels).double()), expected)
    # Said of every item instead of every cluster: the block matrix with 1/n_c inside blocks.
    blocks = (labels[:, None] == labels).double() / 15
    torch.testing.assert_close(rate_of_parts(z, blocks), expected, rtol=1e-6, atol=1e-9)
    assert float(rate_of_parts(z, F.one_hot(labels, 6).double())) == pytest.approx(float(expected)), (
        "empty parts are free"
    )


def test_one_part_costs_what_the_whole_costs_and_more_parts_cost_less():
    z = unit()
    torch.testing.assert_close(rate_of_parts(z, torch.ones(60, 1).double()), rate(z))
    assert rate_of_parts(z, F.one_hot(torch.arange(60) % 4).double()) < rate(z)


@pytest.mark.parametrize(("rounds", "off"), [(5, 1e-2), (200, 1e-6)])
def test_the_affinity_is_doubly_stochastic(rounds, off):
    affinity = parts_of(unit(80, 8), rounds=rounds)
    for along in (0, 1):
        assert (affinity.sum(along) - 1).abs().max() < off
    assert (affinity >= 0).all()


def test_the_sign_of_a_direction_does_not_count():
    c = unit(20, 4)
    signs = torch.where(torch.rand(20, 1) < 0.5, -1.0, 1.0).double()
    torch.testing.assert_close(parts_of(c * signs), parts_of(c))


def test_the_true_clustering_of_subspaces_costs_fewest_bits():
    generator = torch.Generator().manual_seed(0)
    z = torch.cat([torch.randn(80, 2, generator=generator) @ torch.randn(2, 20, generator=generator) for _ in range(3)])
    z, truth = F.normalize(z.double(), dim=1), torch.arange(3).repeat_interleave(80)
    halves = truth * 2 + torch.arange(240) % 2
    joined = truth.clamp_max(1)
    shuffled = truth[torch.randperm(240, generator=generator)]
    for other in (halves, joined, shuffled, torch.zeros(240).long()):
        assert coding_length(z, truth) < coding_length(z, other)


def test_it_is_warmed_up_by_the_rate_alone_and_then_starts_from_the_features():
    torch.manual_seed(0)
    model, batch = Flat(6, (8, 5)), {"x": torch.randn(40, 6)}
    last = model.layers[-1]
    objective = RateReduction(nn.Linear(8, 5), warm=2)
    z = F.normalize(model.embed(batch), dim=1)
    torch.testing.assert_close(objective(model, batch)[0], -rate(z))
    for _ in range(2):
        assert not torch.equal(objective.cluster.weight, last.weight)
        objective.after_step(model, batch)
    assert torch.equal(objective.cluster.weight, last.weight)
    affinity = parts_of(z)
    expected = rate_of_parts(z, affinity) - rate(z) + 0.025 * affinity.square().sum()
    loss, told = objective(model, batch)
    torch.testing.assert_close(loss, expected)
    assert told["parts"] < told["rate"]
    loss.backward()
    # A converged affinity has rows that sum to 1.
    torch.testing.assert_close(objective.affinity(model, batch).sum(1), torch.ones(40), rtol=0, atol=1e-5)
    assert objective.cluster.weight.grad.isfinite().all() and last.weight.grad.abs().sum() > 0


def test_a_distortion_of_none_is_refused():
    with pytest.raises(SemblanceError, match="distortion is 0"):
        RateReduction(nn.Linear(2, 2), distortion=0.0)
