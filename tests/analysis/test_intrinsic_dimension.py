"""Intrinsic dimension: known answers, subspaces side by side, and solutions that are a seed and a few numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.intrinsic_dimension import crossing, intrinsic_dimension, searched
from semblance.analysis.projections import PROJECTIONS
from semblance.analysis.subspace import Subspace, restored, save, train_within
from semblance.errors import SemblanceError
from semblance.objectives.projector import perceptron
from semblance.testing import check_report

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + 2 * (X[:, 1] > 0).long()


def small() -> nn.Module:
    return perceptron((6, 12, 4), hidden_norm=False)


def loss(net, rows: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(net(X[rows]), Y[rows])


def accuracy(net: nn.Module) -> float:
    with torch.no_grad():
        return float((net(X).argmax(1) == Y).float().mean())


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_ten_constraints_need_ten_directions(kind):
    """1,000 numbers in ten blocks, the sum of block i is i: linear, so the best point of a subspace is a least square."""
    sums = torch.eye(10).repeat_interleave(100, 1).double()
    wanted = torch.arange(10.0).double()
    residual = {}
    for dim in (8, 9, 10):
        space = Subspace(lambda: Numbers(1000), dim, kind, seed=2)
        change = sums @ space.project(torch.eye(dim)).double()
        missing = wanted - sums @ space.start.double()
        best = torch.linalg.lstsq(change, missing).solution
        residual[dim] = float((change @ best - missing).norm())
    assert residual[8] > 0.1 and residual[9] > 0.01 and residual[10] < 1e-8


class Numbers(nn.Module):
    """As many parameters, nothing else."""

    def __init__(self, count: int):
        super().__init__()
        self.held = nn.Parameter(torch.randn(count))


def test_all_directions_of_a_network_are_as_good_as_its_parameters():
    size = sum(p.numel() for p in small().parameters())
    found = intrinsic_dimension(small, loss, accuracy, 60, (2, size), steps=150, seeds=(0,), batch=60, full_lr=0.01)
    assert found.scores[0, 1] >= found.baseline[0] - 0.05 > 0.8
    assert found.scores[0, 0] < 0.9 * found.baseline[0]
    assert 2 < found.value <= size and found.compression >= 1
    check_report(found)
    assert found.to_dict()["rows"][1]["directions"] == size


def test_at_zero_the_network_is_its_start_and_training_moves_it_within_the_directions():
    space = Subspace(small, 5, seed=3)
    start = drawn_module(small, 3)
    assert all(
        torch.equal(a, b) for a, b in zip(space.at(torch.zeros(5)).parameters(), start.parameters(), strict=True)
    )
    t = train_within(space, loss, 60, 30)[:, 0]
    moved = torch.cat([p.detach().flatten() for p in space.at(t).parameters()]) - space.start
    inside = torch.linalg.lstsq(space.project.matrix, moved[:, None]).solution
    torch.testing.assert_close(space.project.matrix @ inside, moved[:, None], rtol=1e-3, atol=1e-5)
    assert moved.norm() > 0.01


def test_widths_trained_side_by_side_are_those_trained_alone():
    space = Subspace(small, 9, seed=1)
    both = train_within(space, loss, 60, 25, (4, 9), batch=20)
    assert torch.equal(both[4:, 0], torch.zeros(5)) and (both[4:, 1] != 0).all()
    for column, dim in enumerate((4, 9)):
        alone = train_within(space, loss, 60, 25, (dim,), batch=20)
        torch.testing.assert_close(both[:, column], alone[:, 0], rtol=1e-3, atol=1e-5)


class Recurrent(nn.Module):
    """A recurrent layer behind a convolution and a norm, with a read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(1, 3, 3, padding=1), nn.BatchNorm1d(3)
        self.turn, self.last = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.conv(x[:, None])).transpose(1, 2)
        return self.last(self.turn(h)[0][:, -1])


def test_convolutions_norms_and_recurrence_need_no_change():
    space = Subspace(Recurrent, 40, "fastfood", 0)
    mean = space.module.norm.running_mean.clone()
    t = train_within(space, loss, 60, 40, (10, 40), lr=0.1)
    assert torch.equal(space.module.norm.running_mean, mean)  # each width has its own

    def value(point: torch.Tensor) -> float:
        net = space.at(point).train()
        return float(loss(net, torch.arange(60)).detach())

    assert value(t[:, 1]) < 0.95 * value(torch.zeros(40))


def test_a_solution_is_kept_as_a_seed_and_its_numbers(tmp_path):
    def big() -> nn.Module:
        return perceptron((6, 200, 200, 4), hidden_norm=False)

    space = Subspace(big, 150, "fastfood", 7)
    t = torch.randn(150)
    save(space, t, tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_size < 2000 < 4 * space.size
    again = restored(tmp_path / "net.safetensors", big)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), space.at(t).parameters(), strict=True))
    save(space, t.half(), tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size <= (tmp_path / "net.safetensors").stat().st_size - 300
    nearly = restored(tmp_path / "half.safetensors", big)
    for a, b in zip(nearly.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.01)
    with pytest.raises(SemblanceError, match="42404 parameters, and this one has 136"):
        restored(tmp_path / "net.safetensors", small)
    with pytest.raises(SemblanceError, match="no file"):
        restored(tmp_path / "other.safetensors", small)


@given(st.floats(5, 95), st.integers(2, 40))
def test_the_crossing_of_a_line_is_found_on_any_grid(true, count):
    dims = np.unique(np.linspace(1, 100, count).astype(int))
    assert crossing(dims, dims / true, 1.0) == pytest.approx(true, rel=1e-6)
    assert crossing(dims[::-1], (dims / true)[::-1], 1.0) == pytest.approx(true, rel=1e-6)


def test_a_curve_that_dips_crosses_where_it_stays():
    assert crossing((1, 2, 3, 4), (0.95, 0.8, 1.0, 1.0), 0.9) == pytest.approx(2.5)
    assert crossing((1, 2), (0.95, 1.0), 0.9) == 1 and np.isnan(crossing((1, 2), (0.5, 0.6), 0.9))


def test_bisection_asks_few_widths_and_agrees_with_the_grid():
    asked = []

    def scores(dims, seed):
        asked.extend(dims)
        return [min(1.0, d / (70 + seed)) for d in dims]

    by_halves = searched(scores, {0: 1.0, 1: 1.0}, (1, 400), 1000, bisection=True)
    few = len(set(asked))
    by_grid = searched(scores, {0: 1.0, 1: 1.0}, range(1, 401, 3), 1000)
    assert few < 10 and by_halves.value == pytest.approx(by_grid.value, rel=0.1)
    assert by_grid.low == pytest.approx(63, abs=0.5) and by_grid.high == pytest.approx(63.9, abs=0.5)
    assert "directions reach 90% of the full score" in str(by_grid)


def test_too_few_or_too_many_directions_are_said():
    found = searched(lambda dims, seed: [0.1 for _ in dims], {0: 1.0}, (1, 5), 100)
    assert "5 of 100 directions are too few" in str(found) and found.to_dict()["value"] is None
    check_report(found)
    with pytest.raises(SemblanceError, match="136 parameters"):
        intrinsic_dimension(small, loss, accuracy, 60, (2, 137))
    with pytest.raises(SemblanceError, match="no parameters"):
        Subspace(nn.ReLU, 2)
    with pytest.raises(SemblanceError, match="from 1 to the 5"):
        train_within(Subspace(small, 5), loss, 60, 1, (6,))
    with pytest.raises(SemblanceError, match="5 numbers"):
        Subspace(small, 5).at(torch.zeros(6))
