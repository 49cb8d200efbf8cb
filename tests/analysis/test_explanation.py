"""The report of an explanation: sums that are checked, pictures of every kind of part, and curves that can be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semblance.analysis.explanation import Explanation, Parts, cell_names, from_pairs
from semblance.analysis.faithfulness import curve
from semblance.errors import SemblanceError
from semblance.testing.report import check_report

RNG = np.random.default_rng(0)
MATRIX = np.random.default_rng(1).normal(size=(9, 16)) * 0.02
WEIGHT = np.concatenate([MATRIX.sum(1), MATRIX.sum(0)])


def additive(kept: np.ndarray) -> np.ndarray:
    """Half of each side's shares: with everything kept, the sum of the matrix."""
    return (kept * WEIGHT).sum(1) / 2


def of_pictures(**more) -> Explanation:
    a = Parts("a.png", "cells", cell_names((3, 3)), np.zeros(9), grid=(3, 3), picture=RNG.random((12, 12)))
    b = Parts("b.png", "cells", cell_names((4, 4)), np.zeros(16), grid=(4, 4), picture=RNG.random((12, 12, 3)))
    return from_pairs(("a.png", "b.png"), float(MATRIX.sum()), (a, b), MATRIX, method="cells", **more)


def of_a_graph() -> Explanation:
    ring = np.array([[i, (i + 1) % 6] for i in range(6)])
    nodes = Parts("", "nodes", tuple("uvwxyz"), np.full(6, 0.1), reference=0.2)
    edges = Parts("", "edges", tuple("abcdef"), RNG.normal(size=6), reference=None, ends=ring)
    words = Parts("", "features", tuple(f"word {i}" for i in range(20)), np.full(20, 0.03), reference=0.2)
    return Explanation(("u", "v"), 0.8, (nodes, edges, words), "integrated")


def of_texts() -> Explanation:
    words = ("the", "cat", "sat", "on", "the", "mat", "and", "looked", "at", "a", "very", "long", "street")
    sides = [Parts(name, "tokens", words, np.linspace(-1, 1, 13)) for name in ("one", "two")]
    return from_pairs(("one", "two"), 0.5, sides, np.full((13, 13), 0.5 / 169), method="pairs", notes=("a note",))


@pytest.mark.parametrize("found", [of_pictures(curve=curve(additive, WEIGHT)), of_a_graph(), of_texts()], ids=str)
def test_every_domains_explanation_is_a_report(found):
    check_report(found)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["sentence"] == str(found) and len(told["parts"]) == len(found.parts)
    assert found.table().num_rows == sum(len(side.names) for side in found.parts)


def test_a_gap_is_said_and_a_sum_that_holds_is_not():
    whole = of_pictures()
    assert whole.gap == pytest.approx(0, abs=1e-12) and "miss" not in str(whole)
    short = Explanation(whole.names, whole.similarity + 0.1, whole.parts, "cells")
    assert short.gap == pytest.approx(0.1) and "the shares miss the similarity by 0.1" in str(short)
    assert of_a_graph().gap == pytest.approx(0)  # 0.6 above the reference; the edges' effects are no decomposition
    assert [one["kind"] for one in of_a_graph().completeness] == ["nodes", "features"]


def test_rows_and_columns_of_the_matrix_are_the_shares():
    found = of_pictures()
    np.testing.assert_allclose(found.parts[0].share, MATRIX.sum(1))
    np.testing.assert_allclose(found.parts[1].share, MATRIX.sum(0))
    row, column, share = found.top_pairs(1)[0]
    assert share == MATRIX[found.parts[0].names.index(row), found.parts[1].names.index(column)]
    assert abs(share) == np.abs(MATRIX).max()


def test_the_true_order_is_faithful_and_its_reverse_is_not():
    assert curve(additive, WEIGHT).faithful
    assert not curve(additive, -WEIGHT).faithful
    assert "no faster than by chance" in str(of_pictures(curve=curve(additive, -WEIGHT)))


def test_curves_are_the_values_along_the_path():
    found = curve(additive, WEIGHT, steps=25, orders=2)
    order = np.argsort(-WEIGHT)
    gone = [additive(np.isin(np.arange(25), order[n:])[None])[0] for n in range(26)]
    came = [additive(np.isin(np.arange(25), order[:n])[None])[0] for n in range(26)]
    np.testing.assert_allclose(found.deletion, gone)
    np.testing.assert_allclose(found.insertion, came)
    assert found.deletion_area == pytest.approx((np.sum(gone) - (gone[0] + gone[-1]) / 2) / 25)
    assert len(found.random) == 2 and np.allclose(found.random[:, 0], gone[0]) and np.allclose(found.random[:, -1], 0)


def test_a_constant_value_makes_no_order_faithful():
    assert not curve(lambda kept: np.ones(len(kept)), WEIGHT).faithful


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(SemblanceError, match="kind 'pixels'"):
        Parts("a", "pixels", ("x",), np.zeros(1))
    with pytest.raises(SemblanceError, match="give one each"):
        Parts("a", "cells", ("x", "y"), np.zeros(3))
    with pytest.raises(SemblanceError, match="no grid of 2 by 3"):
        Parts("a", "cells", ("x", "y"), np.zeros(2), grid=(2, 3))
    with pytest.raises(SemblanceError, match="pair matrix"):
        Explanation(("a", "b"), 0.0, of_pictures().parts, "cells", pairs=np.zeros((9, 9)))
    with pytest.raises(SemblanceError, match="no order"):
        curve(additive, np.zeros(1))
