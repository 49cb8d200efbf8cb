"""A cluster of several nodes on this machine, whose processes can be killed one by one.

    with cluster(workers=1) as there:                        # a head and one more node, each of one core
        run = there.start(folder, "fit", "photos", "--on", "ray")
        kill(random.choice(waited(lambda: there.busy("RayTrainWorker"))))
        code, said = ended(run)

Every cluster has a folder of its own: none finds, or is found by, another's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
MARK = "SEMBLANCE_NODE"
SMALL = (
    "--object-store-memory=104857600",
    "--min-worker-port=0",
    "--max-worker-port=0",
    "--dashboard-agent-listen-port=0",
    "--include-log-monitor=false",
)
PATIENCE = 600.0
"""Seconds within which what is waited for happens on the slowest machine."""


class Nodes:
    """The nodes of a cluster and what runs on them. Nothing of Ray is in this process, whatever dies."""

    def __init__(self, folder: Path, cores: int):
        self.folder, self.head, self.workers = folder, name(), list[str]()
        own = ["--head", "--port=0", f"--ray-client-server-port={free()}", "--include-dashboard=false"]
        self._start(self.head, [*own, f"--num-cpus={cores}"], {})
        self.address = (folder / "ray/ray_current_cluster").read_text().strip()
        self.environment = {"RAY_ADDRESS": self.address, "RAY_TMPDIR": str(folder)}

    def add(self, *before: str, **environment: str) -> str:
        """The name of one more node of one core. before: a command that runs the one that follows it."""
        self.workers.append(name())
        own = [f"--address={self.address}", "--num-cpus=1", "--node-manager-port=0"]
        self._start(self.workers[-1], own, environment, before)
        return self.workers[-1]

    def _start(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], before: Sequence[str] = ()
    ) -> None:
        own = {"RAY_TMPDIR": str(self.folder), "RAY_USAGE_STATS_ENABLED": "0", MARK: name, "PYTHONPATH": PATH}
        others = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        done = subprocess.run(
            [*before, sys.executable, "-m", "ray.scripts.scripts", "start", *words, *SMALL],
            env={**others, **own, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def busy(self, what: str = "") -> list[int]:
        """Processes in which a task or an actor of this name runs."""
        held = [pid for node in (self.head, *self.workers) for pid in marked(MARK, node)]
        return [pid for pid in held if (told := title(pid)).startswith("ray::") and what in told]

    def start(self, folder: Path, *words: object, **more: str) -> subprocess.Popen[str]:
        """`semblance` with these words, in a folder, with this cluster for `--on ray`."""
        return start(folder, *words, **self.environment, **more)

    def lose(self, node: str) -> None:
        """A node's machine fails. The head's takes the cluster with it."""
        end(MARK, node)
        self.workers = [other for other in self.workers if other != node]

    def leave(self, node: str) -> None:
        """A node goes, and says so to the head, which waits a while for one that does not."""
        (raylet,) = (pid for pid in marked(MARK, node) if title(pid).endswith("/raylet"))
        os.kill(raylet, signal.SIGTERM)
        waited(lambda: raylet not in marked(MARK, node))
        self.lose(node)


SCRIPT = """
import functools, sys
from semblance.app import cli
from semblance.space import embedding, fit as fitting
embedding.LEAST = 1
fitting.fit = functools.partial(fitting.fit, checkpoint_seconds=0.0)
sys.exit(cli.run(cli.app, sys.argv[1:]))
"""


def start(folder: Path, *words: object, **environment: str) -> subprocess.Popen[str]:
    """`semblance` with these words in a process of its own; a fit keeps a checkpoint of every step, and
    an embedding has parts of one batch."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a run and what it said on stderr."""
    try:
        said = run.communicate(timeout=PATIENCE)[1]
    finally:
        run.kill()
    return run.returncode, said


@contextmanager
def cluster(workers: int = 1, cores: int = 1) -> Iterator[Nodes]:
    """A head of so many cores and so many more nodes; all of it is gone at the end."""
    pytest.importorskip("ray")
    folder = Path(tempfile.mkdtemp(prefix="sb-"))  # short: names of sockets are
    try:
        there = Nodes(folder, cores)
        for _ in range(workers):
            there.add()
        yield there
    finally:
        end("RAY_TMPDIR", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def name() -> str:
    """One that no other node has."""
    return secrets.token_hex(8)


def free() -> str:
    """A port that nobody has."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def marked(variable: str, value: str) -> list[int]:
    """Processes that have this in their environment, and those that they started: Ray's workers write over their own."""
    found, parents = set(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if f"{variable}={value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(pid)
        except OSError:  # it has ended meanwhile, or is not ours
            continue
    return sorted(found | {pid for pid, parent in parents.items() if parent in found})


def end(variable: str, value: str) -> None:
    """Kills them all."""
    while held := marked(variable, value):
        for pid in held:
            kill(pid)
        time.sleep(0.02)


def kill(pid: int) -> None:
    """As a power cut would; who is gone already is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def title(pid: int) -> str:
    """What a process says it is."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def waited(found: Callable[[], T], patience: float = PATIENCE) -> T:
    """What `found` finds, as soon as it is something."""
    latest = time.monotonic() + patience
    while not (it := found()):
        assert time.monotonic() < latest, f"not within {patience:.0f} s"
        time.sleep(0.05)
    return it
