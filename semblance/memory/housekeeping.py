"""Housekeeping: what a writer does after a change and when it opens a space; none of it changes what the space is."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from semblance.memory.atomic import write_file
from semblance.memory.database import Record

LOG_BYTES = 512 << 10
"""SQLite's log is folded in when it is longer than this and than half of the database."""


def sweep(space: Path, record: Record) -> None:
    """Removes files and bytes that the record does not name, and writes the copy of the recipe that people read.

    They were left by a writer that was killed or refused, or belong to the version before.
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
    copy, text = space / "recipe.json", json.dumps(record.recipe, indent=2) + "\n"
    if record.recipe and (not copy.exists() or copy.read_text("utf-8") != text):
        write_file(copy, text.encode())


def fold(connection: sqlite3.Connection, database: Path, shrink: bool) -> None:
    """Brings SQLite's log into the database when it has grown; `shrink` also gives free pages back to the disk."""
    if shrink:
        connection.execute("PRAGMA incremental_vacuum").fetchall()
    log = database.with_name(database.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size and (shrink or size > max(LOG_BYTES, database.stat().st_size // 2)):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
