"""Spaces: the folders that are served, by name; each is opened once, followed as it changes, and told apart from one that
was deleted or put in its place.

`held()` is the newest version. Whether there is a newer one is asked at most every `FRESH` seconds, so that a thousand
reads a second cost no thousand looks at the disk; after a change of our own it is asked at once.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from semblance.app.server.held import Held
from semblance.app.server.problems import Problem, problem_of
from semblance.errors import SemblanceError
from semblance.memory.atomic import can_write
from semblance.memory.indexed import Near
from semblance.memory.segments import Floats
from semblance.memory.view import Stale
from semblance.space.shard_file import FILE
from semblance.space.space import Space

T = TypeVar("T")
log = logging.getLogger(__name__)
FRESH = 0.05
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Served:
    """One space of the server. Any thread may ask."""

    one = True
    """A space by itself, which may be changed; shards are several (joining.py)."""

    def __init__(self, name: str, path: Path, read_only: bool):
        self.name, self.path, self.read_only = name, path.resolve(), read_only
        self._lock = threading.RLock()
        self._space: Space | None = None
        self._file: tuple[int, int] | None = None
        self._held: Held | None = None
        self._asked = 0.0
        # What belongs to the space and to no version of it: selections that may not be written, and what can be undone.
        self.unwritten: dict[str, list[str]] = {}
        self.changes: OrderedDict[str, Any] = OrderedDict()
        self.noting = threading.Lock()

    @property
    def space(self) -> Space:
        """The open space."""
        with self._lock:
            self._open()
            assert self._space is not None
            return self._space

    def fresh(self) -> Held | None:
        """The newest version where that was asked a moment ago; else None, and `held` takes a look."""
        return self._held if time.monotonic() - self._asked < FRESH else None

    @property
    def last(self) -> Held | None:
        """The version that was read last, if any: nothing is asked."""
        return self._held

    def held(self, now: bool = False) -> Held:
        """The newest version; `now`: whatever was known a moment ago."""
        found = None if now else self.fresh()
        if found is not None:
            return found
        with self._lock:
            found = None if now else self.fresh()
            if found is not None:
                return found
            self._held = self._newest()
            self._asked = time.monotonic()
            return self._held

    def _newest(self) -> Held:
        """What is on disk now, which may be what is held already."""
        self._open()
        assert self._space is not None
        view, held = self._space.store.refresh(), self._held
        while held is None or held.view is not view:
            try:
                held = Held(view, held)
            except Stale:
                view = self._space.store.refresh()
        return held

    def reading(self, work: Callable[[Held], T]) -> T:
        """`work(held)`, done again where the space was rewritten meanwhile."""
        for _ in range(4):
            try:
                return work(self.held())
            except Stale:
                self.held(now=True)
        return work(self.held())

    def near(
        self, held: Held, queries: Floats, k: int, where: str | None, recall: float
    ) -> tuple[Near, dict[str, str]]:
        """The nearest to each query [Q, d], and which shards did not answer, and why."""
        return self.space.index.search(held.view, queries, k, where, recall), {}

    def check(self) -> None:
        """It can be opened; else what is wrong is said in the words of the command line."""
        try:
            _ = self.space
        except Problem:
            Space(self.path).close()

    def check_one(self, what: str) -> None:
        """Refuses what is not done for shards."""

    @property
    def writable(self) -> bool:
        return not self.read_only and can_write(self.path)

    def check_writable(self) -> None:
        """Refuses to change what may not be changed."""
        if self.read_only:
            raise Problem("forbidden", "this server only reads", "start it without --read-only")
        with self._lock:
            self._open()
        if not can_write(self.path):
            raise Problem("forbidden", f"the folder of space {self.name!r} cannot be written", "mend its permissions")

    def close(self) -> None:
        with self._lock:
            if self._space is not None:
                self._space.close()
            self._space = self._held = self._file = None
            self._asked = 0.0

    def _open(self) -> None:
        """Opens the folder, again where another one stands in its place; says so where there is none."""
        try:
            found = (self.path / "space.db").stat()
        except OSError:
            self.close()
            raise Problem(
                "gone",
                f"the folder of space {self.name!r} is gone: it was deleted or moved after the server started",
                "put it back, and it is read again without a restart",
            ) from None
        if self._space is not None and self._file == (found.st_dev, found.st_ino):
            return
        self.close()
        self._space, self._file = Space(self.path), (found.st_dev, found.st_ino)
        self._space.index.builds = not self.read_only  # an index is written into the folder


class Spaces:
    """All spaces of the server."""

    def __init__(self, paths: Sequence[Path], read_only: bool = False):
        self.read_only = read_only
        self._served: dict[str, Served] = {}
        for path in paths:
            self.add(path)

    def add(self, path: Path) -> Served:
        """A space more; the same folder twice is one."""
        for served in self._served.values():
            if served.path == path.resolve():
                return served
        from semblance.app.server.joining import ServedShards

        kind = ServedShards if (path / FILE).is_file() else Served
        served = kind(self._name(path), path, self.read_only)
        self._served[served.name] = served
        return served

    def check(self) -> None:
        """Every folder is a space that can be opened, before anything is served."""
        for served in self:
            served.check()

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def __getitem__(self, name: str) -> Served:
        if name not in self._served:
            known = ", ".join(list(self._served)[:20])
            raise Problem("not-found", f"no space {name[:64]!r} is served here", f"there are: {known or 'none'}")
        return self._served[name]

    def close(self) -> None:
        for served in self:
            served.close()

    def _name(self, path: Path) -> str:
        stem = path.resolve().name.removesuffix(".space").removesuffix(".shards")
        name = re.sub("[^A-Za-z0-9._-]+", "-", stem).strip(".-_")[:56] or "space"
        number, tried = 2, name
        while tried in self._served:
            tried, number = f"{name}-{number}", number + 1
        return tried


def told(served: Served, tell: Callable[[Held], dict[str, Any]]) -> dict[str, Any]:
    """What is told of a space, or why nothing can be."""
    from semblance.app.server.problems import content_of

    try:
        return {**served.reading(tell), "error": None}
    except SemblanceError as error:
        return {"name": served.name, "error": content_of(problem_of(error))}
