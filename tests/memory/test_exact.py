"""Exact search: what a plain sort over all distances finds, whatever the blocks; and the Index contract over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory.filled import make, names, numbers, table

from semblance.errors import SemblanceError
from semblance.memory import exact
from semblance.memory.exact import Exact, scan
from semblance.memory.store import Store
from semblance.testing import check_index


def plain(items: np.ndarray, rows: Any, query: np.ndarray, k: int, geometry: str) -> tuple[list[int], list[float]]:
    """One distance after the other in float64, sorted; Python's sort keeps the order of equals."""
    found = []
    for row in rows:
        x, q = items[row].astype(np.float64), query.astype(np.float64)
        if geometry == "cosine":
            length = max(float(np.linalg.norm(x) * np.linalg.norm(q)), 1e-300)
            found.append((float(np.float32(1 - x @ q / length)), int(row)))
        else:
            found.append((float(np.float32(np.sqrt(((x - q) ** 2).sum()))), int(row)))
    best = sorted(found, key=lambda pair: pair[0])[:k]
    return [row for _, row in best], [distance for distance, _ in best]


def check_scan(found: tuple[np.ndarray, np.ndarray], items: Any, rows: Any, queries: Any, k: int, kind: str) -> None:
    """Distances agree with the plain sort's, and every row named has the distance it is given."""
    for q, query in enumerate(queries):
        _, distances = plain(items, rows, query, k, kind)
        np.testing.assert_allclose(found[1][q], distances, atol=2e-6)
        of_row = dict(zip(*plain(items, rows, query, len(rows), kind), strict=True))
        np.testing.assert_allclose([of_row[row] for row in found[0][q].tolist()], distances, atol=2e-6)
        assert len(set(found[0][q].tolist())) == len(distances)


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@given(
    n=st.integers(1, 60),
    k=st.integers(1, 70),
    block=st.integers(1, 70),
    asked=st.integers(0, 5),
    seed=st.integers(0, 9),
)
def test_a_scan_finds_what_a_plain_sort_finds(geometry: str, n: int, k: int, block: int, asked: int, seed: int) -> None:
    items, queries = numbers(n, 5, seed), numbers(asked, 5, seed + 100)
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK", block)
        patch.setattr(exact, "QUERIES", 2)
        patch.setattr(exact, "SPARE", 2)
        check_scan(scan(items, None, queries, k, geometry), items, range(n), queries, k, geometry)
        check_scan(scan(items, rows, queries, k, geometry), items, rows, queries, k, geometry)


def test_the_comparison_with_the_plain_sort_can_fail() -> None:
    items, queries = numbers(50, 5), numbers(2, 5, 1)
    rows, distances = scan(items, None, queries, 6, "cosine")
    with pytest.raises(AssertionError):
        check_scan((rows[:, :5], distances[:, 1:]), items, range(50), queries, 5, "cosine")


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_equal_distances_keep_the_order_of_insertion(geometry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK", 7)
    items = numbers(100, 16)
    items[5::10] = items[5]  # ten copies, over many blocks
    rows, distances = scan(items, None, items[5:6], 12, geometry)
    assert rows[0, :10].tolist() == list(range(5, 100, 10))
    np.testing.assert_allclose(distances[0, :10], 0, atol=1e-6)
    other, _ = scan(items, None, numbers(3, 16, 4), 100, geometry)
    for line in other:
        copies = [row for row in line if row % 10 == 5]
        assert copies == sorted(copies)


def test_a_lone_euclidean_query_is_at_distance_zero_from_itself() -> None:
    items = numbers(40, 64) + 1000
    assert scan(items, None, items[7:8], 1, "euclidean")[1][0, 0] == 0


def test_zero_vectors_are_at_distance_one_from_everything() -> None:
    _, distances = scan(np.zeros((3, 4), np.float32), None, numbers(1, 4), 3, "cosine")
    assert distances.tolist() == [[1.0, 1.0, 1.0]]


def test_a_space_is_scanned_through_its_segments(tmp_path: Path) -> None:
    with make(tmp_path / "s", n=50) as store:
        store.remove(names(10, 5))
        view = store.view
        rows = view.rows_where("city = 'Oslo'")
        check_scan(scan(view.source, rows, numbers(2), 4, "cosine"), view.vectors(), rows, numbers(2), 4, "cosine")


@pytest.mark.parametrize(
    ("queries", "k", "says"),
    [
        (np.full((2, 5), np.nan), 1, "query 0 holds NaN"),
        (numbers(1, 4), 1, r"shape \[1, 4\], but vectors here are \[Q, 5\]"),
        (np.array([["a"] * 5]), 1, "numbers"),
        (numbers(1, 5), 0, "k is 0"),
        (numbers(1, 5), 2.5, "k is 2.5"),
    ],
)
def test_a_query_that_cannot_be_answered_is_named(queries: np.ndarray, k: Any, says: str) -> None:
    with pytest.raises(SemblanceError, match=says):
        scan(numbers(9, 5), None, queries, k, "cosine")


def filled(n: int = 40) -> Exact:
    index = Exact(6, "euclidean")
    index.add(names(n), numbers(n, 6), table(n))
    return index


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_the_index_keeps_the_promises_of_the_contract(geometry: str) -> None:
    check_index(lambda: Exact(6, geometry), Exact.load, geometry=geometry)


def test_a_saved_index_is_a_space(tmp_path: Path) -> None:
    index = filled()
    index.remove(names(3))
    index.save(tmp_path / "i")
    index.add(["late"], numbers(1, 6))
    index.save(tmp_path / "i")  # over the old one
    with Store.open(tmp_path / "i") as store:
        assert store.count == 38


def test_wrong_additions_and_removals_change_nothing() -> None:
    index = filled()
    for ids, vectors, attributes, says in [
        (["item-1", "x"], numbers(2, 6), None, "'item-1'"),
        (["x", "x"], numbers(2, 6), None, "came twice"),
        (["x"], numbers(2, 6), None, "1 ids came with 2 vectors"),
        (["x"], np.full((1, 6), np.inf), None, "vector 0 holds NaN or infinity"),
        (["x"], numbers(1, 5), None, r"\[N, 6\]"),
        (["x"], numbers(1, 6), pa.table({"year": ["soon"]}), "'year' is of type int64"),
    ]:
        with pytest.raises(SemblanceError, match=says):
            index.add(ids, vectors, attributes)
    with pytest.raises(SemblanceError, match="'nobody'"):
        index.remove(["item-1", "nobody"])
    with pytest.raises(SemblanceError, match="no column 'yeer'"):
        index.search(numbers(1, 6), 1, where="yeer = 1")
    assert len(index) == 40 and index.search(numbers(1, 6), 40)[0][0].count("item-1") == 1
