"""Filtered: nearest neighbours inside a condition, at the recall that is asked for.

Items are indexed in parts (fused/), each with its rows in the order of an attribute and a plan of its own; what was
added since is measured row by row until there is enough for a part. Parts are built in the background and never change;
small neighbours are joined. Removed items are masked until a part is built anew.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory import columns as arrow
from semblance.memory.changes import check_ids, named
from semblance.memory.conditions import Condition
from semblance.memory.exact import checked_queries
from semblance.memory.fused.part import Part
from semblance.memory.fused.planner import COUNTS, checked_recall, share_at_least
from semblance.memory.fused.prepared import REAL, Quick, quick
from semblance.memory.fused.together import Found, Tail, search
from semblance.memory.masks import Column
from semblance.memory.segments import Floats, Ints, checked
from semblance.memory.store import Store
from semblance.memory.where import bind, parse_where

FIRST = 4_096
"""Rows that no part holds before the first part is built; later, an eighth of what parts hold."""


class State(NamedTuple):
    """One version of the index. An item's number is its place in `ids`; dead items keep theirs."""

    ids: list[str]
    alive: NDArray[np.bool_]  # [N]
    table: pa.Table  # attributes by number
    parts: tuple[Part, ...]
    tail: tuple[Floats, ...]  # vectors of the last items, in blocks

    @property
    def indexed(self) -> int:
        return len(self.ids) - sum(map(len, self.tail))


class Filtered:
    """An index for cosine or Euclidean distance. `recall` is the share of true neighbours that answers hold."""

    def __init__(self, dim: int, geometry: str = "cosine", recall: float = 0.95):
        if geometry not in ("cosine", "euclidean"):
            raise SemblanceError(f"geometry {geometry!r} has no filtered index, only cosine and euclidean: use Exact")
        self.dim, self.geometry, self.recall = dim, space_named(geometry), checked_recall(recall)
        self._state = State([], np.empty(0, np.bool_), pa.table({}), (), ())
        self._known: dict[str, int] = {}
        self._lock, self._building = threading.RLock(), threading.Lock()
        self._worker: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._known)

    @property
    def flat(self) -> bool:
        return self.geometry.name == "euclidean"

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items; an id that is there already is refused."""
        check_ids(ids)
        block = self.geometry.prepare(checked(vectors, self.dim, 0))
        table = arrow.storable(attributes if attributes is not None else pa.table({}))
        if len(block) != len(ids) or (table.num_columns and table.num_rows != len(ids)):
            raise SemblanceError(f"{len(ids)} ids came with {len(block)} vectors and {table.num_rows} attributes")
        with self._lock:
            now = self._state
            twice = [id for id in ids if id in self._known]
            if twice:
                raise SemblanceError(f"{named(twice, len(ids))} in the index already: remove them first")
            schema = arrow.joined(now.table.schema, table.schema)
            parts = [_with(now.table, schema, len(now.ids)), _with(arrow.fitted(table, schema), schema, len(ids))]
            for part in now.parts:
                part.learn(schema)
            self._known.update(zip(ids, range(len(now.ids), len(now.ids) + len(ids)), strict=True))
            self._state = now._replace(
                ids=[*now.ids, *ids],
                alive=np.append(now.alive, np.ones(len(ids), np.bool_)),
                table=pa.concat_tables(parts) if schema.names else now.table,
                tail=(*now.tail, np.array(block)),
            )
            now = self._state
        if len(now.ids) - now.indexed >= max(FIRST, now.indexed // 8):
            self._build_aside()

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        with self._lock:
            missing = [id for id in dict.fromkeys(ids) if id not in self._known]
            if missing:
                raise SemblanceError(f"{named(missing, len(ids))} not in the index; nothing was removed")
            alive = self._state.alive.copy()
            alive[[self._known.pop(id) for id in dict.fromkeys(ids)]] = False
            self._state = self._state._replace(alive=alive)
            wasteful = 3 * len(self._known) < 2 * len(alive) and len(alive) >= FIRST
        if wasteful:
            self._build_aside()

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] for which the condition is true: ids and distances."""
        now, found, distances = self.answer(queries, k, where)
        names = [[now.ids[key] for key in line if key >= 0] for line in found.keys]
        return names, [line[: len(name)] for line, name in zip(distances, names, strict=True)]

    def answer(
        self, queries: np.ndarray, k: int, where: str | Condition | None = None, recall: float | None = None
    ) -> tuple[State, Found, Floats]:
        """What `search` knows: the version, numbers and scores with what was done, and distances [Q, m]."""
        now = self._state
        asked = self.geometry.prepare(checked_queries(queries, self.dim, k))
        condition = self._parsed(now, where) if isinstance(where, str) else where
        found = search(
            [(part, self._alive(part, now)) for part in now.parts], self._tail(now), asked, k, condition,
            self.recall if recall is None else checked_recall(recall), self.flat,
        )  # fmt: skip
        if self.flat:
            return now, found, np.sqrt(-2 * found.scores)
        return now, found, np.clip(1 - found.scores, 0, 2)

    def prepare(self, where: str | None = None, recall: float | None = None) -> Prepared:
        """A search whose condition is read once; its question marks get values at each call."""
        return Prepared(self, where, self.recall if recall is None else checked_recall(recall))

    def build(self) -> None:
        """Indexes all that is not indexed yet, and forgets what was removed; returns when that is done."""
        with self._building:
            now = self._state
            if now.indexed == len(now.ids) and bool(now.alive.all()):
                return
            keep = np.flatnonzero(now.alive)
            first = self._joined(now) if bool(now.alive.all()) else 0
            taken = keep[keep >= first]
            vectors = self._vectors(now, first)[taken - first]
            table = now.table.take(pa.array(taken)) if now.table.num_columns else now.table
            columns = {name: Column.of(table[name], name) for name in table.column_names}
            part = Part.build(taken, vectors, columns, self.flat) if len(taken) else None
            with self._lock:
                self._swap(now, first, part)

    def save(self, path: Path) -> None:
        """Writes a space folder, or replaces the content of the one that is there."""
        with self._lock:
            now = self._state
        keep = np.flatnonzero(now.alive)
        entries: dict[str, Any] = {"dim": self.dim, "geometry": self.geometry.name, "domain": "vectors"}
        exists = (Path(path) / "space.db").exists()
        with Store.open(path, write=True) if exists else Store.create(path, **entries, manifest={}) as store:
            store.commit_space(
                ids=[now.ids[number] for number in keep], vectors=self._vectors(now, 0)[keep],
                attributes=now.table.take(pa.array(keep)) if now.table.num_columns else None, **entries,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Filtered:
        """The index over what a space holds."""
        with Store.open(path) as store:
            now = store.view
            index = cls(now.manifest["dim"], now.manifest["geometry"])
            index.add(now.ids(), now.vectors(), now.attributes())
        return index

    def _parsed(self, now: State, where: str) -> Condition:
        return parse_where(where, {field.name: field.type for field in now.table.schema})

    def _alive(self, part: Part, now: State) -> NDArray[np.bool_] | None:
        if now.alive.all():  # a hundred times quicker than to gather them
            return None
        held = now.alive[part.keys]
        return None if held.all() else held

    def _tail(self, now: State) -> Tail:
        first = now.indexed
        keys = np.flatnonzero(now.alive[first:]) + first
        if not len(keys):
            return Tail(keys, np.empty((0, self.dim), np.float32), {})
        vectors = now.tail[0] if len(now.tail) == 1 else np.concatenate(now.tail)
        table = now.table.take(pa.array(keys)) if now.table.num_columns else now.table
        return Tail(keys, vectors[keys - first], {name: Column.of(table[name], name) for name in table.column_names})

    def _joined(self, now: State) -> int:
        """The number from which on a new part is built: the tail's, or that of parts before it that are not much larger."""
        first = now.indexed
        for part in reversed(now.parts):
            if len(part) > 2 * (len(now.ids) - first):
                break
            first = int(part.keys.min())
        return first

    def _vectors(self, now: State, first: int) -> Floats:
        """Prepared vectors of the items numbered from `first` on; zero where one was dropped."""
        out = np.zeros((len(now.ids) - first, self.dim), np.float32)
        for part in now.parts:
            if part.keys.min() >= first:
                out[part.keys - first] = part.rows.vectors
        start = now.indexed
        for block in now.tail:
            out[start - first : start - first + len(block)] = block
            start += len(block)
        return out

    def _swap(self, built: State, first: int, part: Part | None) -> None:
        """Puts a part in the place of what it was built from; items added meanwhile stay in the tail."""
        now = self._state
        added = sum(map(len, now.tail)) - sum(map(len, built.tail))
        vectors = np.concatenate(now.tail)[-added:] if added else np.empty((0, self.dim), np.float32)
        kept = tuple(old for old in built.parts if old.keys.min() < first)
        if part is not None:
            part.learn(now.table.schema)
        self._state = now._replace(parts=(*kept, part) if part is not None else kept, tail=(vectors,) if added else ())

    def _build_aside(self) -> None:
        """Builds in the background, unless that is going on."""
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self.build, name="index", daemon=True)
                self._worker.start()


