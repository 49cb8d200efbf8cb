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
from semblance.memory import changes, check, database, view
from semblance.memory.adoption import Stretch, insert, link
from semblance.memory.atomic import WriterLock, all_or_nothing, can_write
from semblance.memory.changes import free_entries
from semblance.memory.check import Damage
from semblance.memory.creation import make_space
from semblance.memory.housekeeping import begin_forgetting, fold, sweep
from semblance.memory.model_file import write_model
from semblance.memory.reading import Reading
from semblance.memory.segments import Appender, Floats, Segment
from semblance.memory.view import View

T = TypeVar("T")
log = logging.getLogger(__name__)

SPARE_ROWS = 1000
"""Dead rows that a space of any size may keep."""


class Store(Reading):
    """One space on disk. Open it with `Store.open`, make it with `Store.create`; close it, or use `with`."""

    def __init__(self, path: Path, *, write: bool):
        self.path = path
        self._db = path / "space.db"
        self._changing, self._refreshing = threading.RLock(), threading.Lock()
        self._files: Appender | None = None
        self._lock: WriterLock | None = None
        self._writer: sqlite3.Connection | None = None
        self._held, self._passing = 0, False  # `writing` blocks that are open, and whether they took the lock
        if write:
            self._may_write()
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
        space_named(geometry)
        if dim < 1:
            raise SemblanceError(f"dim is {dim}, but a vector has at least one number")
        entries = {"dim": dim, "geometry": geometry, "domain": domain, "created": _now(), "changed": _now()}
        entries |= {"model": None, "recipe_hash": None}
        folder = Path(path)
        make_space(folder, database.Record(0, 0, {**free_entries(manifest), **entries}, {}, pa.schema([]), []))
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
        self._let_go()

    # ------------------------------------------------------------------------------------------------ reading

    def refresh(self) -> View:
        """Moves on to the newest commit."""
        with self._refreshing:
            self._view = view.load(self.path, self._pool, self._view)
            return self._view

    # ------------------------------------------------------------------------------------------- the right to write

    @contextmanager
    def writing(self, patience: float = 2.0) -> Iterator[Self]:
        """The right to write for as long as the block runs, for a store that is open for reading.

        Others may write between two blocks. Connection and view stay, so that a block costs a lock and not an opening.
        Where another process writes, it is waited for, `patience` seconds at most; threads of this one take turns.
        """
        with self._changing:
            if self._lock is None:
                self._may_write()
                with all_or_nothing(self.path):
                    self._lock = WriterLock(self.path, patience)
                    self._passing = True
            self._held += 1
            try:
                with all_or_nothing(self.path):
                    self.refresh()
                    if self._writer is None:
                        self._writer = database.connect(self._db, write=True)
                        self._tidy()
                yield self
            finally:
                self._held -= 1
                if self._passing and not self._held:
                    self._passing = False
                    self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _may_write(self) -> None:
        if not can_write(self.path):
            raise Failed(f"{self.path}: cannot be written (a read-only folder or file system): open it for reading")

    def at(self, version: int) -> View:
        """The space as it was in this version: any since the last compaction or fit, none before."""
        return self._now(lambda now: view.at(now, version))

    def damage(self) -> list[Damage]:
        """What of this folder cannot be trusted; empty for a space that is whole. It reads everything once."""
        return self._now(lambda now: check.damage(now) + check.of_database(now))

    def _now(self, work: Callable[[View], T]) -> T:
        self.refresh()
        return self.reading(work)

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
        with self._change() as (connection, record):
            changes.check_ids(ids)
            own = {"dim": dim, "geometry": geometry, "domain": domain}
            blank = self._blank(connection, record, own, model_tensors, model_meta, recipe, manifest)
            items = changes.Items(ids, vectors, attributes, thumbnails)
            changes.append(connection, blank, self._appender(blank), items, {})
            if record.segments:
                begin_forgetting(self.path)

    def adopt(
        self,
        files: Sequence[tuple[Path, Segment]],
        items: Iterable[Stretch],
        *,
        model_tensors: Mapping[str, Any] | None = None,
        model_meta: Mapping[str, str] | None = None,
        recipe: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        dim: int | None = None,
        geometry: str | None = None,
        domain: str | None = None,
    ) -> None:
        """Replaces the whole content by items whose vectors lie in finished files already (adoption.py)."""
        with self._change() as (connection, record):
            own = {"dim": dim, "geometry": geometry, "domain": domain}
            blank = self._blank(connection, record, own, model_tensors, model_meta, recipe, manifest)
            named = link(self.path / "segments", blank.generation, files)
            insert(connection, blank, named, items)
            if record.segments:
                begin_forgetting(self.path)

    def _blank(
        self,
        connection: sqlite3.Connection,
        record: database.Record,
        own: Mapping[str, Any],
        model_tensors: Mapping[str, Any] | None,
        model_meta: Mapping[str, str] | None,
        recipe: Mapping[str, Any] | None,
        manifest: Mapping[str, Any] | None,
    ) -> database.Record:
        """Empties the tables; the record of what is to replace the content, without its items."""
        entries = {key: record.manifest[key] if value is None else value for key, value in own.items()}
        space_named(str(entries["geometry"]))
        entries |= {key: record.manifest[key] for key in ("created", "changed")}
        entries |= {"model": None, "recipe_hash": _hash(recipe) if recipe else None}
        if model_tensors is not None:
            entries["model"] = write_model(self.path / "model", model_tensors, model_meta or {})
        changes.clear(connection)
        return record._replace(
            generation=record.generation + 1,
            oldest=record.version,
            dead=0,
            manifest={**free_entries(manifest or {}), **entries},
            recipe=dict(recipe or {}),
            schema=pa.schema([]),
            segments=[],
        )

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
            changes.check_ids(ids)
            old = changes.rows_of(connection, ids) if update else {}
            items = changes.Items(ids, vectors, attributes, thumbnails)
            changes.append(connection, record, self._appender(record), items, old)
        self._compact_if_wasteful()

    def update(self, ids: Sequence[str], attributes: pa.Table) -> None:
        """Gives items new attributes, durably on return; vectors and pictures are neither read nor written.

        Attributes that the table lacks stay as they are; one that is new is null for all other items. The items keep
        their places. Unknown ids are named, and then nothing changes.
        """
        with self._change() as (connection, record):
            changes.relabel(connection, record, ids, attributes)
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

        Removed items are gone from the files then, byte for byte. It needs room for the live vectors and twice a copy of
        space.db while it works. Changes call it when a third of the stored vectors, or two thirds of the rows, belong to
        nobody. Where a vector that would be copied is damaged it refuses.
        """
        with self._change() as (connection, record):
            before = self.refresh()  # the version that this change starts from: no other writer is there
            spoilt = [harm for harm in check.damage(before) if harm.ids]
            if spoilt:
                raise Failed(f"{spoilt[0]}; nothing changed")
            blank = record._replace(generation=record.generation + 1, oldest=record.version, dead=0)
            changes.compact(connection, blank, self._appender(blank._replace(segments=[])), before)
            begin_forgetting(self.path)

    def _compact_if_wasteful(self) -> None:
        record = self._view.record
        slots = sum(segment.rows for segment in record.segments)
        if 3 * len(self) >= 2 * slots and record.dead <= max(SPARE_ROWS, 2 * len(self)):
            return
        try:
            log.info("%s: is compacted: versions %d to %d go", self.path, record.oldest, record.version)
            self.compact()
        except Failed as error:
            # The change itself is committed. A disk too full to rewrite on is no reason to call it failed.
            log.warning("the space was not compacted: %s", error)

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None or self._lock is None:
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

    def _tidy(self) -> None:
        """Housekeeping after a change, done or refused. It must not make a commit look like a failure."""
        try:
            with all_or_nothing(self.path):
                self.refresh()
                sweep(self.path, self._view.record)
                fold(self._writing(), self._db)
        except SemblanceError as error:
            log.warning("the next writer of the space will tidy up: %s", error)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _hash(recipe: Mapping[str, Any]) -> str:
    """The hash of what was run, whatever the order of its entries."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]
