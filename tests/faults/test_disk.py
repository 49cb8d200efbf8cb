"""A full disk: one line, and the space is what it was."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from faults import history
from memory.filled import check_is, folder_bytes, make, names, numbers, table

from semblance.errors import Failed
from semblance.memory.store import Store

SAYS = "the disk is full or a size limit is reached; nothing changed"


def mount(folder: Path, options: str) -> bool:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 5 MB."""
    disk = tmp_path / "disk"
    try:
        mounted = mount(disk, "size=5m")
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small tmpfs; the injected faults of this file are tested all the same")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_on_a_disk_that_fills_up_additions_fail_whole_and_go_on_when_there_is_room_again(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2_500_000))
    with make(small_disk / "s", n=60, dim=64) as store:
        number = 0
        with pytest.raises(Failed, match=SAYS) as caught:
            for number in range(1, 1000):
                block = numbers(100, 64, number)
                store.add(names(100, 1000 * number), block, table(100), thumbnails=[bytes(200)] * 100)
        assert "\n" not in str(caught.value)
        assert store.count == 60 + 100 * (number - 1)
        with Store.open(small_disk / "s") as reader:
            assert reader.ids() == store.ids()
            assert (reader.vectors()[-100:] == numbers(100, 64, number - 1)).all()
        with pytest.raises(Failed, match=SAYS):
            store.commit_space(ids=names(9999), vectors=numbers(9999, 64))
        assert store.count == 60 + 100 * (number - 1)
        (small_disk / "ballast").unlink()
        for gone in range(1, number):
            store.remove(names(100, 1000 * gone))
        store.compact()
        check_is(store, 60, dim=64)
        store.add(["more"], numbers(1, 64))
        assert store.count == 61


def test_on_a_full_disk_updates_and_compactions_fail_whole_too(small_disk: Path) -> None:
    with make(small_disk / "s", n=2000, dim=64) as store:
        store.remove(names(10))
        kept, version = store.ids(), store.version
        room = os.statvfs(small_disk)
        (small_disk / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 16384)))
        with pytest.raises(Failed, match=SAYS):
            store.compact()
        with pytest.raises(Failed, match=SAYS):
            store.update(kept, pa.table({"city": ["a city with a long name" * 20] * len(kept)}))
        with pytest.raises(Failed, match=SAYS), store.writing():
            store.add(names(500, 5000), numbers(500, 64))
        assert store.version == version and store.ids() == kept and store.damage() == []
        assert store.attributes().equals(table(2000).slice(10))
        np.testing.assert_array_equal(store.vectors(), numbers(2000, 64)[10:])
        store.remove(names(1, 10))  # there is room for little things
        (small_disk / "ballast").unlink()
        store.update(kept[1:], pa.table({"city": ["Bergen"] * (len(kept) - 1)}))
        store.compact()
        assert store.ids() == kept[1:] and set(store.attributes(["city"])["city"].to_pylist()) == {"Bergen"}


def test_a_space_that_cannot_be_made_on_a_full_disk_says_so(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes((5 << 20) - 8192))
    with pytest.raises(Failed, match=SAYS):
        make(small_disk / "s")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_file_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "s"
    Store.create(path, dim=history.DIM, geometry="cosine", domain="vectors", manifest={}).close()
    with Store.open(path, write=True) as store:
        history.step(store)
        for version in (2, 5, 6):  # an addition, a compaction, a fit
            while store.version < version - 1:
                history.step(store)
            if call == "replace" and version < 6:
                continue  # only a fit replaces files

            def fails(*_: object) -> None:
                raise OSError(code, os.strerror(code))

            with monkeypatch.context() as patch:
                patch.setattr(os, call, fails)
                with pytest.raises(Failed, match=SAYS):
                    history.step(store)
            assert store.version == version - 1
            history.check(store)
            history.check_tidy(store)
        history.step(store)
        history.check(store)


def test_a_database_that_cannot_grow_changes_nothing(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        (pages,) = store._writing().execute("PRAGMA page_count").fetchone()
        store._writing().execute(f"PRAGMA max_page_count = {pages}")
        size = folder_bytes(tmp_path / "s" / "segments")
        with pytest.raises(Failed, match=SAYS):
            store.add(names(2000, 100), numbers(2000), table(2000))
        check_is(store, 30)
        assert folder_bytes(tmp_path / "s" / "segments") == size
        store._writing().execute("PRAGMA max_page_count = 1000000")
        store.add(names(2000, 100), numbers(2000), table(2000))
        assert store.count == 2030


def test_housekeeping_that_fails_does_not_make_a_commit_look_like_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with make(tmp_path / "s") as store:

        def fails(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr("semblance.memory.store.sweep", fails)
        store.add(["new"], numbers(1))
        assert store.count == 31 and "will tidy up" in caplog.text
