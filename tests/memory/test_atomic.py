"""Files that are replaced as a whole, and errors of SQLite said in one line."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from semblance.errors import Failed
from semblance.memory.atomic import all_or_nothing, explained, write_file


def test_a_file_that_could_not_be_written_is_the_old_one_and_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "a", b"old")

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Failed, match="Input/output error; nothing changed"), all_or_nothing(tmp_path):
        write_file(tmp_path / "a", b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a": b"old"}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (sqlite3.SQLITE_FULL, "disk is full"),
        (sqlite3.SQLITE_CORRUPT, r"space\.db is damaged"),
        (sqlite3.SQLITE_READONLY, "cannot be opened or written"),
        (sqlite3.SQLITE_IOERR | (4 << 8), "look at the disk"),
        (sqlite3.SQLITE_BUSY, "held by another program"),
        (sqlite3.SQLITE_TOOBIG, "too long"),
    ],
)
def test_every_kind_of_error_has_its_line(code: int, says: str) -> None:
    error = sqlite3.OperationalError("string or blob too long")
    error.sqlite_errorcode = code
    with pytest.raises(Failed, match=says) as caught:
        raise explained(Path("s"), error)
    assert str(caught.value).startswith("s: ") and "\n" not in str(caught.value)


def test_a_database_held_by_another_program_is_named(tmp_path: Path) -> None:
    first, second = (sqlite3.connect(tmp_path / "d", isolation_level=None, timeout=0) for _ in range(2))
    first.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Failed, match="held by another program"), all_or_nothing(tmp_path):
        second.execute("BEGIN EXCLUSIVE")
    first.close()
    second.close()


def test_mistakes_of_the_program_are_not_dressed_up(tmp_path: Path) -> None:
    with pytest.raises(KeyError), all_or_nothing(tmp_path):
        raise KeyError("a bug")
