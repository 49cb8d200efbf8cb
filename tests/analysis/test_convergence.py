"""Whether networks learned the same units, or the same subspaces."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.convergence import agreement_of, convergence
from semblance.analysis.matching import match_units
from semblance.analysis.sparse_maps import sparse_map
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(15)
X = np.maximum(RNG.normal(size=(600, 8)), 0).astype(np.float32)
SAME = (X[:, ::-1] + 0.05 * RNG.normal(size=X.shape)).astype(np.float32)
TURNED = (X @ np.linalg.qr(RNG.normal(size=(8, 8)))[0]).astype(np.float32)  # the same subspace, other axes


def test_units_in_another_order_are_shared_and_turned_ones_are_only_as_a_subspace() -> None:
    same, turned = (agreement_of(X, other, most=8) for other in (SAME, TURNED))
    assert same["matched"] > 0.97 and same["one"] > 0.95 and same["lonely"] == 0
    assert turned["few"] > 0.95 and turned["one"] < 0.8
    assert turned["few"] - turned["one"] > 0.2
    assert agreement_of(X, RNG.permutation(TURNED), most=8)["few"] < 0.1


def test_a_dead_unit_is_counted_and_never_explained() -> None:
    still = np.concatenate([X, np.ones((600, 2), np.float32)], 1)
    found = agreement_of(still, still, most=8)
    assert found["dead"] == 2
    assert found["one"] == pytest.approx(1, abs=1e-4)


def test_positions_of_an_input_stay_together() -> None:
    """Copies of a row add nothing: the interval is that of the inputs, and no input is on both sides of the split."""
    many = [np.repeat(side, 4, axis=0) for side in (X, SAME)]
    wide, naive = (match_units(*many, positions=p) for p in (4, 1))
    single = match_units(X, SAME)
    assert wide.high - wide.low == pytest.approx(single.high - single.low, rel=0.5)
    assert naive.high - naive.low < 0.7 * (wide.high - wide.low)
    noise = RNG.normal(size=(30, 40)), RNG.normal(size=(30, 2))
    apart, leaking = (sparse_map(*(np.repeat(side, 20, axis=0) for side in noise), positions=p) for p in (20, 1))
    assert leaking.error[-1].mean() < 0.3 < 0.9 < apart.error[-1].mean()


def test_matched_units_stand_beside_those_of_inputs_in_another_order() -> None:
    found = match_units(X, SAME)
    assert found.p <= 0.01
    assert 0 < found.null < 0.2 < found.mean
    mixed = match_units(X, RNG.permutation(SAME))
    assert mixed.p > 0.01
    assert mixed.mean == pytest.approx(found.null, abs=0.05)


def test_intervals_of_single_units_surround_their_scores() -> None:
    found = match_units(X, SAME)
    rows = found.table().to_pylist()
    assert all(row["matched_low"] <= row["matched_score"] <= row["matched_high"] for row in rows)
    maps = sparse_map(X, TURNED)
    assert (maps.low <= maps.error).all() and (maps.error <= maps.high).all()


def test_the_best_single_unit_of_a_map_is_that_of_a_regression() -> None:
    maps = sparse_map(X, SAME)
    np.testing.assert_allclose(
        1 - maps.single, np.corrcoef(X.T, SAME.T)[np.arange(8), 8 + np.arange(8)[::-1]] ** 2, atol=0.03
    )


def test_networks_are_reported_layer_by_layer() -> None:
    nets = {"one": {"a": X, "b": X}, "two": {"a": SAME, "b": TURNED}, "three": {"a": X, "b": X}}
    report = convergence(nets, inputs=600, most=8)
    rows = report.table().to_pylist()
    assert [row["layer"] for row in rows] == ["a", "b"]
    assert rows[0]["matched"] > 0.9 > rows[1]["matched"]
    assert str(report).startswith("of 3 networks, matched units correlate")
    check_report(report)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: convergence({"one": {"a": X}}, 600), "there are 1 networks"),
        (lambda: convergence({"one": {"a": X}, "two": {"b": X}}, 600), "the same layers of every network"),
        (lambda: convergence({"one": {"a": X}, "two": {"a": X}}, 7), "600 rows for 7 inputs"),
        (lambda: match_units(X, X, positions=7), "no whole number of inputs"),
        (lambda: match_units(X[:5], X[:5], positions=5, draws=1), None),
    ],
    ids=["one network", "other layers", "inputs", "positions", "one input is allowed"],
)
def test_what_cannot_converge_is_said(call, said: str | None) -> None:
    if said is None:
        assert call().mean == pytest.approx(1)
        return
    with pytest.raises(SemblanceError, match=said):
        call()
