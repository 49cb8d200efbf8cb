"""Whether two sides meet."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.translated import translated
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(0)


def directions(n: int, d: int = 8) -> np.ndarray:
    z = RNG.normal(size=(n, d))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


X = directions(40)


def test_a_side_meets_itself_perfectly_and_a_random_one_no_better_than_chance() -> None:
    same = translated(X, X)
    assert same.top1 == same.mean_rank == same.reciprocal_rank == same.shared == 1
    assert same.cosine == pytest.approx(1)
    other = translated(directions(1000), directions(1000))
    assert other.mean_rank == pytest.approx(500.5, rel=0.05)
    assert other.top1 < 0.01
    assert abs(other.cosine) < 0.05


def test_ranks_are_those_of_plain_loops() -> None:
    y = X + 0.5 * directions(40)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    found = translated(X, y)
    slow = [1 + sum(X[i] @ y[j] > X[i] @ y[i] for j in range(40)) for i in range(40)]
    slow += [1 + sum(X[j] @ y[i] > X[i] @ y[i] for j in range(40)) for i in range(40)]
    assert found.ranks.tolist() == slow
    assert found.mean_rank == pytest.approx(np.mean(slow))
    assert found.reciprocal_rank == pytest.approx(np.mean(1 / np.array(slow)))


def test_all_to_one_point_finds_nothing() -> None:
    point = np.tile(X[:1], (40, 1))
    assert translated(point, point).top1 == 0
    assert translated(point, point).mean_rank == pytest.approx(20.5)


def test_the_report_is_one() -> None:
    report = translated(X, X, ("a", "b"), "procrustes")
    check_report(report)
    assert "a and b" in str(report) and "100.0%" in str(report)
    assert report.to_dict()["pairs"] == 40


def test_bad_input_is_refused() -> None:
    with pytest.raises(SemblanceError, match="40 and 39"):
        translated(X, X[1:])
    with pytest.raises(SemblanceError, match="1 and 1"):
        translated(X[:1], X[:1])