class Prepared:
    """A search that was read once; call it with a query [d], the number of neighbours, and values for question marks."""

    def __init__(self, index: Filtered, where: str | None, recall: float):
        self.index, self.recall = index, recall
        now = index._state
        self.tree = None if where is None else index._parsed(now, where)
        self._made: State | None = None
        self._quick: Quick | None = None
        self._shape = (index.dim,)
        self._remake()

    def __call__(self, query: Floats, k: int, *values: Any) -> tuple[Ints, Floats]:
        """Numbers (in order of addition) and distances of the k nearest, nearest first."""
        if self.index._state is not self._made:
            self._remake()
        quick = self._quick
        # Kernels are compiled for queries in one piece that may be written: others are copied first.
        if quick and 0 < k <= COUNTS[-1] and query.dtype is REAL and query.shape == self._shape and query.flags.carray:
            try:
                return quick(query, k, *values)
            except (TypeError, IndexError, OverflowError):
                # Values of another kind or number: they are converted, or it is said what is wrong.
                return self._slow(query, k, values)
        return self._slow(query, k, values)

    def _slow(self, query: Floats, k: int, values: Sequence[Any]) -> tuple[Ints, Floats]:
        condition = None if self.tree is None else bind(self.tree, values)
        _, found, distances = self.index.answer(query, k, condition, self.recall)
        return found.keys[0], distances[0]

    def _remake(self) -> None:
        now = self.index._state
        self._quick = None
        if len(now.parts) == 1 and not now.tail and bool(now.alive.all()):
            self._quick = quick(now.parts[0], self.tree, share_at_least(self.recall), self.index.flat)
        self._made = now


def _with(table: pa.Table, schema: pa.Schema, count: int) -> pa.Table:
    """The table with all columns of a schema, null where it has none."""
    held = [table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(count, f.type) for f in schema]
    return pa.table(held, schema=schema)
