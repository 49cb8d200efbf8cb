"""An embedding killed at any moment, with whoever works on it, is gone on from: every item is there exactly once.

SEMBLANCE_KILLS says how many random moments are tried (4 here and 1 on Ray; `make faults` takes 200 and 30).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import embedding

import semblance as sb

KILLS = int(os.environ.get("SEMBLANCE_KILLS", "4"))
ON_RAY = max(1, min(KILLS // 4, 30))
PATIENCE = 180.0
"""Seconds within which a process says its next word on the slowest machine."""
CLEAN = multiprocessing.get_context("forkserver")
CLEAN.set_forkserver_preload(["pandas", "semblance.space.embedding", "faults.embedding", "semblance.space.wrap"])


class Run:
    """A process that embeds, and the words it has said, each with its moment."""

    def __init__(self, photos: Path, out: Path, address: str = ""):
        self.read, self.write = multiprocessing.Pipe(duplex=False)
        pipe = self.write
        self.process = CLEAN.Process(target=embedded, args=(str(photos), str(out), pipe, address))
        self.process.start()
        self.write.close()
        self.words: list[str] = []
        self.moments: list[float] = [time.monotonic()]

    def hears(self, words: int) -> bool:
        """Waits until so many words were said; whether they were."""
        while len(self.words) < words:
            ready, _, _ = select.select([self.read], [], [], PATIENCE)
            assert ready, f"nothing was heard for {PATIENCE} seconds after {self.words[-1:]}"
            content = os.read(self.read.fileno(), 1)
            line = b""
            while content and content != b"\n":
                line, content = line + content, os.read(self.read.fileno(), 1)
            if not content:
                return False
            self.words.append(line.decode())
            self.moments.append(time.monotonic())
        return True

    def ends(self) -> int:
        """How it ended, when it has."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()  # SIGKILL, where it has not ended by itself
        self.ends()


def embedded(photos: str, out: str, pipe: Any, address: str) -> None:
    embedding.run(photos, out, pipe.fileno(), address)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedding.data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What has to come out."""
    with sb.fit(photos, embedding.model(), out=tmp_path_factory.mktemp("whole") / "a.space") as space:
        return content(space)


def content(space: Any) -> dict[str, Any]:
    pictures = [space.store.thumbnail(name) for name in space.ids]
    vectors, manifest = np.array(space.vectors), {k: space.manifest[k] for k in ("classes", "labels", "count")}
    return {"ids": space.ids, "x": vectors, "table": space.attributes(), "pictures": pictures, "manifest": manifest}


def check(out: Path, true: dict[str, Any]) -> None:
    """Raises unless every item is there exactly once, with all that belongs to it, and nothing else lies about."""
    with sb.load(out, embedding.model()) as space:
        found = content(space)
        assert space.check() == [] and space.version == 1
    np.testing.assert_array_equal(found.pop("x"), true["x"])
    assert found.pop("table").equals(true["table"])
    assert found == {k: v for k, v in true.items() if k not in ("x", "table")}
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def unfinished(out: Path) -> bool:
    """Whether a user has to give the command again. What is left after a kill in the last of its steps is swept up here."""
    for left in out.parent.glob("*.done"):
        shutil.rmtree(left)
    return not out.exists() or out.with_name("a.space.embedding").exists()


def finished(photos: Path, out: Path, address: str = "") -> Run:
    """Starts it (again) and lets it end."""
    run = Run(photos, out, address)
    while run.hears(len(run.words) + 1):
        pass
    assert run.ends() == 0 and run.words[-1] == "done"
    return run


def test_a_process_killed_at_a_random_moment_loses_no_item_and_makes_none_twice(
    photos: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    usual = finished(photos, tmp_path / "first" / "a.space")
    check(tmp_path / "first" / "a.space", whole)
    gaps = np.diff([*usual.moments, usual.moments[-1] + 0.01])
    chance, before = random.Random(20261122), 0
    for turn in range(KILLS):
        out = tmp_path / f"{turn}" / "a.space"
        out.parent.mkdir()
        for _ in range(chance.randint(1, 2)):  # what is begun again may be killed again
            run = Run(photos, out)
            words = (
                len(usual.words) - chance.randint(0, 4) if chance.random() < 0.4 else chance.randint(0, len(gaps) - 1)
            )
            if run.hears(words):
                time.sleep(chance.uniform(0, 1.2) * float(gaps[min(words, len(gaps) - 1)]))
            run.kill()
            if out.exists():  # it is whole from the moment it is there
                with sb.load(out, embedding.model()) as space:
                    np.testing.assert_array_equal(np.array(space.vectors), whole["x"])
                    assert space.ids == whole["ids"]
                if not unfinished(out):
                    break
        before += unfinished(out)
        if unfinished(out):
            finished(photos, out)
        check(out, whole)
        shutil.rmtree(out.parent)
    assert before or KILLS < 4  # some were killed in the middle


@contextmanager
def cluster() -> Iterator[str]:
    """A cluster of this machine, by its address."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(sb.__file__).parents[1])  # of the workers
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    try:
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()


def workers() -> list[int]:
    """Processes of this cluster in which parts are made or handed out, or were."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            if line.startswith((b"ray::Map(_one)", b"ray::_all", b"ray::IDLE")) and os.getpid() in ancestors(
                int(folder.name)
            ):
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(process)
    return found


def test_on_a_cluster_neither_a_killed_worker_nor_a_killed_driver_loses_an_item(
    photos: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    chance = random.Random(20261123)
    with cluster() as address:
        for turn in range(ON_RAY):
            out = tmp_path / f"{turn}" / "a.space"
            out.parent.mkdir()
            run = Run(photos, out, address)
            if run.hears(chance.randint(1, 4)):
                for process in workers():
                    if chance.random() < 0.7:
                        with suppress(ProcessLookupError):
                            os.kill(process, signal.SIGKILL)
            if run.hears(len(run.words) + chance.randint(0, 6)):
                time.sleep(chance.uniform(0, 0.1))
            run.kill()
            if unfinished(out):
                finished(photos, out, address)
            check(out, whole)


def test_the_check_can_fail(photos: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    with sb.embed(embedding.model(), photos, tmp_path / "a.space") as space:
        check(tmp_path / "a.space", whole)
        space.remove(space.ids[5])
    with pytest.raises(AssertionError):
        check(tmp_path / "a.space", whole)
