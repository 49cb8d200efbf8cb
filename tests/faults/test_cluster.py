"""A cluster that loses processes, or is not what it should be: nothing is lost, nothing is there twice, one line says it.

SEMBLANCE_CLUSTER_KILLS says how many random moments are tried of a fit, of a ranking and of an embedding (1; `make faults`
takes 30). On one machine workers are killed by tests/space/test_cluster.py.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.rayed import Nodes, cluster, ended, kill, start, waited
from faults.test_disk import mount

import semblance as sb
from semblance.errors import Failed
from semblance.space import cluster as ours
from semblance.space.fit import fit
from semblance.space.rank import rank

ray = pytest.importorskip("ray")
KILLS = int(os.environ.get("SEMBLANCE_CLUSTER_KILLS", "1"))
EPOCHS, ITEMS = 40, 20_000
SMALL = ("--set", "batch=16", "--set", "least=256")
TRAIN = ("RayTrainWorker", "TrainController", "RayTrainWorker", "Board")
FIT: tuple[object, ...] = ("fit", "v.npz", "-r", "hopfield", "--epochs", EPOCHS, "--no-evaluate", *SMALL)
RANK: tuple[object, ...] = ("rank", "v.npz", "-r", "as-is", "-r", "hopfield", "--seeds", 4, "--epochs", 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two classes of vectors."""
    chance = np.random.default_rng(0)
    y = np.arange(64) % 2
    np.savez(tmp_path / "v.npz", x=chance.normal(size=(64, 6)).astype(np.float32) + 2 * y[:, None], y=y)
    return tmp_path


@pytest.fixture(scope="module")
def there() -> Iterator[Nodes]:
    """A cluster whose head does no work; tests add the node that does."""
    with cluster(0, cores=0) as nodes:
        yield nodes


@pytest.fixture
def alone(there: Nodes) -> Iterator[Nodes]:
    """The cluster; the nodes that a test adds have left it when the next one begins."""
    yield there
    for node in there.workers:
        there.leave(node)


def refused(there: Nodes, folder: Path, *words: object) -> str:
    """The one line with which a fit on this cluster ends."""
    code, said = ended(there.start(folder, *FIT, "-q", "--out", "a.space", "--on", "ray", *words))
    assert code in (1, 2) and len(said.splitlines()) == 1, said
    return said


# ---------------------------------------------------------------------------------------------- not what it should be


@pytest.mark.parametrize("on", ["ray", "ray://127.0.0.1:1"])
def test_an_address_where_nobody_listens_costs_a_line(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if on == "ray":
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        Failed, match=r"no cluster answers at (ray://)?127\.0\.0\.1:1 .*refused.*: (unset|see)"
    ) as caught:
        ours.joined(on)
    assert "\n" not in str(caught.value) and caught.value.code == 1
    assert not ray.is_initialized()


def test_a_cluster_that_asks_for_a_token_says_what_to_set() -> None:
    """What Ray raises, by its beginning; a walk through a cluster with a token is in tests/app/test_cluster_walk.py."""
    error = RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing or incorrect.\nNote: ...")
    said = str(ours._not_joined("ray", "head:6379", error))
    assert said.startswith("the cluster at head:6379 asks for a token: set RAY_AUTH_MODE=token") and "\n" not in said


FORGED = """
import json, sys
from ray._raylet import GcsClient
client, (key, where) = GcsClient(address=sys.argv[1]), (b"CLUSTER_METADATA", b"cluster")
said = client.internal_kv_get(key, where)
print(said.decode())
new = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {"ray_version": "2.9.3", "python_version": "3.10.2"}
client.internal_kv_put(key, json.dumps({**json.loads(said), **new}).encode(), True, where)
"""


def test_another_ray_is_named_with_both_versions(there: Nodes, folder: Path) -> None:
    """The cluster says what it runs, and Ray compares: only what it says is changed here."""
    words = [sys.executable, "-c", FORGED, there.address]
    true = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    try:
        said = refused(there, folder)
    finally:
        subprocess.run([*words, true], capture_output=True, check=True)
    words = f"runs Ray 2.9.3 on Python 3.10.2, and this process Ray {ray.__version__} on Python 3."
    assert words in said and "pip install ray==2.9.3 here" in said


