"""Exact: the nearest items by looking at all of them, in blocks, so that memory is bounded whatever the number of items.

    scan     the k nearest of chosen rows of anything that gives rows by slices and positions (an array, a space's vectors)
    Exact    the Index contract over it, in memory; saved as a space

A block is measured in float32 and its best join the best so far; a few more than k are kept, measured again in float64
and put in order. Equal distances keep the order of the rows: a distance that is not negative sorts as the whole number
with its bits, so distance and row make one key and no comparison is left to chance. (Copies of one vector in excess of
`SPARE` may still be told apart by float32's rounding when the k best are chosen among them.)
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, space_named
from semblance.memory import columns as arrow
from semblance.memory.changes import check_ids, named
from semblance.memory.segments import BLOCK, Floats, Ints, Vectors, checked
from semblance.memory.store import Store
from semblance.memory.where import compile_where

QUERIES = 256
"""Queries measured at a time: with BLOCK items, 8 MB of distances."""
SPARE = 32
"""Candidates beyond k that are measured again in float64."""


class Rows(Protocol):
    """Rows [N, d] that are read a few at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Floats: ...


def scan(
    vectors: Rows, rows: Ints | None, queries: np.ndarray, k: int, geometry: str | Geometry
) -> tuple[Ints, Floats]:
    """The k nearest among `rows` (positions in `vectors`; all if None) to each query, nearest first.

    queries [Q, d] -> positions [Q, k] and distances [Q, k]; fewer columns where there are fewer rows than k.
    """
    space = space_named(geometry) if isinstance(geometry, str) else geometry
    asked = space.prepare(checked_queries(queries, vectors.shape[1], k))
    count = len(vectors) if rows is None else len(rows)
    kept = min(k + SPARE, count)
    best = np.empty((len(asked), 0), np.uint64)
    for start in range(0, count, BLOCK):
        block = vectors[start : start + BLOCK] if rows is None else vectors[rows[start : start + BLOCK]]
        items = space.prepare(block)
        best = np.concatenate([_best(space, asked[q : q + QUERIES], items, start, best[q : q + QUERIES], kept)
                               for q in range(0, len(asked), QUERIES)] or [best])  # fmt: skip
    k = min(k, count)
    positions, distances = np.empty((len(asked), k), np.int64), np.empty((len(asked), k), np.float32)
    for number, keys in enumerate(best):
        # Ascending rows: they are read in order, and a stable sort leaves equal distances in that order.
        near = np.sort((keys & np.uint64(0xFFFFFFFF)).astype(np.int64))
        near = near if rows is None else rows[near]
        items = space.prepare(vectors[near]).astype(np.float64)
        exact = space.distance(asked[number : number + 1].astype(np.float64), items)[0].astype(np.float32)
        order = np.argsort(exact, kind="stable")[:k]
        positions[number], distances[number] = near[order], exact[order]
    return positions, distances


def checked_queries(queries: np.ndarray, dim: int, k: int) -> Floats:
    """Queries [Q, d] (or one, [d]) that can be answered, as float32."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise SemblanceError(f"k is {k!r}, but it counts the neighbours to find: give 1 or more")
    asked = np.atleast_2d(np.asarray(queries))
    if asked.ndim != 2 or asked.dtype.kind not in "fiu" or asked.shape[1] != dim:
        raise SemblanceError(
            f"queries have the shape {list(np.shape(queries))}, but vectors here are [Q, {dim}] numbers"
        )
    bad = ~np.isfinite(asked).all(axis=1)
    if bad.any():
        raise SemblanceError(f"query {int(np.argmax(bad))} holds NaN or infinity, which is near nothing: mend it")
    return asked.astype(np.float32)


def _best(
    space: Geometry, asked: Floats, items: Floats, start: int, best: NDArray[np.uint64], kept: int
) -> NDArray[np.uint64]:
    """The smallest keys of these queries among those so far and a block that begins at row `start`: [Q, <= kept]."""
    # Adding 0 makes -0 a 0, whose bits sort first.
    distance = np.ascontiguousarray(space.distance(asked, items), dtype=np.float32) + np.float32(0)
    if best.shape[1] < kept:
        rows = np.arange(start, start + len(items), dtype=np.uint64)
        return _smallest(np.concatenate([best, _keys(distance, rows)], axis=1), kept)
    # Only what is nearer than the worst that is kept can come in; equals came before and stay.
    worst = (best.max(axis=1) >> np.uint64(32)).astype(np.uint32).view(np.float32)
    query, row = np.nonzero(~(distance >= worst[:, None]))
    if not len(query):
        return best
    counts = np.bincount(query, minlength=len(asked))
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.full((len(asked), int(counts.max())), np.iinfo(np.uint64).max, np.uint64)
    keys[query, place] = _keys(distance[query, row], (row + start).astype(np.uint64))
    return _smallest(np.concatenate([best, keys], axis=1), kept)


def _keys(distance: Floats, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Distances that are not negative, and rows below 2^32 -> whole numbers in the order of (distance, row)."""
    return (distance.view(np.uint32).astype(np.uint64) << np.uint64(32)) | rows


