"""Upgrade: a space of an older format, as a copy in today's. The old folder is read and never changed.

`STEPS` maps a format to what brings its space.db to the next one; a later format is one row more. The copy is made under
another name, brought through all its steps in one transaction, opened once, and appears under its own name when it is
whole. What can be built again (the index) is left out.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from semblance.errors import Failed, SemblanceError
from semblance.memory import database
from semblance.memory.atomic import UNFINISHED, WriterLock, all_or_nothing, can_write, sync_folder
from semblance.memory.store import Store

Step = Callable[[sqlite3.Connection], None]
STEPS: Mapping[int, Step] = {}
"""Format -> the change of space.db that makes it the next one. Today's format is the first."""
LEFT = ("space.db", "space.db-wal", "space.db-shm", "writer.lock", "index", "*" + UNFINISHED, "*.partial")


def format_of(path: Path) -> int:
    """The format that a space's folder is written in; an error for what is no space, or a newer one."""
    if not (path / "space.db").is_file():
        raise SemblanceError(f"{path}: is no space, since it holds no space.db: name the folder that fit wrote")
    with all_or_nothing(path):
        connection = database.connect(path / "space.db", write=False)
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != database.APPLICATION or version >= database.FORMAT:
                database.check_format(path / "space.db", connection)
        finally:
            connection.close()
    return int(version)


def upgrade(path: Path, out: Path, steps: Mapping[int, Step] | None = None) -> tuple[int, int]:
    """Write the space at `path` in today's format to `out`, a folder that is not there yet -> (format before, after).

    Nothing is written where both are the same. A writer at work on the space has to finish first.
    """
    steps = STEPS if steps is None else steps
    before = format_of(path)
    if before == database.FORMAT:
        return before, before
    lacking = [number for number in range(before, database.FORMAT) if number not in steps]
    if lacking:
        raise SemblanceError(
            f"{path}: has format {before}, which this version cannot upgrade (no step from {lacking[0]}): "
            "upgrade it by an older Semblance first"
        )
    if out.exists():
        raise SemblanceError(f"{out}: is there already, and an upgrade writes a copy: name a new folder")
    if not out.parent.is_dir():
        raise SemblanceError(f"{out} cannot be written: there is no folder {out.parent}")
    beside = out.with_name(out.name + UNFINISHED)
    with all_or_nothing(out), ExitStack() as held:
        if can_write(path):
            lock = WriterLock(path)
            held.callback(lock.release)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            shutil.copytree(path, beside, ignore=shutil.ignore_patterns(*LEFT))
            _copied(path / "space.db", beside / "space.db", before, steps)
            Store.open(beside).close()
            beside.rename(out)
            sync_folder(out.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return before, database.FORMAT


def _copied(source: Path, target: Path, before: int, steps: Mapping[int, Step]) -> None:
    """The database with what its log holds, brought through its steps."""
    reading, writing = database.connect(source, write=False), sqlite3.connect(target, isolation_level=None)
    try:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE").fetchall()
        writing.execute("BEGIN IMMEDIATE")
        for number in range(before, database.FORMAT):
            try:
                steps[number](writing)
            except sqlite3.DatabaseError as error:
                raise Failed(
                    f"{source.parent}: the step from format {number} failed ({error}); the old space is as it was"
                ) from error
            writing.execute(f"PRAGMA user_version = {number + 1}")
        writing.execute("COMMIT")
        writing.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        reading.close()
        writing.close()
