"""Rows on disk are those of the graph in memory, however the edges came and however small the buckets are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry import stored_rows
from semblance.geometry.graph import Graph
from semblance.geometry.stored_rows import PAGE, Edges, StoredRows, both_ways, sort_edges, store


def edges(nodes: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    row = (rng.random(count) ** 3 * nodes).astype(np.int64)  # few rows hold most
    return row, rng.integers(0, nodes, count), rng.random(count).astype(np.float32)


@given(st.integers(1, 40), st.integers(0, 200), st.integers(1, 70), st.booleans(), st.integers(0, 99))
def test_edges_sorted_on_disk_are_the_rows_of_the_graph(
    tmp_path_factory: pytest.TempPathFactory, nodes: int, count: int, bucket: int, weighted: bool, seed: int
) -> None:
    row, entry, weight = edges(nodes, count, seed)

    def given_in_blocks() -> Iterator[Edges]:
        for at in range(0, count, 17):
            part = slice(at, at + 17)
            yield row[part], entry[part], weight[part] if weighted else None

    folder = tmp_path_factory.mktemp("rows")
    stored = sort_edges(given_in_blocks, nodes, folder, bucket)
    rows = Graph(torch.from_numpy(np.stack([entry, row])), nodes, directed=True).rows()
    np.testing.assert_array_equal(stored.open("indptr"), rows.start)
    np.testing.assert_array_equal(stored.open("indices"), rows.index)
    assert stored.weighted == (weighted and count > 0)
    if stored.weighted:
        np.testing.assert_array_equal(stored.open("weight"), weight[rows.order])
    assert {path.name for path in folder.iterdir()} <= {"indptr.npy", "indices.npy", "weight.npy"}


def test_stretches_cover_all_rows_in_whole_pages_of_about_as_many_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = 5 * PAGE + 7
    row, entry, weight = edges(nodes, 40_000)
    graph = Graph(torch.from_numpy(np.stack([entry, row])), nodes, directed=True)
    stored = store(graph.rows(), weight, tmp_path)
    counts = []
    for entries in (1, 15_000, 1 << 30):
        monkeypatch.setattr(stored_rows, "STRETCH", entries)
        spans = stored.stretches()
        counts.append(len(spans))
        assert spans[0][0] == 0 and spans[-1][1] == nodes
        assert all(a[1] == b[0] for a, b in pairwise(spans))
        assert all(first % PAGE == 0 for first, _ in spans)
    assert counts[0] == 6 and 1 < counts[1] < 6 and counts[2] == 1
    rows, first, last = graph.rows(), PAGE, 3 * PAGE
    part, weights = stored.stretch(first, last)
    low, high = rows.start[first], rows.start[last]
    np.testing.assert_array_equal(part.start, rows.start[first : last + 1] - low)
    np.testing.assert_array_equal(part.index, rows.index[low:high])
    np.testing.assert_array_equal(weights, weight[rows.order][low:high])


def test_undirected_edges_stand_both_ways_and_loops_once(tmp_path: Path) -> None:
    one, other = np.array([0, 1, 2]), np.array([1, 1, 0])
    stored = sort_edges(both_ways(lambda: iter([(one, other, None)])), 3, tmp_path)
    assert stored.open("indptr").tolist() == [0, 2, 4, 5] and stored.open("indices").tolist() == [1, 2, 0, 1, 0]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match=r"names node 7 of 3: nodes are 0 to 2"):
        sort_edges(lambda: iter([(np.array([0]), np.array([7]), None)]), 3, tmp_path)
    with pytest.raises(SemblanceError, match=r"has no indices.npy: give a folder"):
        np.save(tmp_path / "indptr.npy", np.zeros(1))
        StoredRows(tmp_path)
