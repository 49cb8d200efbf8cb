"""A cluster of several nodes on this machine, whose processes can be killed one by one.

    with cluster(workers=1) as there:                        # a head and one more node, each of one core
        run = there.start(folder, "fit", "photos", "--on", "ray")
        kill(random.choice(waited(lambda: there.busy("RayTrainWorker"))))
        code, said = ended(run)

Every cluster has a folder of its own: none finds, or is found by, another's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds within which what is waited for happens on the slowest machine."""


class Nodes:
    """The nodes of a cluster and what runs on them."""

    def __init__(self, cluster: Any, folder: Path):
        self.cluster, self.folder = cluster, folder
        self.address: str = cluster.address
        self.environment = {"RAY_ADDRESS": self.address, "RAY_TMPDIR": str(folder)}

    @property
    def workers(self) -> list[Any]:
        """The nodes but for the head."""
        return [node for node in self.cluster.list_all_nodes() if node is not self.cluster.head_node]

    def add(self, **more: Any) -> Any:
        """One more node."""
        return self.cluster.add_node(**{**NODE, **more})

    def process(self, node: Any, kind: str = "raylet") -> int:
        """The process that is a node's `raylet` (it holds the object store) or the head's `gcs_server`."""
        pid: int = node.all_processes[kind][0].process.pid
        return pid

    def busy(self, what: str = "", node: Any = None) -> list[int]:
        """Processes of a node (of all) in which a task or an actor of this name runs."""
        nodes = self.cluster.list_all_nodes() if node is None else [node]
        held = [children(self.process(one)) for one in nodes if "raylet" in one.all_processes]
        return [pid for some in held for pid in some if (name := title(pid)).startswith("ray::") and what in name]

    def start(self, folder: Path, *words: object, **more: str) -> subprocess.Popen[str]:
        """`semblance` with these words, in a folder, with this cluster for `--on ray`."""
        return start(folder, *words, **self.environment, **more)

    def lose(self, node: Any) -> None:
        """A node's machine fails. The head's takes the cluster with it."""
        for kind in ("gcs_server", "raylet"):
            if kind in node.all_processes:
                kill(self.process(node, kind))
        if node is not self.cluster.head_node:
            self.cluster.remove_node(node, allow_graceful=False)


SCRIPT = """
import functools, sys
from semblance.app import cli
from semblance.space import fit as fitting
fitting.fit = functools.partial(fitting.fit, checkpoint_seconds=0.0)
sys.exit(cli.run(cli.app, sys.argv[1:]))
"""


def start(folder: Path, *words: object, **environment: str) -> subprocess.Popen[str]:
    """`semblance` with these words in a process of its own; a fit keeps a checkpoint of every step."""
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


NODE: dict[str, Any] = {
    "num_cpus": 1,
    "object_store_memory": 100 << 20,
    "include_dashboard": False,
    "env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
}


def pretended() -> None:
    """Several machines pretended by one take minutes: they are asked for."""
    if not os.environ.get("SEMBLANCE_MACHINES"):
        pytest.skip("several machines are pretended with SEMBLANCE_MACHINES=1, as `make faults` does")


@contextmanager
def cluster(workers: int = 1, **head: Any) -> Iterator[Nodes]:
    """A head and so many more nodes; all of it is gone at the end."""
    pytest.importorskip("ray")
    pretended()
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="sb-"))  # short: names of sockets are
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        made = Cluster(initialize_head=True, head_node_args={**NODE, **head})
        try:
            there = Nodes(made, folder)
            for _ in range(workers):
                there.add()
            yield there
        finally:
            for node in made.list_all_nodes():
                for pid in there.busy(node=node):
                    kill(pid)
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
            shutil.rmtree(folder, ignore_errors=True)


def kill(pid: int) -> None:
    """As a power cut would; who is gone already is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def title(pid: int) -> str:
    """What a process says it is."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def waited(found: Callable[[], T], patience: float = PATIENCE) -> T:
    """What `found` finds, as soon as it is something."""
    end = time.monotonic() + patience
    while not (it := found()):
        assert time.monotonic() < end, f"not within {patience:.0f} s"
        time.sleep(0.05)
    return it
