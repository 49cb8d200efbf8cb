"""Base indexes: exact against a loop, selectors keep to what they select, evaluations are counted, bytes come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory.base_indexes import BASES, base_index, restored

N = 800


def items(geometry: str = "euclidean") -> np.ndarray:
    return space_named(geometry).prepare(np.random.default_rng(0).normal(size=(N, 12)))


CHOICES = {
    "all": None,
    "range": (100, 500),
    "one": (700, 701),
    "mask": np.random.default_rng(1).random(N) < 0.3,
    "none": (40, 40),
    "empty mask": np.zeros(N, bool),
}


def allowed(rows: Any) -> np.ndarray:
    mask = np.ones(N, bool) if rows is None else rows
    if isinstance(rows, tuple):
        mask = (np.arange(N) >= rows[0]) & (np.arange(N) < rows[1])
    return mask


@pytest.mark.parametrize("geometry", ["euclidean", "cosine"])
@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("choice", CHOICES)
def test_with_full_effort_every_base_finds_what_a_loop_finds(kind: str, choice: str, geometry: str) -> None:
    x, rows = items(geometry), CHOICES[choice]
    base = base_index(kind)(x, geometry)
    queries = space_named(geometry).prepare(np.random.default_rng(2).normal(size=(5, 12)))
    distance, near = base.search(queries, 10, rows, effort=N)
    mask = allowed(rows)
    for query, line, there in zip(queries, distance, near, strict=True):
        every = np.sort(
            [float(space_named(geometry).distance(query[None], x[[i]])[0, 0]) for i in np.flatnonzero(mask)]
        )
        found = there[there >= 0]
        assert len(found) == min(10, mask.sum()) and mask[found].all()
        np.testing.assert_allclose(line[: len(found)], every[:10], atol=2e-5)
        assert np.isinf(line[len(found) :]).all()


@pytest.mark.parametrize("rows", [None, (100, 500), CHOICES["mask"]], ids=["all", "range", "mask"])
def test_an_exact_search_counts_the_rows_it_may_answer(rows: Any) -> None:
    base = base_index("flat")(items(), "euclidean")
    base.search(items()[:3], 4, rows)
    assert base.evaluations == 3 * allowed(rows).sum()


def test_a_graph_measures_fewer_with_a_narrow_beam_and_lists_fewer_under_a_range() -> None:
    graph, lists = base_index("graph")(items(), "euclidean"), base_index("lists")(items(), "euclidean")
    counts = {}
    for name, base, rows, effort in (
        ("narrow", graph, None, 10),
        ("wide", graph, None, 400),
        ("all", lists, None, 4),
        ("range", lists, (0, 100), 4),
    ):
        before = base.evaluations
        base.search(items()[:5], 5, rows, effort)
        counts[name] = base.evaluations - before
    assert 0 < counts["narrow"] < counts["wide"]
    assert 0 < counts["range"] < counts["all"]


@pytest.mark.parametrize("kind", BASES)
def test_what_is_added_is_found(kind: str) -> None:
    base = base_index(kind)(items(), "euclidean")
    new = np.full((2, 12), 9, np.float32)
    base.add(new)
    assert len(base) == N + 2
    assert set(base.search(new[:1], 2, effort=N)[1][0]) == {N, N + 1}
    assert set(base.search(new[:1], 2, (0, N), effort=N)[1][0]) <= set(range(N))


@pytest.mark.parametrize("kind", ["lists", "graph"])
def test_bytes_bring_back_the_same_answers_and_the_same_count(kind: str) -> None:
    base: Any = base_index(kind)(items(), "cosine")
    again: Any = restored(kind, base.bytes())
    one, two = (b.search(items()[:4], 6, (50, 600), 12) for b in (base, again))
    np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_array_equal(one[0], two[0])
    assert base.evaluations == again.evaluations > 0


def test_a_geometry_or_kind_without_a_base_is_named() -> None:
    with pytest.raises(SemblanceError, match="hyperbolic"):
        base_index("flat")(items(), "hyperbolic")
    with pytest.raises(SemblanceError, match="graph"):
        base_index("grph")
