"""Creation: a folder becomes an empty space at once, by the renaming of its database."""

from __future__ import annotations

from pathlib import Path

from semblance.errors import SemblanceError
from semblance.memory import database
from semblance.memory.atomic import UNFINISHED, WriterLock, all_or_nothing, sync_folder

NEW = "space.db" + UNFINISHED
OWN = {"writer.lock", "segments", "model", NEW, f"{NEW}-journal", f"{NEW}-wal", f"{NEW}-shm"}
"""What a creation leaves that was killed before its last step."""


def make_space(folder: Path, record: database.Record) -> None:
    """An empty space with this record, in a folder that is new or empty."""
    if (folder / "space.db").exists():
        raise SemblanceError(f"{folder}: is a space already: open it for writing, or name another folder")
    if folder.exists() and not folder.is_dir():
        raise SemblanceError(f"{folder}: is a file, and a space is a folder: name another one")
    if folder.exists() and any(entry.name not in OWN for entry in folder.iterdir()):
        raise SemblanceError(f"{folder}: is not empty and no space: name a new or empty folder")
    with all_or_nothing(folder):
        for part in (folder, folder / "segments", folder / "model"):
            part.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder)
        try:
            for left in folder.glob(NEW + "*"):
                left.unlink()
            database.make(folder / NEW, record)
            (folder / NEW).rename(folder / "space.db")
            sync_folder(folder)
            sync_folder(folder.parent)
        finally:
            lock.release()
