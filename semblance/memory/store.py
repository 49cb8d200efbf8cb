"""Store: a SPACE folder, of which `space.db` is the truth and which changes by one commit at a time.

    SPACE/space.db               manifest, ids, attributes, thumbnails, which files count (see database.py)
          segments/*.f32         vectors, synced before the commit that names their length
          model/HASH.safetensors the live model;  recipe.json  a copy for people of what was run
          writer.lock            held by the one writer

Order of every change: write the new files, sync them, commit the record that names them, remove what it no longer
names. Killed before the commit, the old space is there; after it, the new one; the next writer sweeps up. Readers take
a `View` of one version (view.py), as many as they like, beside the writer and from any thread.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa

from semblance.errors import Failed, SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory import changes, database, view
from semblance.memory.atomic import UNFINISHED, WriterLock, all_or_nothing, can_write, sync_folder
from semblance.memory.changes import free_entries, named
from semblance.memory.housekeeping import fold, sweep
from semblance.memory.model_file import model_file, read_model, write_model
from semblance.memory.segments import Appender, Floats, Ints
from semblance.memory.view import Stale, View

T = TypeVar("T")
log = logging.getLogger(__name__)


class Store:
    """One space on disk. Open it with `Store.open`, make it with `Store.create`; close it, or use `with`."""

    def __init__(self, path: Path, *, write: bool):
        self.path = path
        self._db = path / "space.db"
        self._changing, self._refreshing = threading.RLock(), threading.Lock()
        self._files: Appender | None = None
        self._lock: WriterLock | None = None
        self._writer: sqlite3.Connection | None = None
        if write and not can_write(path):
            raise Failed(f"{path}: cannot be written (a read-only folder or file system): open it for reading")
        self._pool = database.Pool(self._db)
        try:
            with all_or_nothing(path):
                if write:
                    self._lock = WriterLock(path)
                with self._pool.transaction() as connection:
                    database.check_format(self._db, connection)
                self._view = view.load(path, self._pool)
                if write:
                    self._writer = database.connect(self._db, write=True)
                    self._tidy()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | Path, *, dim: int, geometry: str, domain: str, manifest: Mapping[str, Any]) -> Store:
        """An empty space in a folder that is new or empty, open for writing."""
        folder = Path(path)
        space_named(geometry)
        if dim < 1:
            raise SemblanceError(f"dim is {dim}, but a vector has at least one number")
        if (folder / "space.db").exists():
            raise SemblanceError(f"{folder}: is a space already: open it for writing, or name another folder")
        if folder.exists() and not folder.is_dir():
            raise SemblanceError(f"{folder}: is a file, and a space is a folder: name another one")
        # What a creation leaves that was killed before its last step.
        own = {"writer.lock", "segments", "model", "space.db" + UNFINISHED, f"space.db{UNFINISHED}-journal"}
        own |= {f"space.db{UNFINISHED}-wal", f"space.db{UNFINISHED}-shm"}
        if folder.exists() and any(entry.name not in own for entry in folder.iterdir()):
            raise SemblanceError(f"{folder}: is not empty and no space: name a new or empty folder")
        entries = {"dim": dim, "geometry": geometry, "domain": domain, "created": _now(), "changed": _now()}
        entries |= {"model": None, "recipe_hash": None}
        record = database.Record(0, 0, {**free_entries(manifest), **entries}, {}, pa.schema([]), [])
        with all_or_nothing(folder):
            for part in (folder, folder / "segments", folder / "model"):
                part.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(folder)
            try:
                unfinished = folder / ("space.db" + UNFINISHED)
                for left in folder.glob("space.db" + UNFINISHED + "*"):
                    left.unlink()
                database.make(unfinished, record)
                unfinished.rename(folder / "space.db")
                sync_folder(folder)
                sync_folder(folder.parent)
            finally:
                lock.release()
        return cls(folder, write=True)

    @classmethod
    def open(cls, path: str | Path, write: bool = False) -> Store:
        """The space in this folder."""
        folder = Path(path)
        if not folder.exists():
            raise SemblanceError(
                f"{folder}: there is nothing here: make a space with `semblance fit DATA --out {folder}`"
            )
        if not (folder / "space.db").is_file():
            raise SemblanceError(f"{folder}: is no space, since it holds no space.db: name the folder that fit wrote")
        return cls(folder, write=write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back files, connections and the right to write; a second call does nothing."""
        self._pool.close()
        if self._writer is not None:
            self._writer.close()  # the last connection of all folds the log in
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # ------------------------------------------------------------------------------------------------ reading

    @property
    def view(self) -> View:
        """The version this store stands at. Take it once for questions whose answers belong together."""
        return self._view

    def refresh(self) -> View:
        """Moves on to the newest commit."""
        with self._refreshing:
            self._view = view.load(self.path, self._pool, self._view)
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
        return read_model(self.model_path())

    # ------------------------------------------------------------------------------------------------ writing

    def commit_space(
        self,
        *,
        ids: Sequence[str],
        vectors: Floats | Iterable[Floats],
        attributes: pa.Table | None = None,
        thumbnails: Iterable[bytes | None] | None = None,
        model_tensors: Mapping[str, Any] | None = None,
        model_meta: Mapping[str, str] | None = None,
        recipe: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        dim: int | None = None,
        geometry: str | None = None,
        domain: str | None = None,
    ) -> None:
        """Replaces the whole content: a fit. `vectors` may come in blocks [n, dim], which are written as they come."""
        space_named(geometry or self.manifest["geometry"])
        with self._change() as (connection, record):
            own = {"dim": dim, "geometry": geometry, "domain": domain}
            entries = {key: record.manifest[key] if value is None else value for key, value in own.items()}
            entries |= {key: record.manifest[key] for key in ("created", "changed")}
            entries |= {"model": None, "recipe_hash": _hash(recipe) if recipe else None}
            if model_tensors is not None:
                entries["model"] = write_model(self.path / "model", model_tensors, model_meta or {})
            blank = record._replace(
                generation=record.generation + 1,
                manifest={**free_entries(manifest or {}), **entries},
                recipe=dict(recipe or {}),
                schema=pa.schema([]),
                segments=[],
            )
            changes.clear(connection)
            items = changes.Items(ids, vectors, attributes, thumbnails)
            changes.append(connection, blank, self._appender(blank), items, {})

    def add(
        self,
        ids: Sequence[str],
        vectors: Floats | Iterable[Floats],
        attributes: pa.Table | None = None,
        thumbnails: Iterable[bytes | None] | None = None,
        update: bool = False,
    ) -> None:
        """Adds items behind the others, durably on return.

        An id that is there already is refused; with `update` its item is replaced and moves to the end, and keeps the
        attributes and the thumbnail that are not given anew. New attributes are null for the items before.
        """
        with self._change() as (connection, record):
            old = changes.rows_of(connection, ids)
            if old and not update:
                raise SemblanceError(f"{named(list(old), len(ids))} in the space already: add with update to replace")
            items = changes.Items(ids, vectors, attributes, thumbnails)
            changes.append(connection, record, self._appender(record), items, old)
        self._compact_if_wasteful()

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; nobody sees them from now on, and `compact` takes their bytes away."""
        with self._change() as (connection, record):
            changes.bury(connection, record, ids)
        self._compact_if_wasteful()

    def update_manifest(self, **entries: Any) -> None:
        """Sets entries of the manifest beside those that the store keeps itself."""
        with self._change() as (connection, record):
            database.write_record(connection, record._replace(manifest={**record.manifest, **free_entries(entries)}))

    def compact(self) -> None:
        """Rewrites the vectors of the live items and drops the rest: removed items and all older versions.

        Removed items are gone from the files then, byte for byte. It needs room for the live vectors and a copy of
        space.db while it works. Additions and removals call it when a third of what is stored belongs to nobody.
        """
        with self._change() as (connection, record):
            before = self.refresh()  # the version that this change starts from: no other writer is there
            blank = record._replace(generation=record.generation + 1, segments=[])
            changes.compact(connection, blank, self._appender(blank), before)
        self._tidy(shrink=True)

    def _compact_if_wasteful(self) -> None:
        slots = sum(segment.rows for segment in self._view.record.segments)
        if 3 * len(self) >= 2 * slots:
            return
        try:
            self.compact()
        except Failed as error:
            # The change itself is committed. A disk too full to rewrite on is no reason to call it failed.
            log.warning("the space was not compacted: %s", error)

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise SemblanceError(f"{self.path}: is open for reading only, or closed: open it with write=True")
        return self._writer

    @contextmanager
    def _change(self) -> Iterator[tuple[sqlite3.Connection, database.Record]]:
        """One commit: the connection, and the record with the next version for the caller to write."""
        with self._changing:
            connection = self._writing()
            self._files = None
            with all_or_nothing(self.path):
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    record = database.read_record(connection)
                    changed = {**record.manifest, "changed": _now()}
                    yield connection, record._replace(version=record.version + 1, manifest=changed)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    if self._files is not None:
                        self._files.close()
                    self._tidy()
                    raise
            self._tidy()

    def _appender(self, record: database.Record) -> Appender:
        self._files = Appender(self.path / "segments", record.manifest["dim"], record.segments, record.generation)
        return self._files

    def _tidy(self, shrink: bool = False) -> None:
        """Housekeeping after a change, done or refused. It must not make a commit look like a failure."""
        try:
            with all_or_nothing(self.path):
                self.refresh()
                sweep(self.path, self._view.record)
                fold(self._writing(), self._db, shrink)
        except SemblanceError as error:
            log.warning("the next writer of the space will tidy up: %s", error)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _hash(recipe: Mapping[str, Any]) -> str:
    """The hash of what was run, whatever the order of its entries."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]
