"""Upgrades: a copy in today's format, the old folder untouched. The format before the first is made up here."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from semblance.app import cli
from semblance.app.flags import run
from semblance.errors import Failed, SemblanceError
from semblance.memory import database, upgrade
from semblance.memory.atomic import WriterLock
from semblance.memory.store import Store
from semblance.memory.upgrade import format_of


def made(path: Path) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    with Store.create(path, dim=3, geometry="euclidean", domain="vectors", manifest={"name": "old"}) as store:
        store.add([f"i{k}" for k in range(12)], x, pa.table({"year": list(range(12))}))
        store.remove(["i4"])
    (path / "index").mkdir(exist_ok=True)
    (path / "index" / "derived").write_text("can be built again")
    (path / "README.md").write_text("card")
    return np.delete(x, 4, axis=0)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A space of a format 0 whose manifest stood in a column called `about`."""
    made(tmp_path / "old.space")
    connection = sqlite3.connect(tmp_path / "old.space" / "space.db", isolation_level=None)
    connection.execute("ALTER TABLE space RENAME COLUMN manifest TO about")
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    return tmp_path / "old.space"


def rename_about(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE space RENAME COLUMN about TO manifest")


STEPS = {0: rename_about}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_upgraded_copy_holds_what_the_old_space_held_and_the_old_one_stays(old: Path, tmp_path: Path) -> None:
    before = content(old)
    assert format_of(old) == 0
    assert upgrade.upgrade(old, tmp_path / "new.space", STEPS) == (0, database.FORMAT)
    after = content(old)
    # SQLite makes and removes its shared memory for whoever reads; the lock names who holds it.
    passing = {"space.db-shm", "space.db-wal", "writer.lock"}
    assert {k: v for k, v in after.items() if k not in passing} == {k: v for k, v in before.items() if k not in passing}
    expected = made(tmp_path / "expected.space")
    with Store.open(tmp_path / "new.space") as new:
        np.testing.assert_array_equal(new.vectors(), expected)
        assert new.ids() == [f"i{k}" for k in range(12) if k != 4] and new.manifest["name"] == "old"
        assert new.attributes(["year"]).column("year").to_pylist() == [k for k in range(12) if k != 4]
    with Store.open(tmp_path / "new.space", write=True) as new:  # and can be written
        new.remove(["i0"])
    assert (tmp_path / "new.space" / "README.md").read_text() == "card"
    assert not (tmp_path / "new.space" / "index" / "derived").exists()


def test_an_older_space_says_how_it_is_opened(old: Path) -> None:
    with pytest.raises(SemblanceError, match=r"older format 0: semblance upgrade .*old.space --out COPY"):
        Store.open(old)


def test_several_steps_are_taken_one_after_the_other(old: Path, tmp_path: Path, monkeypatch) -> None:
    taken: list[int] = []

    def named(number: int):
        def step(connection: sqlite3.Connection) -> None:
            assert connection.execute("PRAGMA user_version").fetchone() == (number,)
            taken.append(number)
            if number == 0:
                rename_about(connection)

        return step

    monkeypatch.setattr(database, "FORMAT", 3)
    assert upgrade.upgrade(old, tmp_path / "new.space", {n: named(n) for n in range(3)}) == (0, 3)
    assert taken == [0, 1, 2] and format_of(tmp_path / "new.space") == 3


def test_todays_format_has_nothing_to_upgrade(tmp_path: Path) -> None:
    made(tmp_path / "a.space")
    assert upgrade.upgrade(tmp_path / "a.space", tmp_path / "b.space") == (database.FORMAT, database.FORMAT)
    assert not (tmp_path / "b.space").exists()


def test_a_step_that_fails_leaves_no_copy(old: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"the step from format 0 failed \(no such column: gone\)"):
        upgrade.upgrade(old, tmp_path / "new.space", {0: lambda c: c.execute("SELECT gone FROM space")})
    assert [p.name for p in tmp_path.iterdir()] == ["old.space"]
    # A step that leaves something that is no space of today's is found by opening the copy.
    with pytest.raises(SemblanceError):
        upgrade.upgrade(old, tmp_path / "new.space", {0: lambda c: None})
    assert [p.name for p in tmp_path.iterdir()] == ["old.space"]


def test_what_cannot_be_upgraded_is_answered_in_one_line(old: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    sqlite3.connect(tmp_path / "foreign" / "space.db").execute("CREATE TABLE t (x)").connection.close()
    made(tmp_path / "newer.space")
    newer = sqlite3.connect(tmp_path / "newer.space" / "space.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    for path, out, steps, says in (
        (old, "new", {}, "no step from 0"),
        (old, "empty", STEPS, "is there already"),
        (old, "nowhere/new", STEPS, "there is no folder"),
        (tmp_path / "empty", "new", STEPS, "is no space"),
        (tmp_path / "foreign", "new", STEPS, "of another program"),
        (tmp_path / "newer.space", "new", STEPS, "newer Semblance"),
    ):
        with pytest.raises(SemblanceError, match=says) as caught:
            upgrade.upgrade(path, tmp_path / out, steps)
        assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()


def test_a_writer_at_work_is_waited_for_by_the_user(old: Path, tmp_path: Path) -> None:
    lock = WriterLock(old)
    try:
        with pytest.raises(Failed, match="is writing this space"):
            upgrade.upgrade(old, tmp_path / "new.space", STEPS)
    finally:
        lock.release()


def test_the_verb_says_what_it_did(old: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    made(tmp_path / "today.space")
    assert run(cli.app, ["upgrade", str(tmp_path / "today.space"), "--out", str(tmp_path / "x")]) == 0
    assert "there is nothing to upgrade" in capsys.readouterr().out
    assert run(cli.app, ["upgrade", str(old), "--out", str(tmp_path / "x")]) == 2
    assert "no step from 0" in capsys.readouterr().err
    monkeypatch.setattr(upgrade, "STEPS", STEPS)
    assert run(cli.app, ["upgrade", str(old), "--out", str(tmp_path / "x"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["from_format"], found["to_format"]) == (1, 0, database.FORMAT)
    assert found["out"] == str(tmp_path / "x") and Store.open(tmp_path / "x").count == 11
