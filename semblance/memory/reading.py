"""Reading: what can be asked of a space, whether of its newest version (the Store) or of an older one (Past).

Every question is answered by one view; a Store moves on to the newest and asks again where its view went stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from semblance.errors import Failed, SemblanceError
from semblance.memory.check import Damage
from semblance.memory.model_file import model_file, read_model
from semblance.memory.segments import Floats, Ints
from semblance.memory.view import Stale, View

T = TypeVar("T")


class Reading:
    """Questions to the view that this holds at the moment."""

    path: Path
    _view: View

    @property
    def view(self) -> View:
        """The version this stands at. Take it once for questions whose answers belong together."""
        return self._view

    def refresh(self) -> View:
        """Moves on to the newest commit, where this follows them."""
        return self._view

    def reading(self, work: Callable[[View], T]) -> T:
        """`work(view)`, done again on a new view when the space was rewritten meanwhile."""
        for _ in range(5):
            try:
                return work(self._view)
            except Stale:
                self.refresh()
        return work(self._view)

    def __len__(self) -> int:
        return len(self._view)

    @property
    def count(self) -> int:
        return len(self._view)

    @property
    def version(self) -> int:
        return self._view.version

    @property
    def manifest(self) -> dict[str, Any]:
        return self._view.manifest

    @property
    def recipe(self) -> dict[str, Any]:
        """What was run."""
        return dict(self._view.record.recipe)

    def ids(self, rows: Ints | Sequence[int] | None = None) -> list[str]:
        return self.reading(lambda now: now.ids(rows))

    def vectors(self, rows: Ints | Sequence[int] | None = None) -> Floats:
        return self._view.vectors(rows)

    def row_of(self, id: str) -> int:
        return self.reading(lambda now: now.row_of(id))

    def rows_where(self, where: str | None) -> Ints:
        return self.reading(lambda now: now.rows_where(where))

    def attributes(
        self,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        rows: Ints | Sequence[int] | None = None,
    ) -> pa.Table:
        return self.reading(lambda now: now.attributes(columns, where, rows))

    def thumbnail(self, id: str) -> bytes | None:
        return self.reading(lambda now: now.thumbnail(id))

    def model_path(self) -> Path:
        """The file of the live model."""
        name = self.manifest["model"]
        if name is None:
            raise SemblanceError(f"{self.path}: holds vectors and no model: new items come in as vectors")
        return model_file(self.path / "model", name)

    def read_model(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Tensors of the live model by name, and the text entries they were committed with."""
        name = self.manifest["model"]
        try:
            return read_model(self.model_path())
        except Failed:
            if self.refresh().manifest["model"] == name:
                raise
            return self.read_model()  # a new fit took the old model away meanwhile


class Timeline(Protocol):
    """What has several versions, of which a Past is one."""

    path: Path

    def at(self, version: int) -> View: ...

    def damage(self) -> list[Damage]: ...


class Past(Reading):
    """One older version, which stays what it is; the store that it came from is closed by its owner."""

    def __init__(self, store: Timeline, view: View):
        self.path, self._store, self._view = store.path, store, view

    def at(self, version: int) -> View:
        """Another version."""
        return self._store.at(version)

    def damage(self) -> list[Damage]:
        """What of the folder cannot be trusted."""
        return self._store.damage()

    def reading(self, work: Callable[[View], T]) -> T:
        """`work(view)`; there is no newer view to take where this one is gone."""
        try:
            return work(self._view)
        except Stale:
            raise SemblanceError(
                f"{self.path}: version {self.version} went with a compaction or a new fit: ask the space for the "
                "versions that are left"
            ) from None

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """Refused: the past is not written."""
        raise SemblanceError(f"{self.path}: version {self.version} is past and stays as it is: change the space itself")
        yield  # what makes this a context manager, like the Store's

    def close(self) -> None:
        """Nothing is held."""
