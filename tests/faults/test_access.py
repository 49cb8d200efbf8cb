"""Who may open a space, and what a space that is damaged, newer or closed to writing says."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from faults.test_disk import mount
from faults.test_kills import ROOT
from memory.filled import check_is, make, numbers

from semblance.errors import Failed, SemblanceError
from semblance.memory.store import Store

HOLDS = """
import sys
from pathlib import Path
from semblance.memory.store import Store
store = Store.open(Path(sys.argv[1]), write=True)
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    make(tmp_path / "s").close()
    return tmp_path / "s"


def holder(path: Path) -> subprocess.Popen[bytes]:
    """Another process that has the space open for writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == b"open\n"
    return process


def test_a_second_writer_is_refused_until_the_first_is_gone_and_readers_are_not(space: Path) -> None:
    with holder(space) as other:
        with pytest.raises(Failed, match=f"another process \\(pid {other.pid}\\) is writing this space: wait"):
            Store.open(space, write=True)
        with Store.open(space) as reader:
            check_is(reader, 30)
        other.send_signal(signal.SIGKILL)
        other.wait()
        with Store.open(space, write=True) as store:
            store.add(["new"], numbers(1))
            assert store.count == 31


def test_one_process_is_one_writer_too(space: Path) -> None:
    with Store.open(space, write=True) as first:
        with pytest.raises(Failed, match="is writing this space"):
            Store.open(space, write=True)
        first.add(["new"], numbers(1))  # the refused one took nothing away
    Store.open(space, write=True).close()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that becomes read-only when `read_only / 'lock'` is asked for: a mount for root, a mode for others."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and mount(disk, "size=20m")
    if os.geteuid() == 0 and not mounted:
        pytest.skip("root passes over modes, and this root may not mount")
    yield disk
    if mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    else:
        for folder in [disk, *disk.rglob("*")]:
            folder.chmod(0o755)


def close_to_writing(disk: Path) -> None:
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return
    for entry in [*disk.rglob("*"), disk]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)


def test_a_read_only_space_is_read_and_not_written(read_only: Path) -> None:
    make(read_only / "s").close()
    close_to_writing(read_only)
    before = sorted(read_only.rglob("*"))
    with Store.open(read_only / "s") as store:
        check_is(store, 30)
        assert len(store.rows_where("year > 0")) == 30
    with pytest.raises(Failed, match="cannot be written \\(a read-only folder or file system\\): open it for reading"):
        Store.open(read_only / "s", write=True)
    with pytest.raises(Failed, match="cannot be opened or written"):
        make(read_only / "other")
    assert sorted(read_only.rglob("*")) == before


def test_what_a_killed_writer_had_committed_is_read_in_a_read_only_folder(read_only: Path) -> None:
    make(read_only / "s").close()
    child = os.fork()
    if child == 0:
        try:
            Store.open(read_only / "s", write=True).add(["new"], numbers(1))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (read_only / "s" / "space.db-wal").stat().st_size
    close_to_writing(read_only)
    with Store.open(read_only / "s") as store:
        assert store.count == 31 and store.ids()[-1] == "new"


def test_what_is_no_space_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match=r"there is nothing here: make a space with `semblance fit"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(SemblanceError, match=r"is no space, since it holds no space\.db"):
        Store.open(tmp_path)
    sqlite3.connect(tmp_path / "space.db").execute("CREATE TABLE other (x)")
    with pytest.raises(SemblanceError, match="of another program, so this is no space"):
        Store.open(tmp_path)


def test_a_newer_format_is_refused(space: Path) -> None:
    connection = sqlite3.connect(space / "space.db")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for write in (False, True):
        with pytest.raises(SemblanceError, match=r"newer Semblance \(format 2, .* up to 1\): upgrade Semblance"):
            Store.open(space, write=write)


def truncate(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("damage", ["half", "head", "empty", "garbage"])
def test_a_damaged_database_is_named(space: Path, damage: str) -> None:
    database = space / "space.db"
    if damage == "garbage":
        database.write_bytes(os.urandom(database.stat().st_size))
    elif damage == "head":
        database.write_bytes(b"\xff" * 8192 + database.read_bytes()[8192:])
    else:
        truncate(database, 0.5 if damage == "half" else 0)
    with pytest.raises(SemblanceError, match=r"space\.db is (damaged|empty)") as caught, Store.open(space) as store:
        check_is(store, 30)
    assert str(space) in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of a space of 30 items in segments of 8."""
    monkeypatch.setattr("semblance.memory.segments.SEGMENT_BYTES", 8 * 4 * 8)
    make(tmp_path / "s").close()
    return sorted((tmp_path / "s" / "segments").iterdir())


