"""Indexed: filtered search over the versions of a space, by parts that lie in its folder and can be built anew.

    SPACE/index/GENERATION-NUMBER/    one part (fused/files.py): derived, never the truth

A part holds the items of some rows of one generation. A version of the space asks all parts, each with the rows that
live in this version, and measures the rows that no part holds. When there are many of those a part is built from them in
the background, with the smaller parts before it, and written beside them; what it was built from is removed. Where the
folder cannot be written parts stay in memory. A space of few items, and one whose geometry has no index, is scanned.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.errors import Failed, SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory.atomic import can_write
from semblance.memory.conditions import Condition, columns_of
from semblance.memory.exact import SPARE, checked_queries, scan
from semblance.memory.fused import files
from semblance.memory.fused.part import Part
from semblance.memory.fused.together import Tail, search
from semblance.memory.masks import Column, true_rows
from semblance.memory.segments import Floats, Ints
from semblance.memory.view import Stale, View
from semblance.memory.where import parse_where

FIRST = 8_192
"""Rows that no part holds before a part is built; later, an eighth of those that parts hold."""
MOST = 1 << 29
"""Bytes of vectors that a part holds: more make several parts, since building one takes some four times its memory."""
KEPT = 256
"""Conditions that are kept as they were read."""
ROUNDING = 2e-6
"""What a score in float32 may be wrong by, of a query of length 1."""
INDEXED = ("cosine", "euclidean")
log = logging.getLogger(__name__)


class Near(NamedTuple):
    """Positions in the view and distances of the nearest items, by query; items that match; what was done."""

    positions: list[Ints]
    distances: list[Floats]
    matches: int
    recall: float
    plan: str


class Seen(NamedTuple):
    """What one version of the space is to the parts of its generation."""

    version: int
    parts: tuple[Part, ...]
    alive: tuple[NDArray[np.bool_] | None, ...]
    tail: Tail
    at: Ints  # row -> position, for the rows from `least` on
    least: int


class Indexed:
    """The parts of one space folder. Any thread may search; one thread builds, unless `builds` is false."""

    def __init__(self, folder: Path, builds: bool = True):
        self.folder, self.builds = folder / "index", builds
        self._generation = -1
        self._parts: dict[str, Part] = {}
        self._seen: Seen | None = None
        self._conditions: dict[tuple[str, pa.Schema], Condition] = {}
        self._lock = threading.RLock()
        self._worker: threading.Thread | None = None

    def search(self, view: View, queries: Floats, k: int, where: str | None, recall: float) -> Near:
        """The k nearest to each query [Q, d] among the items for which the condition is true."""
        geometry = space_named(str(view.record.manifest["geometry"]))
        asked = geometry.prepare(checked_queries(queries, view.source.dim, k))
        condition = None if where is None else self._parsed(view, where)
        names = () if condition is None else columns_of(condition)
        if not _indexable(view) or ("id" in names and "id" not in view.schema.names):
            return _scanned(view, asked, k, where)
        seen = self._of(view)
        if self._worthwhile(view, seen):
            self._build_aside(view)
        if not seen.parts:
            return _scanned(view, asked, k, where)
        flat, exact = geometry.name == "euclidean", recall == 1
        count = k + SPARE if exact else k
        found = search(list(zip(seen.parts, seen.alive, strict=True)), seen.tail, asked, count, condition, recall, flat)
        positions = [seen.at[line[line >= 0] - seen.least] for line in found.keys]
        if exact:
            again = self._measured(view, asked, k, where, positions, found.scores)
            return Near([p[0] for p, _ in again], [d[0] for _, d in again], found.matches, found.recall, found.plan)
        near = []
        for line, rows in zip(found.scores, positions, strict=True):
            score = line[: len(rows)]
            near.append(np.sqrt(-2 * score) if flat else np.clip(1 - score, 0, 2))
        return Near(positions, near, found.matches, found.recall, found.plan)

    def _measured(
        self, view: View, asked: Floats, k: int, where: str | None, positions: list[Ints], scores: Floats
    ) -> list[tuple[Ints, Floats]]:
        """The best by score measured again as a scan does, so that no bit of an exact answer depends on what is indexed.
        Where the last of them scores hardly less than the k-th, others might have come in: then all are scanned."""
        close = np.zeros(len(asked), np.bool_)
        if scores.shape[1] == k + SPARE:  # where there are fewer, they are all that match
            close = scores[:, k - 1] - scores[:, -1] <= ROUNDING * np.maximum(1, (asked * asked).sum(1))
        every = view.rows_where(where) if close.any() else None
        return [
            scan(view.source, every if unclear else np.sort(rows), one, k, str(view.record.manifest["geometry"]))
            for rows, one, unclear in zip(positions, asked, close, strict=True)
        ]

    def matches_itself(self, view: View, position: int, where: str | None) -> bool:
        """Whether the item at this position is one for which the condition is true."""
        if where is None:
            return True
        condition = self._parsed(view, where)
        table = view.attributes(rows=[position])
        columns = {name: Column.of(table[name], name) for name in table.column_names}
        columns.setdefault("id", Column.of(pa.array(view.ids([position]))))
        return bool(true_rows(condition, columns)[0])

    def _parsed(self, view: View, where: str) -> Condition:
        """The condition over the view's attributes and ids; the last ones are kept, since to read one takes longer than
        a search."""
        key = where, view.schema
        found = self._conditions.get(key)
        if found is None:
            kinds = {field.name: field.type for field in view.schema}
            found = parse_where(where, {**kinds, "id": pa.string()})
            if len(self._conditions) >= KEPT:
                self._conditions.clear()
            self._conditions[key] = found
        return found

    def build(self, view: View) -> None:
        """Indexes the rows of this version that no part holds; returns when that is done."""
        seen = self._of(view)
        waiting, most = len(seen.tail.keys), max(FIRST, MOST // (4 * view.source.dim))
        if not waiting:
            return
        joined = [name for name, part in self._parts.items() if len(part) <= min(2 * waiting, most // 2)]
        covered = [part.keys for name, part in self._parts.items() if name not in joined]
        rows = np.setdiff1d(view.rows, np.concatenate(covered)) if covered else np.sort(view.rows)
        first = 1 + max((int(name.rpartition("-")[2]) for name in self._parts), default=-1)
        several = np.array_split(rows, -(-len(rows) // most))
        built: dict[str, Part] = {}
        for number, some in enumerate(several, first):
            name = f"{view.record.generation}-{number}"
            part = _built(view, some, seen.at[some - seen.least])
            built[name] = self._saved(name, part, mapped=len(several) > 1)
        view.attributes(rows=[])  # says so if the space was rewritten meanwhile: then nobody needs these parts
        with self._lock:
            if view.record.generation != self._generation:
                return
            kept = {old: held for old, held in self._parts.items() if old not in joined}
            self._parts, self._seen = {**kept, **built}, None
            if can_write(self.folder.parent):
                self._show(built, joined)

    def catch_up(self, view: View) -> bool:
        """Builds what a search would have built in the background, if there is enough; whether there was."""
        due = _indexable(view) and self._worthwhile(view, self._of(view))
        if due:
            self.build(view)
        return due

    def _worthwhile(self, view: View, seen: Seen) -> bool:
        waiting = len(seen.tail.keys)
        return self.builds and waiting >= max(FIRST, (len(view) - waiting) // 8)

    def wait(self) -> None:
        """Returns when nothing is being built in the background."""
        worker = self._worker
        if worker is not None:
            worker.join()

    def _saved(self, name: str, part: Part, mapped: bool) -> Part:
        """The part, which lies under a name that nobody reads yet; read from there where memory is to be free again."""
        if not can_write(self.folder.parent):
            return part
        unfinished = self._unfinished(name)
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            files.save(part, unfinished)
            return files.load(unfinished) if mapped else part
        except OSError as error:
            log.warning("the index of %s stays in memory: %s", self.folder.parent, error)
            shutil.rmtree(unfinished, ignore_errors=True)
            return part

    def _show(self, built: Iterable[str], joined: list[str]) -> None:
        """Puts new parts beside the others and removes what they were built from, and what other generations left."""
        try:
            for name in built:
                if self._unfinished(name).exists():
                    self._unfinished(name).rename(self.folder / name)
            for old in self.folder.iterdir():
                if old.name in joined or not old.name.startswith(f"{self._generation}-"):
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            log.warning("the index of %s stays in memory: %s", self.folder.parent, error)

    def _unfinished(self, name: str) -> Path:
        return self.folder / (name + ".unfinished")

    def _of(self, view: View) -> Seen:
        """What this version is to the parts; read from the folder when the generation is a new one."""
        with self._lock:
            if view.record.generation != self._generation:
                self._parts, self._seen = self._read(view.record.generation), None
                self._generation = view.record.generation
            if self._seen is None or self._seen.version != view.version:
                self._seen = _seen(view, tuple(self._parts.values()))
            return self._seen

    def _read(self, generation: int) -> dict[str, Part]:
        found: dict[str, Part] = {}
        for folder in sorted(self.folder.glob(f"{generation}-*")):
            if not folder.name.endswith(".unfinished"):
                try:
                    found[folder.name] = files.load(folder)
                except Failed as error:
                    log.warning("%s", error)
        return found

    def _build_aside(self, view: View) -> None:
        """Builds in the background, unless that is going on."""

        def work() -> None:
            try:
                self.build(view)
            except Stale:
                log.info("the space was rewritten while its index was built")
            except SemblanceError as error:
                log.warning("the index was not built, so searches scan: %s", error)

        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=work, name="index", daemon=True)
                self._worker.start()


def _built(view: View, rows: Ints, positions: Ints) -> Part:
    """A part of these rows, which stand at these positions."""
    geometry = space_named(str(view.record.manifest["geometry"]))
    table = view.attributes(rows=positions)
    columns = {name: Column.of(table[name], name) for name in table.column_names}
    return Part.build(rows, geometry.prepare(view.vectors(positions)), columns, geometry.name == "euclidean")


def _indexable(view: View) -> bool:
    """Whether there are many items, in a geometry that has an index."""
    return len(view) >= FIRST and view.record.manifest["geometry"] in INDEXED


def _seen(view: View, parts: tuple[Part, ...]) -> Seen:
    least = int(view.rows.min()) if len(view) else 0
    at = np.full(int(view.rows.max()) - least + 1 if len(view) else 0, -1, np.int64)
    at[view.rows - least] = np.arange(len(view))
    uncovered = np.ones(len(at), np.bool_)
    alive: list[NDArray[np.bool_] | None] = []
    for part in parts:
        part.learn(view.schema)
        inside = (part.keys >= least) & (part.keys < least + len(at))
        lives = inside.copy()
        lives[inside] = at[part.keys[inside] - least] >= 0
        alive.append(None if lives.all() else lives)
        uncovered[part.keys[inside] - least] = False
    rows = np.flatnonzero(uncovered & (at >= 0)) + least
    # Attributes and vectors of many rows are read when they are indexed, not when they are first asked for.
    few = rows if parts else rows[:0]
    positions = at[few - least]
    geometry = space_named(str(view.record.manifest["geometry"]))
    table = view.attributes(rows=positions) if len(few) else pa.table({})
    columns = {name: Column.of(table[name], name) for name in table.column_names}
    tail = Tail(rows, geometry.prepare(view.vectors(positions)), columns)
    return Seen(view.version, parts, tuple(alive), tail, at, least)


def _scanned(view: View, asked: Floats, k: int, where: str | None) -> Near:
    rows = view.rows_where(where)
    positions, distances = scan(view.source, rows, asked, k, str(view.record.manifest["geometry"]))
    plan = f"exact scan of {len(rows):,} of {len(view):,} items"
    return Near(list(positions), list(distances), len(rows), 1.0, plan)
