"""View: one version of a space, for reading; it does not move while a writer goes on.

Items are known by their position among the live ones, 0 to count - 1 in the order of insertion (a changed attribute
moves no item, a new vector moves it to the end), which holds for this view and no other. Positions are exchanged for
ids, vectors, attributes and thumbnails here. When the space was rewritten as a whole since (fitted anew, compacted), a
view says so by `Stale` rather than give parts of both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.errors import Failed, SemblanceError, unknown
from semblance.memory import columns as arrow
from semblance.memory.database import FORMAT, Pool, Record, read_record
from semblance.memory.segments import Floats, Ints, Vectors, mapped
from semblance.memory.where import compile_where

LIVE = "born <= ? AND (died IS NULL OR died > ?)"


class Stale(Failed):
    """The space was rewritten since this view was taken: take a new one."""


class View:
    """The items of one version, in the order in which they were added."""

    def __init__(
        self, folder: Path, pool: Pool, record: Record, rows: Ints, slots: Ints, last: int, before: View | None = None
    ):
        self.folder, self.record = folder, record
        self.rows = rows  # [N], in the order of slots; ascending only while no attribute was changed
        self.last = last  # the highest row this generation has given out: what is above it is newer than this view
        self._pool = pool
        dim = int(record.manifest["dim"])
        known = {} if before is None else before._maps()
        parts, short = mapped(folder / "segments", record.segments, dim, known)
        self.source = Vectors(parts, slots, dim, short)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of what stands in the manifest, with the format, the version, the count and the live files."""
        record = self.record
        return {
            **record.manifest,
            "format": FORMAT,
            "version": record.version,
            "generation": record.generation,
            "count": len(self),
            "oldest": record.oldest,
            "segments": [{"file": segment.file, "rows": segment.rows} for segment in record.segments],
        }

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the attributes."""
        return arrow.until(self.record.schema, self.version)

    def vectors(self, rows: Ints | Sequence[int] | None = None) -> Floats:
        """[n, dim] of these positions, or of all: a view of the file where they lie in one piece, else a copy."""
        return self.source[slice(None) if rows is None else self._positions(rows)]

    def ids(self, rows: Ints | Sequence[int] | None = None) -> list[str]:
        """The ids of these positions, or of all."""
        if rows is None:
            with self._reading() as connection:
                version = self.version
                found = connection.execute(f"SELECT id FROM items WHERE {LIVE} ORDER BY row", (version, version))
                names = [line[0] for line in found]
                return names if self._sorter is None else [names[rank] for rank in np.argsort(self._sorter)]
        keys = [int(key) for key in self.rows[self._positions(rows)]]
        with self._reading() as connection:
            return [connection.execute("SELECT id FROM items WHERE row = ?", (key,)).fetchone()[0] for key in keys]

    def largest_number(self) -> int:
        """The largest id that is a whole number; -1 where none is."""
        number = "length(id) < 19 AND id NOT GLOB '*[^0-9]*'"
        with self._reading() as connection:
            question = f"SELECT coalesce(max(CAST(id AS INTEGER)), -1) FROM items WHERE {LIVE} AND {number}"
            return int(connection.execute(question, (self.version, self.version)).fetchone()[0])

    def row_of(self, id: str) -> int:
        """The position of the item with this id."""
        return int(self._at(np.array([self._key(id)]))[0])

    def thumbnail(self, id: str) -> bytes | None:
        """The item's PNG, if it has one."""
        key = self._key(id)
        with self._reading() as connection:
            line = connection.execute("SELECT png FROM thumbnails WHERE row = ?", (key,)).fetchone()
            if line is not None and isinstance(line[0], int):
                line = connection.execute("SELECT png FROM thumbnails WHERE row = ?", line).fetchone()
        return None if line is None else bytes(line[0])

    def attributes(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        rows: Ints | Sequence[int] | None = None,
    ) -> pa.Table:
        """The attributes (all, or the columns named) of all items, of those `where` picks, or of these positions."""
        names = list(self.schema.names if columns is None else columns)
        for name in names:
            if name not in self.schema.names:
                raise unknown("attribute", name, self.schema.names)
        if where is not None and rows is not None:
            raise SemblanceError("attributes are picked by `where` or by `rows`, not by both")
        positions = self.rows_where(where) if where is not None else None if rows is None else self._positions(rows)
        keys = self.rows if positions is None else self.rows[positions]
        with self._reading() as connection:
            return arrow.get(connection, self.schema, names, keys.tolist())

    def rows_where(self, where: str | None) -> Ints:
        """The positions, ascending, of the items for which the condition is true."""
        if where is None:
            return np.arange(len(self))
        kinds = {field.name: field.type for field in self.schema}
        places = arrow.places(self.schema)
        if "id" not in kinds:
            kinds["id"], places["id"] = pa.string(), "id"
        condition, values = compile_where(where, kinds, places)
        with self._reading() as connection:
            found = connection.execute(
                f"SELECT row FROM items JOIN attributes USING (row) WHERE {LIVE} AND ({condition}) ORDER BY row",
                [self.version, self.version, *values],
            )
            keys = np.fromiter((line[0] for line in found), np.int64)
        return np.sort(self._at(keys))

    @cached_property
    def _sorter(self) -> Ints | None:
        """What puts `rows` in ascending order; None where they are."""
        return None if bool((np.diff(self.rows) > 0).all()) else np.argsort(self.rows)

    def _at(self, keys: Ints) -> Ints:
        """The positions of these rows."""
        places = np.searchsorted(self.rows, keys, sorter=self._sorter)
        return (places if self._sorter is None else self._sorter[places]).astype(np.int64)

    def _maps(self) -> dict[tuple[str, int], Floats]:
        """Maps of whole segments, to be used again."""
        whole = (n for n in range(len(self.source.parts)) if n not in self.source.short)
        return {(self.record.segments[n].file, self.record.segments[n].rows): self.source.parts[n] for n in whole}

    def asks(self, question: str) -> list[tuple[Any, ...]]:
        """The lines SQLite answers to a question about its file."""
        with self._reading() as connection:
            return connection.execute(question).fetchall()

    def _positions(self, rows: Ints | Sequence[int]) -> Ints:
        positions = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(positions) and not (positions.min() >= 0 and positions.max() < len(self)):
            raise SemblanceError(f"positions run from 0 to {len(self) - 1}, and {positions.max()} was asked for")
        return positions

    def _key(self, id: str) -> int:
        with self._reading() as connection:
            line = connection.execute(
                "SELECT row FROM items WHERE id = ? AND died IS NULL AND born <= ?", (id, self.version)
            ).fetchone()
            # Not among today's: it may have died after this version.
            line = (
                line
                or connection.execute(
                    "SELECT row FROM items WHERE died > ? AND id = ? AND born <= ?", (self.version, id, self.version)
                ).fetchone()
            )
        if line is None:
            raise SemblanceError(f"there is no item {id!r} in this space: `ids()` lists them")
        return int(line[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._pool.transaction() as connection:
            (generation,) = connection.execute("SELECT generation FROM space").fetchone()
            if generation != self.record.generation:
                raise Stale(f"{self.folder}: the space was rewritten meanwhile: refresh it and ask again")
            yield connection


def load(folder: Path, pool: Pool, before: View | None = None) -> View:
    """The view of the newest commit; what `before` has read already is not read again."""
    while True:
        with pool.transaction() as connection:
            record = read_record(connection)
            if before is not None and before.version == record.version:
                return before
            if before is not None and before.record.generation != record.generation:
                before = None
            rows, slots, last = _items(connection, record, before)
        view = View(folder, pool, record, rows, slots, last, before)
        if not view.source.short:
            return view
        # A writer may have replaced the segments between the record and now; then there is a newer record.
        with pool.transaction() as connection:
            if read_record(connection).generation == record.generation:
                return view


def at(now: View, version: int) -> View:
    """The view of an older version; `now` is of the newest."""
    if version == now.version:
        return now
    oldest = now.record.oldest
    if not oldest <= version < now.version:
        raise SemblanceError(
            f"{now.folder}: version {version} cannot be read: versions {oldest} to {now.version} can "
            "(a compaction or a new fit drops those before it)"
        )
    with now._reading() as connection:
        found = connection.execute(f"SELECT row, slot FROM items WHERE {LIVE}", (version, version))
        pairs = np.array(found.fetchall(), np.int64).reshape(-1, 2)
    order = np.argsort(pairs[:, 1])
    record = now.record._replace(version=version)
    return View(now.folder, now._pool, record, pairs[order, 0], pairs[order, 1], now.last, now)


def _items(connection: sqlite3.Connection, record: Record, before: View | None) -> tuple[Ints, Ints, int]:
    """Rows and slots of the live items in the order of slots, and the highest row given out."""
    since = before.last if before is not None else -1
    rows, slots, last = _new_items(connection, since)
    if before is not None:
        old, old_slots = before.rows, before.source.slots
        died = connection.execute("SELECT row FROM items WHERE died > ?", (before.version,)).fetchall()
        if died:
            alive = ~np.isin(old, np.array(died, np.int64)[:, 0])
            old, old_slots = old[alive], old_slots[alive]
        rows, slots = np.concatenate([old, rows]), np.concatenate([old_slots, slots])
    if not bool((np.diff(slots) > 0).all()):
        order = np.argsort(slots, kind="stable")
        rows, slots = rows[order], slots[order]
    return rows, slots, last


def _new_items(connection: sqlite3.Connection, since: int) -> tuple[Ints, Ints, int]:
    """Rows above `since` of live items, their slots, and the highest row given out."""
    condition = "FROM items WHERE row > ? AND died IS NULL"
    (last,) = connection.execute("SELECT coalesce(max(row), -1) FROM items").fetchone()
    # Most often they are those of one addition, and then their ends say it all.
    ends = "count(*), min(row), max(row), min(slot), min(slot - row) = max(slot - row)"
    count, first, final, slot, steady = connection.execute(f"SELECT {ends} {condition}", (since,)).fetchone()
    if count and steady and final - first == count - 1:
        return np.arange(first, final + 1), np.arange(slot, slot + count), last
    pairs = np.array(connection.execute(f"SELECT row, slot {condition}", (since,)).fetchall(), np.int64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]), last
