"""Joining: shards as one space of the server, their rows one after another in the order in which they are named.

What is told of rows (ids, columns, facets, masks, the map by PCA) is told of all of them, as of any space. A search asks
each shard and joins the answers (space/joined.py). The rows of a shard that is lost stay, as they were last read, so that
no other row moves; whose items an answer lacks is said in it (`partial`, `lost`) and in its header `X-Lost`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa

from semblance.app.server.held import Held
from semblance.app.server.problems import Problem
from semblance.app.server.spaces import Served
from semblance.errors import Failed, SemblanceError
from semblance.memory import shards as memory
from semblance.memory.indexed import Near
from semblance.memory.segments import Floats, Ints, Vectors
from semblance.memory.view import View
from semblance.space.joined import Query, joined, told_plan
from semblance.space.shard_file import FILE
from semblance.space.shards import Shards, shards
from semblance.space.space import Space


class Part(NamedTuple):
    """A shard, its rows, and the row of all at which they begin."""

    space: Space
    held: Held
    first: int


class Rows:
    """What the server asks of a `View`, of several."""

    def __init__(self, parts: Mapping[str, Part], lost: Mapping[str, str]):
        views = [part.held.view for part in parts.values()]
        self.parts, self.lost = dict(parts), dict(lost)
        self.version = sum(view.version for view in views)
        classes = list(dict.fromkeys(chain.from_iterable(v.record.manifest.get("classes", ()) for v in views)))
        first = views[0].record
        self.record = first._replace(manifest={**first.manifest, **({"classes": classes} if classes else {})})
        begins = np.cumsum([0, *(int(view.source.starts[-1]) for view in views)])
        slots = np.concatenate([view.source.slots + at for view, at in zip(views, begins, strict=False)])
        self.source = Vectors(
            list(chain.from_iterable(view.source.parts for view in views)), slots, views[0].source.dim
        )
        self._firsts = np.array([part.first for part in parts.values()])

    def __len__(self) -> int:
        return len(self.source)

    def shard_of(self, at: int) -> str:
        """The name of the shard that a row is of."""
        return list(self.parts)[int(np.searchsorted(self._firsts, at, side="right")) - 1]

    def vectors(self, rows: Sequence[int]) -> Floats:
        for name in sorted({self.shard_of(int(at)) for at in rows} & set(self.lost)):
            raise Problem(
                "lost", f"the item is in {name}, which is lost: {self.lost[name]}", "bring it back from a copy"
            )
        return self.source[np.asarray(rows, np.int64)]

    def thumbnail(self, id: str) -> bytes | None:
        return next(part.held.view.thumbnail(id) for part in self.parts.values() if id in part.held.place)


class Joined(Held):
    """The newest version of every shard, in one order."""

    def __init__(self, parts: Mapping[str, Part], lost: Mapping[str, str]):
        every = [part.held for part in parts.values()]
        self.view: Any = Rows(parts, lost)
        self.lost = self.view.lost
        ids = list(chain.from_iterable(held.ids for held in every))
        place = {id: at for at, id in reversed(list(enumerate(ids)))}  # of an id that two have the first counts
        content = hashlib.blake2b("/".join(held.content for held in every).encode(), digest_size=8).hexdigest()
        self._hold(ids, place, _arrays(parts), f"shards-{content}")

    def whose(self, at: int) -> dict[str, str]:
        return {"space": self.view.shard_of(at)}

    def readable(self, rows: Ints) -> Ints:
        return np.array([at for at in rows.tolist() if self.view.shard_of(at) not in self.lost], np.int64)


class ServedShards(Served):
    """Shards that are served as one space, which is looked at and searched, not changed."""

    one = False

    def __init__(self, name: str, path: Any, read_only: bool):
        super().__init__(name, path, True)
        self._builds = not read_only  # an index is written into a shard's own folder
        self._shards: Shards | None = None

    @property
    def space(self) -> Space:
        """The first shard that can be read: what reads queries is the same in all."""
        held = self.held()
        return next(part.space for name, part in held.view.parts.items() if name not in held.lost)

    def near(
        self, held: Held, queries: Floats, k: int, where: str | None, recall: float
    ) -> tuple[Near, dict[str, str]]:
        parts: dict[str, Part] = {n: part for n, part in held.view.parts.items() if n not in held.lost}

        def ask(name: str, part: Part) -> Near:
            try:
                return part.space.index.search(part.held.view, queries, k, where, recall)
            except Failed:
                raise
            except SemblanceError as error:
                raise SemblanceError(f"{name}: {error}") from error

        answers, failed = memory.ask({name: partial(ask, name, part) for name, part in parts.items()})
        lost = {**held.lost, **self._told(failed)}
        if not answers:
            self._nobody(lost)
        best = joined(answers, [Query(vector) for vector in queries], k)
        firsts = np.array([parts[name].first for name in answers])
        there = np.isfinite(best.distance)
        rows = firsts[best.shard] + best.position
        nears = list(answers.values())
        plan = told_plan(list(answers), nears, len(self._names()))
        positions = [line[kept] for line, kept in zip(rows, there, strict=True)]
        distances = [line[kept] for line, kept in zip(best.distance, there, strict=True)]
        return Near(positions, distances, sum(n.matches for n in nears), min(n.recall for n in nears), plan), lost

    def check_one(self, what: str) -> None:
        raise Problem("not-built", f"{what} is not to be had of shards that are served as one", self._alone())

    @property
    def writable(self) -> bool:
        return False

    def check(self) -> None:
        self.held()

    def check_writable(self) -> None:
        raise Problem("forbidden", "shards that are served as one are not changed through this server", self._alone())

    def close(self) -> None:
        with self._lock:
            if self._shards is not None:
                self._shards.close()
            self._shards = self._held = self._file = None
            self._asked = 0.0

    def _alone(self) -> str:
        return f"serve a shard by itself: semblance serve {'|'.join(self._names())}"

    def _names(self) -> list[str]:
        return [] if self._shards is None else self._shards.names

    def _told(self, lost: Mapping[str, str]) -> dict[str, str]:
        """Where things lie on this machine is nobody's business but its own."""
        return {name: reason.replace(str(self.path), self.name) for name, reason in lost.items()}

    def _nobody(self, lost: Mapping[str, str]) -> NoReturn:
        name, reason = next(iter(lost.items()))
        raise Problem(
            "lost", f"none of the shards answered; the first is {name}: {reason}", "bring it back from a copy"
        )

    def _open(self) -> None:
        """Reads the names, again where they were named anew."""
        try:
            found = (self.path / FILE).stat()
        except OSError:
            self.close()
            raise Problem(
                "gone",
                f"the file that names the shards of {self.name!r} is gone: it was deleted or moved while they were served",
                "put it back, and it is read again without a restart",
            ) from None
        if self._shards is None or self._file != (found.st_ino, found.st_mtime_ns):
            self.close()
            self._shards, self._file = shards(self.path, builds=self._builds), (found.st_ino, found.st_mtime_ns)

    def _newest(self) -> Held:
        self._open()
        assert self._shards is not None
        before: dict[str, Part] = {} if self._held is None else self._held.view.parts
        opened, lost = self._shards.now()
        found, failed = memory.ask({n: partial(_newer, before.get(n), *now) for n, now in opened.items()})
        lost = self._told({**lost, **failed})
        parts: dict[str, Part] = {}
        for name in self._shards.names:
            space, held = found[name] if name in found else before[name][:2] if name in before else (None, None)
            if space is not None and held is not None:
                parts[name] = Part(space, held, sum(len(part.held) for part in parts.values()))
        if len(lost) == len(self._shards.names):
            self._nobody(lost)
        if self._held is not None and parts == before:
            return self._held if dict(self._held.lost) == lost else _without(self._held, lost)
        return Joined(parts, lost)


