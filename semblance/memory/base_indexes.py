"""Base indexes: the pieces of faiss behind one small face, over rows that lie in the order of a label.

    Flat     every asked row is measured; a range is a slice of the matrix that nobody copies
    Lists    inverted lists (IVF-Flat), the nearest `effort` of them are scanned; a range is a slice of every list
    Graph    HNSW, walked with a beam of `effort`; opt-in, since it takes ten times as long to build

`search(queries, k, rows, effort)` answers with distances [Q, k] of the geometry, nearest first, and positions [Q, k],
-1 where fewer were found. `rows` says which positions may be answered: all (None), a range (start, stop), or a mask
bool [n]. `evaluations` counts the distances that were measured so far, of which building is no part.

Since the rows of a list ascend, a range of positions is a slice of each list, which `IDSelectorRange` finds by bisection
when it is told that they are sorted: that, and no graph, is what makes wide windows fast. A graph measures whatever it
walks over, whether or not it may be answered.
Malkov, Yashunin 2018, Efficient and robust approximate nearest neighbor search using HNSW graphs. Johnson, Douze, Jegou
2017, Billion-scale similarity search with GPUs (faiss).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import faiss as untyped
import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Chosen = tuple[int, int] | NDArray[np.bool_] | None

faiss: Any = untyped  # its stubs know few of its names

METRICS = {"euclidean": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}
_COUNTING = threading.Lock()
"""faiss counts in globals: one counted search at a time."""


class Base(Protocol):
    """What a base index can do."""

    evaluations: int

    def __len__(self) -> int: ...

    def add(self, vectors: Floats) -> None: ...

    def search(self, queries: Floats, k: int, rows: Chosen = None, effort: int = 0) -> tuple[Floats, Ints]: ...


Builder = Callable[[Floats, str], Base]
"""Makes a base index of prepared vectors [n, d] and the name of their geometry."""


class Flat:
    """Exact. Holds the matrix it is given, or a part of it, without a copy."""

    def __init__(self, vectors: Floats, geometry: str = "euclidean"):
        self.vectors, self.metric = np.ascontiguousarray(vectors, np.float32), _metric(geometry)
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, vectors: Floats) -> None:
        self.vectors = np.concatenate([self.vectors, vectors.astype(np.float32)])

    def search(self, queries: Floats, k: int, rows: Chosen = None, effort: int = 0) -> tuple[Floats, Ints]:
        """Every allowed row is measured; `effort` changes nothing."""
        if isinstance(rows, np.ndarray):
            at = np.flatnonzero(rows)
            items = self.vectors[at]
        else:
            start, stop = rows or (0, len(self))
            at, items = np.arange(start, stop), self.vectors[start:stop]
        self.evaluations += len(queries) * len(items)
        if not len(items) or not len(queries):
            return _nothing(len(queries), k)
        found, near = faiss.knn(queries, items, min(k, len(items)), metric=self.metric)
        return _filled(_distances(found, self.metric), at[near], k)


class _Faiss:
    """What lists and graphs share: a faiss index that grows, is searched under a selector and is written as bytes."""

    def __init__(self, index: Any):
        self.index, self.evaluations = index, 0

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def add(self, vectors: Floats) -> None:
        self.index.add(np.ascontiguousarray(vectors, np.float32))

    def search(self, queries: Floats, k: int, rows: Chosen = None, effort: int = 0) -> tuple[Floats, Ints]:
        if isinstance(rows, tuple) and rows[0] >= rows[1]:
            return _nothing(len(queries), k)
        k, asked = min(k, len(self)), k
        keep, selector = _selector(rows)  # `keep` outlives the call: the selector points into it
        parameters = self.parameters(k, effort, selector)
        with _COUNTING:
            before = self.counted()
            found, near = self.index.search(np.ascontiguousarray(queries, np.float32), k, params=parameters)
            self.evaluations += self.counted() - before + self.overhead(len(queries))
        del keep
        distance = np.where(near < 0, np.float32(np.inf), _distances(found, self.index.metric_type))
        return _filled(distance, near, asked)

    def parameters(self, k: int, effort: int, selector: Any) -> Any:
        raise NotImplementedError

    def counted(self) -> int:
        raise NotImplementedError

    def overhead(self, queries: int) -> int:
        """Distances that the library does not count."""
        return 0

    def bytes(self) -> NDArray[np.uint8]:
        """The index as faiss writes it."""
        return np.asarray(faiss.serialize_index(self.index))


class Lists(_Faiss):
    """IVF-Flat with 4 sqrt(n) lists (fewer where there are not 39 rows for each, of which faiss would warn)."""

    def __init__(self, vectors: Floats, geometry: str = "euclidean", lists: int = 0, probes: int = 8):
        n, d = vectors.shape
        lists = lists or max(1, min(int(4 * math.sqrt(n)), n // 39))
        metric = _metric(geometry)
        self.quantizer = faiss.IndexFlat(d, metric)
        index = faiss.IndexIVFFlat(self.quantizer, d, lists, metric)
        index.cp.niter = 10
        x = np.ascontiguousarray(vectors, np.float32)
        index.train(x if n < 60 * lists else x[np.random.default_rng(0).permutation(n)[: 60 * lists]])
        index.add(x)
        super().__init__(index)
        self.probes = probes

    def parameters(self, k: int, effort: int, selector: Any) -> Any:
        return faiss.SearchParametersIVF(nprobe=min(effort or self.probes, self.index.nlist), sel=selector)

    def counted(self) -> int:
        return int(faiss.cvar.indexIVF_stats.ndis)

    def overhead(self, queries: int) -> int:
        return queries * int(self.index.nlist)  # every query is measured against every list's centre


class Graph(_Faiss):
    """HNSW with `neighbours` links a node (twice as many on the ground floor)."""

    def __init__(self, vectors: Floats, geometry: str = "euclidean", neighbours: int = 16, construction: int = 40):
        index = faiss.IndexHNSWFlat(vectors.shape[1], neighbours, _metric(geometry))
        index.hnsw.efConstruction = construction
        index.add(np.ascontiguousarray(vectors, np.float32))
        super().__init__(index)

    def parameters(self, k: int, effort: int, selector: Any) -> Any:
        return faiss.SearchParametersHNSW(efSearch=max(effort or 16, k), sel=selector)

    def counted(self) -> int:
        return int(faiss.cvar.hnsw_stats.ndis)


def base_index(kind: str, **settings: int) -> Builder:
    """The builder of a kind: "flat", "lists" (lists, probes) or "graph" (neighbours, construction)."""
    if kind not in BASES:
        raise unknown("base index", kind, BASES)
    return partial(BASES[kind], **settings)


def restored(kind: str, content: NDArray[np.uint8]) -> Base:
    """Lists or a graph from their bytes."""
    index = faiss.deserialize_index(content)
    base: Any = object.__new__(BASES[kind])
    _Faiss.__init__(base, index)
    if kind == "lists":
        base.probes = 8
    return base


BASES: dict[str, Any] = {"flat": Flat, "lists": Lists, "graph": Graph}


def _metric(geometry: str) -> int:
    if geometry not in METRICS:
        raise SemblanceError(
            f"geometry {geometry!r} has no base index: euclidean and cosine have; others are scanned by memory.Exact"
        )
    return int(METRICS[geometry])


def _selector(rows: Chosen) -> tuple[Any, Any]:
    """What must stay alive during the search, and the selector."""
    if rows is None:
        return None, None
    if isinstance(rows, tuple):
        return None, faiss.IDSelectorRange(int(rows[0]), int(rows[1]), True)
    bits = np.packbits(rows, bitorder="little")
    return bits, faiss.IDSelectorBitmap(bits)


def _distances(found: Floats, metric: int) -> Floats:
    """What faiss answers with (squares, or products) as distances of the geometry."""
    if metric == faiss.METRIC_L2:
        return np.sqrt(np.maximum(found, 0))
    return np.clip(1 - found, 0, 2)


def _nothing(queries: int, k: int) -> tuple[Floats, Ints]:
    return np.full((queries, k), np.inf, np.float32), np.full((queries, k), -1, np.int64)


def _filled(distance: Floats, near: Ints, k: int) -> tuple[Floats, Ints]:
    """The same with k columns."""
    missing = ((0, 0), (0, k - near.shape[1]))
    if not missing[1][1]:
        return distance, near
    return np.pad(distance, missing, constant_values=np.inf), np.pad(near, missing, constant_values=-1)