@pytest.mark.parametrize("theirs", ["0.0.1", ""])
def test_another_semblance_or_none_on_a_node_is_named(alone: Nodes, folder: Path, theirs: str) -> None:
    (folder / "site/semblance").mkdir(parents=True)
    found = f'__version__ = "{theirs}"' if theirs else "raise ImportError"
    (folder / "site/semblance/__init__.py").write_text(found)
    alone.add(PYTHONPATH=str(folder / "site"))
    has = f"Semblance {theirs}" if theirs else "no Semblance"
    pip = f"pip install 'semblance[ray]=={sb.__version__}' there"
    assert f"has {has} and this process is {sb.__version__}: {pip}" in refused(alone, folder)


def test_a_folder_that_not_all_machines_see_costs_a_line_before_the_fit(alone: Nodes, folder: Path) -> None:
    """The node that works sees another folder in its place: it has mounts of its own."""
    own = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        pytest.skip("this user may not have mounts of its own")
    alone.add(*own, f"mount -t tmpfs tmpfs '{folder}' && exec \"$@\"", "sh")
    said = refused(alone, folder)
    assert re.search(r"does not see .*a\.space\.fitting: give an --out on a disk that all", said)


def test_a_full_disk_on_a_worker_costs_a_line_and_what_was_saved_stays(alone: Nodes, folder: Path) -> None:
    disk, log = folder / "disk", folder / "a.space.fitting/log.jsonl"
    if not mount(disk, "size=4m"):
        pytest.skip("this user may not mount a small tmpfs")
    try:
        alone.add(TMPDIR=str(disk))
        run = alone.start(folder, *FIT, "--out", "a.space", "--on", "ray")
        waited(lambda: len(epochs_of(log)) > EPOCHS // 4 or run.poll() is not None)
        with open(disk / "ballast", "wb", buffering=0) as file, pytest.raises(OSError, match="space left"):
            while True:
                file.write(bytes(4096))
        code, said = ended(run)
        last = said.splitlines()[-1]
        assert code == 1 and re.search(r"No space left.*what was saved lies in .*: go on with --resume$", last), said
        kept = len(epochs_of(log))
        (disk / "ballast").unlink()
        code, said = ended(start(folder, *FIT, "--out", "a.space", "--resume"))
        assert code == 0, said
        assert EPOCHS // 5 < kept < EPOCHS
        whole(folder / "a.space")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


# --------------------------------------------------------------------------------------------------------------- kills


def epochs_of(log: Path) -> list[float]:
    """Of whole lines."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line)["epoch"] for line in lines if line.endswith("\n")]


def whole(out: Path) -> np.ndarray:
    """The vectors of a fit that ended: nothing lost, nothing twice."""
    assert epochs_of(out / "log.jsonl") == list(range(1, EPOCHS + 1))
    assert not out.with_name(out.name + ".fitting").exists()
    with sb.load(out) as space:
        assert space.check() == [] and len(space) == len(set(space.ids)) == 64
        return np.array(space.vectors)


def died(there: Nodes, victim: str, run: subprocess.Popen[str], chance: random.Random) -> None:
    """One of the cluster's, or the run itself."""
    if victim in ("driver", "Ctrl-C"):
        run.send_signal(signal.SIGKILL if victim == "driver" else signal.SIGINT)
    elif victim in ("head", "node"):
        there.lose(there.head if victim == "head" else there.workers[0])
    else:
        kill(chance.choice(waited(lambda: there.busy(victim) or (run.poll() is not None and [run.pid]))))


def at_random(done: Callable[[], int], most: int, run: subprocess.Popen[str], chance: random.Random) -> None:
    """Waits until a random part of the work is done."""
    enough = chance.randint(1, most)
    waited(lambda: done() >= enough or run.poll() is not None)


def fit_in_spite_of(victims: Iterable[str], sizes: Iterator[int], folder: Path, chance: random.Random) -> None:
    """Fits, and loses one after the other; goes on, on another number of workers, and at last without a cluster."""
    words: tuple[object, ...] = (*FIT, "--out", "a.space", "--overwrite")
    with ExitStack() as held:
        there = None
        for victim in victims:
            there = there or held.enter_context(cluster(1))
            run = there.start(folder, *words, "--on", "ray", "--workers", next(sizes))
            at_random(lambda: len(epochs_of(folder / "a.space.fitting/log.jsonl")), EPOCHS - 10, run, chance)
            died(there, victim, run, chance)
            if victim == "node":
                there.add()
            code, said = ended(run)
            if code == 0:  # it lived on, or was quicker
                return
            last = said.splitlines()[-1] if said else ""
            if victim == "driver":
                assert code == -signal.SIGKILL, said
            else:
                assert code == (130 if victim == "Ctrl-C" else 1), said
                assert last.endswith("what was saved lies in a.space.fitting: go on with --resume"), said
            if victim == "head":
                assert f"the cluster at {there.address} is gone: " in last, said
                held.close()
                there = None
            words = (*words, "--resume") if "--resume" not in words else words
    code, said = ended(start(folder, *words))
    assert code == 0, said


def test_a_fit_that_loses_processes_ends_where_it_would_have_ended(folder: Path) -> None:
    chance, killed = random.Random(20261122), 0
    fit(folder / "v.npz", "hopfield", out=folder / "true.space", epochs=EPOCHS, batch=16, least=256).close()
    true = whole(folder / "true.space")
    victims, sizes = itertools.cycle(["head", "driver", *TRAIN, "Ctrl-C", "node", "driver"]), itertools.cycle([2, 1])
    while killed < KILLS:
        some = list(itertools.islice(victims, min(2, KILLS - killed)))
        killed += len(some)
        fit_in_spite_of(some, sizes, folder, chance)
        assert (whole(folder / "a.space") * true).sum(1).mean() > 0.95


def in_spite_of(
    victims: Iterator[str],
    words: Sequence[object],
    done: Callable[[], int],
    most: int,
    kept: str,
    folder: Path,
    seed: int,
) -> int:
    """Gives a command, and loses up to three while it runs; gives it again where that ended it. -> how many it lost."""
    chance, killed = random.Random(seed), 0
    with cluster(1) as there:
        run = there.start(folder, *words, "--on", "ray", "--workers", 2)
        for victim in itertools.islice(victims, 3):
            at_random(done, most, run, chance)
            died(there, victim, run, chance)
            killed += 1
            if victim == "node":
                there.add()
            if victim in ("driver", "head"):
                break
        code, said = ended(run)
        if victim == "driver" and code:
            assert code == -signal.SIGKILL, said
            code, said = ended(there.start(folder, *words, "--on", "ray", "--workers", 2))
        if victim == "head" and code:
            last = said.splitlines()[-1]
            assert code == 1 and f"the cluster at {there.address} is gone: " in last and last.endswith(kept), said
            code, said = ended(start(folder, *words))
    assert code == 0, said
    return killed


def test_a_ranking_that_loses_processes_ends_with_the_table_it_would_have_had(folder: Path) -> None:
    rank(folder / "v.npz", ["as-is", "hopfield"], seeds=4, epochs=5, out=folder / "true")
    true, log = runs_of(folder / "true"), folder / "r/runs.jsonl"
    victims, killed = itertools.cycle(["node", "_run", "driver", "_run", "head"]), 0
    kept = "finished runs are kept in r; rank again with the same words to go on"

    def done() -> int:
        return len(log.read_text().splitlines()) if log.exists() else 0

    while killed < KILLS:
        shutil.rmtree(folder / "r", ignore_errors=True)
        killed += in_spite_of(victims, (*RANK, "-o", "r"), done, len(true) - 2, kept, folder, 20261123 + killed)
        assert runs_of(folder / "r") == true


def test_an_embedding_that_loses_processes_holds_every_item_once(folder: Path) -> None:
    """Whatever dies: the process that makes parts, the one that hands them out, a node with its object store, the head."""
    parts, out = folder / "e.space.embedding/parts", folder / "e.space"
    np.save(folder / "x.npy", np.random.default_rng(1).normal(size=(ITEMS, 6)).astype(np.float32))
    fit(folder / "v.npz", "hopfield", out=folder / "m.space", epochs=1).close()
    with sb.embed(folder / "m.space", folder / "x.npy", folder / "true.space") as space:
        true, ids = np.array(space.vectors), space.ids
    victims, killed = itertools.cycle(["Map(_one)", "node", "driver", "_all", "head"]), 0
    words, kept = ("embed", "m.space", "x.npy", "-o", "e.space"), "give the same command again"

    def done() -> int:
        return len(list(parts.glob("0*")))

    while killed < KILLS:
        shutil.rmtree(out, ignore_errors=True)
        killed += in_spite_of(victims, words, done, ITEMS // 512, kept, folder, 20261124 + killed)
        with sb.load(out) as space:
            assert space.ids == ids and space.check() == []
            np.testing.assert_allclose(np.array(space.vectors), true, rtol=0, atol=1e-5)
        assert not out.with_name("e.space.embedding").exists()


def runs_of(folder: Path) -> dict[str, Any]:
    """The lines of a ranking by their keys, but for what the clock said; none may be there twice."""
    lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    assert len({line["key"] for line in lines}) == len(lines)
    return {line["key"]: {**line, "seconds": 0} for line in lines}
