"""A writer killed at any moment leaves the old space or the new one, and the next writer goes on from there.

SEMBLANCE_KILLS says how many random moments are tried (10; `make faults` takes 50).
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

from semblance.memory import segments
from semblance.memory.store import Store

KILLS = int(os.environ.get("SEMBLANCE_KILLS", "10"))
ROOT = Path(__file__).parents[2]


def empty(path: Path) -> Path:
    Store.create(path, dim=history.DIM, geometry="cosine", domain="vectors", manifest={}).close()
    return path


def killed_writer(path: Path, seconds: float) -> int:
    """Runs the writer, kills it so long after its first word, and returns the last version it called durable."""
    command = [sys.executable, "-m", "faults.history", str(path)]
    there = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": there}) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        lines = first + writer.stdout.read()
        assert writer.wait() == -signal.SIGKILL
    return int(lines.split()[-1])


def test_a_writer_killed_at_a_random_moment_leaves_the_last_durable_version_or_the_one_it_was_at(
    tmp_path: Path,
) -> None:
    path, chance, reached = empty(tmp_path / "s"), random.Random(20261121), []
    for _ in range(KILLS):
        durable = killed_writer(path, chance.uniform(0, 0.12))
        with Store.open(path) as store:
            assert store.version in (durable, durable + 1)
            history.check(store)
        with Store.open(path, write=True) as store:
            history.check_tidy(store)
            history.step(store)
            history.check(store)
            reached.append(store.version)
    assert reached == sorted(set(reached))  # nobody ever went back


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


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_a_writer_killed_at_each_of_its_calls_to_the_file_system_leaves_a_whole_version(
    tmp_path: Path, version: int
) -> None:
    """Every call in the change that makes this version: a fit, an addition, a removal, a compaction, a fit over it."""
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
    assert moment > 2 or version == 3  # a removal touches no file but the database


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