def _newer(before: Part | None, space: Space, view: View) -> tuple[Space, Held]:
    """The rows of a shard, which may be those that are held."""
    if before is None or before.space is not space:
        return space, Held(view)
    record = before.held.view.record
    same = (record.generation, record.version) == (view.record.generation, view.record.version)
    return space, before.held if same else Held(view, before.held)


def _without(held: Held, lost: Mapping[str, str]) -> Held:
    """The same rows, of which others are lost."""
    found = copy.copy(held)
    found.view = copy.copy(held.view)
    found.lost = found.view.lost = dict(lost)
    return found


def _arrays(parts: Mapping[str, Part]) -> dict[str, pa.ChunkedArray]:
    """The columns of all, one after another; one that a shard lacks is missing there."""
    kinds: dict[str, tuple[str, pa.DataType]] = {}
    for name, part in parts.items():
        for field in part.held.table.schema:
            first, kind = kinds.setdefault(field.name, (name, field.type))
            if kind != field.type:
                raise SemblanceError(
                    f"column {field.name!r} is {kind} in {first} and {field.type} in {name}: write it anew in one of them"
                )
    every = [part.held for part in parts.values()]
    return {
        name: pa.chunked_array(
            [c for h in every for c in (h.arrays[name].chunks if name in h.arrays else [pa.nulls(len(h), kind)])], kind
        )
        for name, (_, kind) in kinds.items()
    }
