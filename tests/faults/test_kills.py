"""A writer killed at any moment leaves the old space or the new one, and the next writer goes on from there.

SEMBLANCE_KILLS says how many random moments are tried (10; `make faults` takes 200).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import history

from semblance.errors import Failed
from semblance.memory import segments
from semblance.memory.store import Store

KILLS = int(os.environ.get("SEMBLANCE_KILLS", "10"))
ROOT = Path(__file__).parents[2]


def empty(path: Path) -> Path:
    Store.create(path, dim=history.DIM, geometry="cosine", domain="vectors", manifest={}).close()
    return path


def history_of(path: Path, *what: str) -> subprocess.Popen[bytes]:
    """A process that goes through the versions of a space, to write them or to check them."""
    command = [sys.executable, "-m", "faults.history", what[0], str(path), *what[1:]]
    there = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": there})


def killed_writer(path: Path, words: int, share: float) -> int:
    """Runs the writer, kills it within the change after so many words, and returns the last version it called durable.

    The moment is counted in what the writer does, not in seconds: so many changes, and then a share of the time that
    the last one took, on this machine and at this hour.
    """
    out, into = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            history.write(str(path), into)
        finally:
            os._exit(1)
    os.close(into)
    heard = []
    with os.fdopen(out, "rb") as pipe:
        lines = b""
        for _ in range(words):
            lines += pipe.readline()
            heard.append(time.monotonic())
        time.sleep(share * (heard[-1] - heard[-2] if words > 1 else 0.01))
        os.kill(writer, signal.SIGKILL)
        lines += pipe.read()
    assert os.WTERMSIG(os.waitpid(writer, 0)[1]) == signal.SIGKILL
    return int(lines.split()[-1])


def test_a_writer_killed_at_a_random_moment_leaves_the_last_durable_version_or_the_one_it_was_at(
    tmp_path: Path,
) -> None:
    path, chance, reached = empty(tmp_path / "s"), random.Random(20261121), []
    for _ in range(KILLS):
        durable = killed_writer(path, chance.randint(1, 7), chance.uniform(0, 1.2))
        with Store.open(path) as store:
            assert store.version in (durable, durable + 1)
            history.check(store)
        with Store.open(path, write=True) as store:
            history.check_tidy(store)
            history.step(store)
            history.check(store)
            reached.append(store.version)
    assert reached == sorted(set(reached))  # nobody ever went back


def test_several_processes_read_whole_versions_beside_one_writer(tmp_path: Path) -> None:
    path = empty(tmp_path / "s")
    with history_of(path, "write") as writer:
        readers = [history_of(path, "read", "6") for _ in range(2)]
        with pytest.raises(Failed, match=f"another process \\(pid {writer.pid}\\) is writing this space: wait"):
            while Store.open(path).version == 0:
                time.sleep(0.01)
            Store.open(path, write=True)
        assert [reader.wait(timeout=120) for reader in readers] == [0, 0]
        for reader in readers:
            reader.communicate()
        writer.kill()
        writer.communicate()


def dying(path: Path, work: Callable[[Store], None], moment: int) -> bool:
    """Runs `work` in a child that dies at its `moment`-th call to the file system. Whether it died."""
    child = os.fork()
    if child == 0:
        left = moment

        def deadly(call: Callable[..., object]) -> Callable[..., object]:
            def called(*args: object, **kwargs: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return called

        try:
            store = Store.open(path, write=True)
            for name in ("fsync", "write", "open", "replace", "unlink", "ftruncate", "truncate"):
                setattr(os, name, deadly(getattr(os, name)))
            work(store)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_a_writer_killed_at_each_of_its_calls_to_the_file_system_leaves_a_whole_version(
    tmp_path: Path, version: int
) -> None:
    """Every call in the change that makes this version: fit, addition, update, removal, compaction, a fit over it."""
    moment, died = 0, True
    while died:
        path = empty(tmp_path / f"s{moment}")
        with Store.open(path, write=True) as store:
            for _ in range(version - 1):
                history.step(store)
        died = dying(path, history.step, moment)
        with Store.open(path) as store:
            assert store.version in ((version - 1, version) if died else (version,))
            history.check(store)
        with Store.open(path, write=True) as store:
            history.check_tidy(store)
        moment += 1
    assert moment > 2 or version in (3, 4)  # updates and removals touch no file but the database


def test_the_check_finds_a_writer_that_commits_before_its_vectors_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = empty(tmp_path / "s")
    with Store.open(path, write=True) as store:
        monkeypatch.setattr(segments.Appender, "_write", lambda *_: None)
        history.step(store)
    with pytest.raises((AssertionError, Exception), match="missing"), Store.open(path) as store:
        history.check(store)


def test_what_a_killed_creation_left_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / "segments").mkdir(parents=True)
    (folder / "space.db.unfinished").write_bytes(b"half a database")
    with Store.open(empty(folder), write=True) as store:
        history.step(store)
        history.check(store)
        history.check_tidy(store)
