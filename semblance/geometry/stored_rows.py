"""Rows of edges that lie on disk: a graph that does not fit into memory, read a stretch of rows at a time.

    indptr.npy    int64 [V + 1]     row v is indices[indptr[v] : indptr[v + 1]], ascending
    indices.npy   int32 or int64 [E]
    weight.npy    float32 [E], where edges differ

which are the parts of a SciPy CSR matrix, by np.save. `sort_edges` makes them of edges in any order, in two passes and one
bucket of rows at a time (an external sort by distribution: Knuth 1998, volume 3, 5.4.9). Memory: 8 bytes a node, and a
bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from semblance.errors import SemblanceError
from semblance.geometry.graph import Rows

Edges = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Rows, entries, weights: [n] each."""
BUCKET = 1 << 24
"""Edges that are sorted at a time."""
STRETCH = 1 << 22
"""Entries and rows that are read at a time."""
PAGE = 1024
"""Stretches begin at a multiple of so many rows: two of them share no page of a file that several write."""


@dataclass(frozen=True)
class StoredRows:
    """Rows in a folder. Opened anew by whoever reads them, so it can be sent anywhere the folder is seen."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("indptr", "indices"):
            if not (self.folder / f"{name}.npy").exists():
                raise SemblanceError(f"{self.folder} has no {name}.npy: give a folder with indptr.npy and indices.npy")

    def open(self, name: str) -> np.ndarray:
        """An array of these, mapped."""
        array: np.ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array

    @property
    def weighted(self) -> bool:
        """Whether edges have weights."""
        return (self.folder / "weight.npy").exists()

    @property
    def num_nodes(self) -> int:
        """V."""
        return len(self.open("indptr")) - 1

    def stretch(self, first: int, last: int) -> tuple[Rows, np.ndarray | None]:
        """Rows first .. last - 1 in memory, counted from 0, with the weights of their entries."""
        start = np.asarray(self.open("indptr")[first : last + 1], np.int64)
        low, high = int(start[0]), int(start[-1])
        index = np.array(self.open("indices")[low:high], np.int32)
        weight = np.array(self.open("weight")[low:high], np.float32) if self.weighted else None
        return Rows(start - low, index, np.arange(high - low)), weight

    def stretches(self) -> list[tuple[int, int]]:
        """Bounds [first, last) of stretches with about STRETCH entries and rows, in whole pages."""
        start = self.open("indptr")
        pages = np.append(np.arange(0, len(start) - 1, PAGE), len(start) - 1)
        cost = np.asarray(start[pages], np.int64) + pages
        bounds = [0]
        while bounds[-1] < len(pages) - 1:
            reached = int(np.searchsorted(cost, cost[bounds[-1]] + STRETCH, "right")) - 1
            bounds.append(max(reached, bounds[-1] + 1))
        return list(pairwise(pages[bounds].tolist()))


def store(rows: Rows, weight: np.ndarray | None, folder: Path) -> StoredRows:
    """Rows in memory, as files; weight [E] is in the order of the edges that the rows were made of."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "indptr.npy", rows.start)
    np.save(folder / "indices.npy", rows.index)
    if weight is not None:
        np.save(folder / "weight.npy", np.asarray(weight, np.float32)[rows.order])
    return StoredRows(folder)


def sort_edges(edges: Callable[[], Iterable[Edges]], num_nodes: int, folder: Path, bucket: int = BUCKET) -> StoredRows:
    """Edges in any order -> rows on disk; repeated ones in their order. `edges()` gives them in blocks, each time anew."""
    folder.mkdir(parents=True, exist_ok=True)
    degree, weighted = np.zeros(num_nodes, np.int64), False
    for row, entry, weight in edges():
        for ends in (row, entry):
            if len(ends) and not 0 <= int(ends.min()) <= int(ends.max()) < num_nodes:
                raise SemblanceError(
                    f"an edge names node {int(ends.min()) if ends.min() < 0 else int(ends.max())} of {num_nodes:,}: "
                    f"nodes are 0 to {num_nodes - 1:,}"
                )
        degree += np.bincount(row, minlength=num_nodes)
        weighted = weight is not None
    indptr = np.concatenate([[0], np.cumsum(degree)])
    del degree
    np.save(folder / "indptr.npy", indptr)
    total = int(indptr[-1])
    firsts = np.unique(np.searchsorted(indptr, np.arange(0, total + 1, bucket), "right") - 1)
    firsts = np.append(firsts[firsts < num_nodes], num_nodes)
    columns = (np.int64, np.int32, np.float32)[: 3 if weighted else 2]
    parts = [[folder / f"bucket-{b}-{c}" for c in range(len(columns))] for b in range(len(firsts) - 1)]
    try:
        _scatter(edges(), firsts, parts, columns)
        with (
            _Growing(folder / "indices.npy", np.int32, total) as index,
            _Growing(folder / "weight.npy", np.float32, total if weighted else None) as weights,
        ):
            for files in parts:
                row, entry, *rest = (np.fromfile(file, kind) for file, kind in zip(files, columns, strict=True))
                order = np.lexsort((entry, row))
                index.write(entry[order])
                if weighted:
                    weights.write(rest[0][order])
    finally:
        for files in parts:
            for file in files:
                file.unlink(missing_ok=True)
    return StoredRows(folder)


def _scatter(edges: Iterable[Edges], firsts: np.ndarray, parts: list[list[Path]], columns: tuple[type, ...]) -> None:
    """Every edge to the end of its bucket's files, in order."""
    for files in parts:
        for file in files:
            file.write_bytes(b"")
    for block in edges:
        at = np.searchsorted(firsts, block[0], "right") - 1
        order = np.argsort(at, kind="stable")
        cut = np.searchsorted(at[order], np.arange(len(parts) + 1))
        for b in np.flatnonzero(np.diff(cut)):
            mine = order[cut[b] : cut[b + 1]]
            for file, column, kind in zip(parts[b], block, columns, strict=False):
                with file.open("ab") as out:
                    np.asarray(column)[mine].astype(kind).tofile(out)


class _Growing:
    """A .npy file of known length that is written from its start to its end; None: no file."""

    def __init__(self, path: Path, kind: type, length: int | None):
        self.path, self.kind, self.length = path, kind, length

    def __enter__(self) -> _Growing:
        if self.length is not None:
            self.file = self.path.open("wb")
            described = {"descr": np.lib.format.dtype_to_descr(np.dtype(self.kind)), "fortran_order": False}
            np.lib.format.write_array_header_1_0(self.file, {**described, "shape": (self.length,)})
        return self

    def write(self, values: np.ndarray) -> None:
        """The next values."""
        values.astype(self.kind).tofile(self.file)

    def __exit__(self, *error: object) -> None:
        if self.length is not None:
            self.file.close()


def both_ways(edges: Callable[[], Iterable[Edges]]) -> Callable[[], Iterator[Edges]]:
    """Undirected edges, named once each, in both directions; a self-loop once."""

    def turned() -> Iterator[Edges]:
        for one, other, weight in edges():
            yield one, other, weight
            apart = one != other
            yield other[apart], one[apart], None if weight is None else weight[apart]

    return turned
