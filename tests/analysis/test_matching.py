"""Units of one network matched to units of another."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from semblance.analysis.matching import (
    clusters,
    correlations,
    information,
    match_units,
    matching,
    scores_of,
    semi_matching,
    standardised,
)
from semblance.analysis.sparse_maps import sparse_map
from semblance.errors import SemblanceError

RNG = np.random.default_rng(15)
X = np.maximum(RNG.normal(size=(400, 5)) @ RNG.normal(size=(5, 12)), 0)
ORDER = RNG.permutation(12)
Y = X[:, ORDER] + 0.05 * X.std() * RNG.normal(size=X.shape)


def test_correlations_are_the_textbook_s_and_dead_units_have_none() -> None:
    x = np.concatenate([X, np.full((400, 1), 3.0)], 1)
    found = correlations(x, Y)
    np.testing.assert_allclose(found[:12], np.corrcoef(X.T, Y.T)[:12, 12:], atol=1e-5)
    assert not found[12].any()
    report = match_units(x, Y)
    assert report.dead[0].tolist() == [12]
    assert report.matched[12] == report.semi[12] == -1


def test_a_hidden_permutation_is_found_by_matching_and_by_clusters() -> None:
    report = match_units(X, Y)
    np.testing.assert_array_equal(ORDER[report.matched], np.arange(12))
    assert report.low <= report.mean <= report.high
    left, right = clusters(X, Y, 12)
    assert np.mean(left[ORDER] == right) > 0.8
    joined, other = clusters(X, Y, 12, "agglomerative")
    assert np.mean(joined[ORDER] == other) > 0.8


def test_a_matching_is_the_best_of_all_assignments_and_never_above_the_semi_matching() -> None:
    scores = np.abs(RNG.normal(size=(5, 6)))
    best = max(itertools.permutations(range(6), 5), key=lambda p: sum(scores[i, j] for i, j in enumerate(p)))
    np.testing.assert_array_equal(matching(scores), best)
    assert scores_of(scores, semi_matching(scores)).mean() >= scores_of(scores, matching(scores)).mean()
    assert len(set(matching(scores))) == 5


def test_information_sees_what_correlation_misses() -> None:
    x = RNG.normal(size=(4000, 1))
    bits = information(x, np.concatenate([x**2, RNG.normal(size=(4000, 1)), x], 1), bins=8)[0]
    assert abs(correlations(x, x**2)[0, 0]) < 0.1
    assert bits[0] > 1
    assert bits[1] < 0.05
    assert bits[2] == pytest.approx(3, abs=0.01)  # eight equal bins: three bits of itself


def test_a_sparse_map_is_the_lasso_and_finds_the_units_that_a_unit_is_made_of() -> None:
    y = (2 * X[:, [3]] - X[:, [7]]) + 0.01 * RNG.normal(size=(400, 1))
    found = sparse_map(X, y, penalties=np.array([0.3, 0.05]))
    order = np.random.default_rng(0).permutation(400)
    train = order[120:]
    a, b = standardised(X).astype(float), standardised(y).astype(float)
    for at, penalty in enumerate((0.3, 0.05)):
        plain = Lasso(penalty, fit_intercept=False, max_iter=3000).fit(a[train], b[train, 0])
        np.testing.assert_allclose(found.weight[at, :, 0], plain.coef_, atol=2e-3)
    assert {3, 7} <= set(np.flatnonzero(found.weight[1, :, 0]))
    assert found.within(12)[0] < 0.1
    assert found.within(0)[0] == 1


def test_an_interval_covers_what_many_inputs_give() -> None:
    common = RNG.normal(size=(50_000, 3))
    x, y = (common + RNG.normal(size=common.shape) for _ in range(2))  # matched units correlate 1/2
    held = 0
    for first in range(0, 40_000, 1000):
        report = match_units(x[first : first + 1000], y[first : first + 1000], seed=first)
        held += report.low <= 0.5 <= report.high
    assert held >= 34


def test_a_report_says_who_has_no_partner(tmp_path: Path) -> None:
    lonely = np.concatenate([Y, RNG.normal(size=(400, 4))], 1)
    report = match_units(lonely, X)
    assert "4 of 16 live units have no partner above 0.5" in str(report)
    assert report.table().num_rows == 16
    report.save(tmp_path / "units.html")
    assert "data:image/png" in (tmp_path / "units.html").read_text()
    assert len(report.plot().axes) == 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: match_units(X, Y[:-1]), "400 rows and 399"),
        (lambda: match_units(np.ones((400, 3)), Y), "no unit of the first"),
        (lambda: correlations(X, np.where(Y[3, 3] == Y, np.nan, Y)), "NaN or infinity in 1 of 400"),
        (lambda: clusters(X, Y, 30), "30 clusters of 24 live units"),
        (lambda: clusters(X, Y, 3, "kmeans"), "there is no clustering 'kmeans'"),
        (lambda: sparse_map(X, Y, penalties=np.array([0.0])), "above 0"),
        (lambda: information(X, Y, bins=1), "bins is 1"),
    ],
    ids=["rows", "dead", "nan", "too many clusters", "no such clustering", "penalty", "bins"],
)
def test_what_cannot_be_matched_is_said(call, said: str) -> None:
    with pytest.raises(SemblanceError, match=said):
        call()
