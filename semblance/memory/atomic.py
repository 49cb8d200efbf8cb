"""Atomic: changes to files that neither a kill, a full disk nor a second writer can leave half done.

write_file     bytes -> a temporary file, synced, renamed over the old one, the folder synced
WriterLock     at most one writer a folder; held by the operating system, so it is gone with its process
all_or_nothing what went wrong below, said in one line; the caller has put back what it had begun
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semblance.errors import Failed, SemblanceError

UNFINISHED = ".unfinished"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def sync_folder(folder: Path) -> None:
    """Makes names that were created, renamed or removed in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, content: bytes) -> None:
    """Replaces a file as a whole: whoever reads it sees the old content or the new one."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def can_write(folder: Path) -> bool:
    """Whether files can be made here: permissions, read-only mounts and immutable folders count."""
    return os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def all_or_nothing(path: Path) -> Iterator[None]:
    """Errors of the file system and of SQLite, in one line that says what to do; nothing else is caught."""
    try:
        yield
    except SemblanceError:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise Failed(full(path)) from error
        what = error.filename or path
        if error.errno in CLOSED:
            raise Failed(f"{what}: cannot be opened or written ({error.strerror}); nothing changed") from error
        raise Failed(f"{what}: {error.strerror or error}; nothing changed") from error
    except sqlite3.DatabaseError as error:
        raise explained(path, error) from error


def full(path: Path) -> str:
    """The one line for a full disk."""
    return f"{path}: the disk is full or a size limit is reached; nothing changed: free some space and try again"


def explained(path: Path, error: sqlite3.DatabaseError) -> SemblanceError:
    """What an error of SQLite means for the space at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its detail
    if code == sqlite3.SQLITE_FULL:
        return Failed(full(path))
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Failed(f"{path}: space.db is damaged ({error}): bring the folder back from a copy or fit it again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return Failed(f"{path}: space.db cannot be opened or written ({error}); nothing changed")
    if code == sqlite3.SQLITE_IOERR:
        return Failed(f"{path}: space.db could not be read or written ({error}); nothing changed: look at the disk")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Failed(f"{path}: space.db is held by another program ({error}); nothing changed: try again")
    return Failed(f"{path}: {error}; nothing changed")


def _take(handle: int, patience: float) -> None:
    """Locks; tried again for so many seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.005)


class WriterLock:
    """The right to write a folder: `writer.lock` in it, locked by flock and thus freed whenever the process ends.

    Where another has it, it is waited for, `patience` seconds at most.
    """

    def __init__(self, folder: Path, patience: float = 0.0):
        handle = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(handle, patience)
        except OSError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            who = f"another process ({holder})" if holder else "another process"
            raise Failed(
                f"{folder}: {who} is writing this space: wait until it is done, or open the space for reading"
            ) from None
        self._handle: int | None = handle
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the right back; a second call does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