def _smallest(keys: NDArray[np.uint64], kept: int) -> NDArray[np.uint64]:
    return np.partition(keys, kept - 1, axis=1)[:, :kept] if keys.shape[1] > kept else keys


class Exact:
    """An index that is always right: every search measures every item that the condition leaves."""

    def __init__(self, dim: int, geometry: str = "cosine"):
        self.dim, self.geometry = dim, space_named(geometry)
        self._ids: list[str] = []
        self._known: set[str] = set()
        self._vectors = Vectors([], np.empty(0, np.int64), dim)
        self._keys = np.empty(0, np.int64)  # [N], ascending: the rows of the items' attributes, never used again
        self._next = 0
        self._schema = pa.schema([])
        self._tables = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._tables.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items; an id that is there already is refused."""
        check_ids(ids)
        block = checked(vectors, self.dim, 0)
        table = arrow.storable(attributes if attributes is not None else pa.table({}))
        if len(block) != len(ids) or (table.num_columns and table.num_rows != len(ids)):
            raise SemblanceError(f"{len(ids)} ids came with {len(block)} vectors and {table.num_rows} attributes")
        with self._lock:
            twice = [id for id in ids if id in self._known]
            if twice:
                raise SemblanceError(f"{named(twice, len(ids))} in the index already: remove them first")
            schema = arrow.joined(self._schema, table.schema)
            table = arrow.fitted(table, schema)
            keys = range(self._next, self._next + len(ids))
            with self._tables:
                self._tables.execute("BEGIN")
                arrow.add_columns(self._tables, self._schema, schema)
                arrow.put(self._tables, schema, keys, table)
            parts = self._vectors.parts
            slots = np.arange(len(block)) + self._vectors.starts[-1]
            self._vectors = Vectors([*parts, block.copy()], np.append(self._vectors.slots, slots), self.dim)
            self._schema, self._next = schema, keys.stop
            self._keys = np.append(self._keys, np.arange(keys.start, keys.stop))
            self._ids = [*self._ids, *ids]
            self._known.update(ids)

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        with self._lock:
            gone = set(ids)
            missing = sorted(gone - self._known)
            if missing:
                raise SemblanceError(f"{named(missing, len(ids))} not in the index; nothing was removed")
            stays = np.array([id not in gone for id in self._ids], dtype=bool)
            self._tables.executemany("DELETE FROM attributes WHERE row = ?", ((int(k),) for k in self._keys[~stays]))
            self._ids = [id for id in self._ids if id not in gone]
            self._known -= gone
            self._keys = self._keys[stays]
            vectors = Vectors(self._vectors.parts, self._vectors.slots[stays], self.dim)
            if vectors.starts[-1] > 2 * len(vectors):  # most of what is held belongs to nobody
                vectors = Vectors([vectors[:].copy()], np.arange(len(vectors)), self.dim)
            self._vectors = vectors

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] for which the condition is true: ids and distances."""
        with self._lock:
            ids, vectors = self._ids, self._vectors
            rows = None if where is None else np.searchsorted(self._keys, self._picked(where)).astype(np.int64)
        positions, distances = scan(vectors, rows, queries, k, self.geometry)
        return [[ids[row] for row in line] for line in positions], list(distances)

    def save(self, path: Path) -> None:
        """Writes a space folder, or replaces the content of the one that is there."""
        with self._lock:
            ids, vectors = self._ids, self._vectors
            table = arrow.get(self._tables, self._schema, self._schema.names, self._keys.tolist())
        entries: dict[str, Any] = {"dim": self.dim, "geometry": self.geometry.name, "domain": "vectors"}
        exists = (Path(path) / "space.db").exists()
        with Store.open(path, write=True) if exists else Store.create(path, **entries, manifest={}) as store:
            store.commit_space(ids=ids, vectors=vectors.blocks(), attributes=table, **entries)

    @classmethod
    def load(cls, path: Path) -> Exact:
        """The index over what a space holds."""
        with Store.open(path) as store:
            now = store.view
            index = cls(now.manifest["dim"], now.manifest["geometry"])
            index.add(now.ids(), now.vectors(), now.attributes())
        return index

    def _picked(self, where: str) -> Ints:
        """The keys, ascending, of the items for which the condition is true."""
        kinds = {field.name: field.type for field in self._schema}
        condition, values = compile_where(where, kinds, arrow.places(self._schema))
        found = self._tables.execute(f"SELECT row FROM attributes WHERE {condition} ORDER BY row", values)
        return np.fromiter((line[0] for line in found), np.int64)