DAMAGE = {
    "half": ("holds 128 bytes and should hold 256", range(12, 16)),
    "missing": ("is missing", range(8, 16)),
    "other": ("holds other bytes than were written", range(8, 16)),
}


def spoil(segment: Path, damage: str) -> None:
    if damage == "missing":
        segment.unlink()
    elif damage == "half":
        truncate(segment, 0.5)
    else:
        content = bytearray(segment.read_bytes())
        content[100] ^= 1
        segment.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_segment_is_named_and_costs_no_item_of_the_others(segments: list[Path], damage: str) -> None:
    spoil(segments[1], damage)
    problem, lost = DAMAGE[damage]
    kept = [row for row in range(30) if row not in lost]
    with Store.open(segments[0].parents[1]) as store:
        (found,) = store.damage()
        assert found.file == f"segments/{segments[1].name}" and found.ids == [f"item-{row}" for row in lost]
        assert problem in str(found) and "\n" not in str(found)
        assert store.count == 30 and store.row_of("item-9") == 9 and len(store.rows_where("year > 0")) == 30
        np.testing.assert_array_equal(store.vectors(kept), numbers(30)[kept])
        if damage == "other":
            return  # nobody looks at checksums while reading
        for ask in (store.vectors, lambda: store.vectors([0, lost[0]]), lambda: store.view.source[8:20]):
            says = f"{segments[1].name}: is damaged, it {problem}; {len(lost)} items cannot be read: bring it back"
            with pytest.raises(Failed, match=says) as caught:
                ask()
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGE)
def test_removing_the_items_of_a_damaged_segment_and_compacting_mend_the_space(
    segments: list[Path], damage: str
) -> None:
    spoil(segments[1], damage)
    lost = DAMAGE[damage][1]
    with Store.open(segments[0].parents[1], write=True) as store:
        with pytest.raises(Failed, match=f"{segments[1].name}: is damaged, .*; nothing changed"):
            store.compact()  # it would write the damage down as the truth
        store.add(["new"], numbers(1, seed=3))
        store.update(["item-9"], pa.table({"city": ["Bergen"]}))
        store.remove([id for found in store.damage() for id in found.ids])
        store.compact()
        kept = [row for row in range(30) if row not in lost]
        assert store.damage() == [] and store.ids() == [*(f"item-{row}" for row in kept), "new"]
        np.testing.assert_array_equal(store.vectors(), np.concatenate([numbers(30)[kept], numbers(1, seed=3)]))


def test_nothing_is_written_behind_a_last_segment_that_lost_its_end(segments: list[Path]) -> None:
    spoil(segments[3], "half")
    with Store.open(segments[0].parents[1], write=True) as store:
        store.add(["new"], numbers(1, seed=3))
        assert [len(found.ids) for found in store.damage()] == [3]
        np.testing.assert_array_equal(store.vectors([26, 30]), [numbers(30)[26], numbers(1, seed=3)[0]])


def test_checksums_follow_additions_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semblance.memory.checksums.STEP", 100)
    with make(tmp_path / "s", n=10) as store:
        for number in range(12):
            store.add([f"{number}-{row}" for row in range(number)], numbers(number, seed=number))
        assert store.damage() == []
        (segment,) = (tmp_path / "s" / "segments").iterdir()
        content = segment.read_bytes()
        for place in (0, 99, 100, 1234, len(content) - 1):
            segment.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
            (found,) = store.damage()
            assert store.ids()[place // 32] in found.ids and len(found.ids) <= 5
        segment.write_bytes(content)
        assert store.damage() == []


def test_a_truncated_model_is_named_and_the_vectors_stay_readable(space: Path) -> None:
    (model,) = (space / "model").iterdir()
    with Store.open(space) as store:
        for share in (0.9, 0.5, 0):
            truncate(model, share)
            with pytest.raises(Failed, match=f"{model.name}: is damaged or missing") as caught:
                store.read_model()
            assert "\n" not in str(caught.value)
        model.unlink()
        with pytest.raises(Failed, match=f"{model.name}: is damaged or missing"):
            store.read_model()
        assert len(store.vectors()) == 30
