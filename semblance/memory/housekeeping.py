"""Housekeeping: what a writer does after a change and when it opens a space; none of it changes what the space is.

sweep    files and bytes that the record does not name go
fold     SQLite's log comes into the database when it has grown; after a rewriting, forgotten content goes for good
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

from semblance.errors import Failed
from semblance.memory.atomic import sync_folder, write_file
from semblance.memory.database import Record

LOG_BYTES = 512 << 10
"""SQLite's log is folded in when it is longer than this and than half of the database."""
FORGETTING = "forgetting"
"""This file lies in a space from before the commit that forgets content until no byte of it is left."""


def begin_forgetting(space: Path) -> None:
    """Notes, durably, that the commit to come forgets content: whoever writes next sees to what a kill interrupts."""
    (space / FORGETTING).touch()
    sync_folder(space)


def sweep(space: Path, record: Record) -> None:
    """Removes files and bytes that the record does not name, and writes the copy of the recipe that people read.

    They were left by a writer that was killed or refused, or belong to the version before. What is derived from the
    vectors lies in `index/` and `maps/` under names that begin with the generation it was derived from (`4-...`): that of
    another generation holds vectors that are gone.
    """
    for part in ("segments", "model"):
        (space / part).mkdir(exist_ok=True)
    lengths = {segment.file: segment.rows * record.manifest["dim"] * 4 for segment in record.segments}
    for path in (space / "segments").iterdir():
        if path.name in lengths:
            if path.stat().st_size > lengths[path.name]:
                os.truncate(path, lengths[path.name])
        elif path.is_file():
            path.unlink()
    for path in (space / "model").iterdir():
        if path.name != f"{record.manifest['model']}.safetensors" and path.is_file():
            path.unlink()
    for derived in (space / "index", space / "maps"):
        for path in derived.iterdir() if derived.is_dir() else ():
            if not path.name.startswith(f"{record.generation}-"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy, text = space / "recipe.json", json.dumps(record.recipe, indent=2) + "\n"
    if record.recipe and (not copy.exists() or copy.read_text("utf-8") != text):
        write_file(copy, text.encode())


def fold(connection: sqlite3.Connection, database: Path) -> None:
    """Brings SQLite's log into the database when it has grown, or when something is to be forgotten."""
    mark = database.with_name(FORGETTING)
    forget = mark.exists()
    if forget:
        # Deleted cells are overwritten by `secure_delete`; copies that a page kept when it was divided are not.
        connection.execute("VACUUM")
    log = database.with_name(database.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if forget or size > max(LOG_BYTES, database.stat().st_size // 2):
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if forget and busy:
            raise Failed(f"{database}: a reader holds an old version, whose removed items are still in the log")
    if forget:
        mark.unlink()
