"""On Ray, with a cluster of this machine: the same fit, the same table, a worker that dies, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semblance.errors import Interrupted, SemblanceError
from semblance.learning import checkpoint
from semblance.learning.checkpoint import Place
from semblance.recipes.registry import build
from semblance.space import cluster, kept
from semblance.space.fit import fit
from semblance.space.rank import rank
from semblance.testing import small

pytestmark = pytest.mark.usefixtures("two_cores")
SETTINGS = {"epochs": 2, "batch": 8, "least": 1}


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory, two_cores: Any) -> Any:
    said: list[str] = []
    out = tmp_path_factory.mktemp("on") / "two.space"
    with fit(small("images"), "simclr", out=out, on="ray", workers=2, say=said.append, **SETTINGS) as space:
        return space.info, np.array(space.vectors), json.loads((out / "recipe.json").read_text()), said, out


def test_a_fit_of_two_workers_goes_where_one_process_goes(on_two: Any, tmp_path: Path) -> None:
    info, vectors, record, _, out = on_two
    with fit(small("images"), "simclr", out=tmp_path / "one.space", **SETTINGS) as space:
        # The first step is the same to 1e-6; in float32 a rounding error grows tenfold in three steps of this rate.
        assert info["loss"] == pytest.approx(space.info["loss"], rel=0.02)
        one = np.array(space.vectors)
    assert (vectors * one).sum(1).mean() > 0.95
    assert record["trained"]["on"] == "ray" and record["trained"]["epochs"] == 2
    assert epochs_of(out) == [1, 2]


def epochs_of(out: Path) -> list[float]:
    return [json.loads(line)["epoch"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_what_is_unfinished_is_gone_when_it_is_done(on_two: Any) -> None:
    out = on_two[-1]
    assert not out.with_name(out.name + ".fitting").exists()


def test_a_worker_that_dies_is_begun_anew_from_its_checkpoint(tmp_path: Path) -> None:
    killed = threading.Event()

    def kill(done: int, total: int, text: str) -> None:
        if done < 12 or killed.is_set() or not text.startswith("simclr"):
            return
        killed.set()
        for process in workers_of_ray():
            os.kill(process, signal.SIGKILL)

    said: list[str] = []
    with fit(
        small("images"),
        "simclr",
        out=tmp_path / "a.space",
        on="ray",
        workers=1,
        epochs=8,
        batch=8,
        least=40,
        checkpoint_seconds=0.0,
        progress=kill,
        say=said.append,
    ) as space:
        assert space.info["epochs"] == 8 and len(space) == len(small("images"))
    assert killed.is_set() and any("workers were lost" in line for line in said)


def test_a_fit_that_was_stopped_on_one_worker_goes_on_on_two(tmp_path: Path) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done >= 12 and text.startswith("simclr"):
            raise KeyboardInterrupt

    asked: dict[str, Any] = {"epochs": 8, "batch": 8, "least": 40, "checkpoint_seconds": 0.0}
    out = tmp_path / "a.space"
    with pytest.raises(Interrupted, match=r"what was saved lies in .*a\.space\.fitting: go on with --resume"):
        fit(small("images"), "simclr", out=out, on="ray", workers=1, progress=stop, **asked)
    before = kept.furthest(out.with_name("a.space.fitting").glob("ray/run/checkpoint_*"))
    assert before is not None and (0, 0, 0) < before[0] < (0, 8, 0)
    with fit(small("images"), "simclr", out=out, on="ray", workers=2, resume=True, **asked) as space:
        assert space.info["epochs"] == 8 and epochs_of(out) == list(range(1, 9))
        two = np.array(space.vectors)
    with fit(small("images"), "simclr", out=tmp_path / "one.space", **asked) as space:
        assert (two * np.array(space.vectors)).sum(1).mean() > 0.95


def workers_of_ray() -> list[int]:
    """Processes in which a training function of Ray runs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(b"ray::") and b"RayTrainWorker" in line:
            found.append(int(folder.name))
    return found


def test_a_ranking_has_the_table_of_one_machine(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"recipes": ["as-is", "icon"], "seeds": 2, "epochs": 2}
    one, two = (rank(small("vectors"), out=tmp_path / on, on=on, **asked) for on in ("local", "ray"))
    plain = [{k: v for k, v in row.items() if k != "seconds"} for row in one.rows]
    assert plain == [{k: v for k, v in row.items() if k != "seconds"} for row in two.rows]
    assert len((tmp_path / "ray" / "runs.jsonl").read_text().splitlines()) == 4


def saved(folder: Path, stage: int, epoch: int, step: int = 0) -> Path:
    """A checkpoint of a run that is so far."""
    module = torch.nn.Linear(1, 1)
    place = Place(epoch=epoch, step=step)
    checkpoint.save(folder / f"stage-{stage}.safetensors", module, torch.optim.SGD(module.parameters()), place, "")
    return folder


def test_what_ray_kept_is_gone_on_from_on_one_machine_the_furthest_of_it_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    ours = saved(tmp_path, 0, 3)
    run = tmp_path / "ray/run"
    saved(run / "checkpoint_2026-11-22", 0, 4)
    saved(run / "checkpoint_2026-11-21", 0, 4, step=2)  # later, by a clock that was set back
    half = (saved(run / "checkpoint_2026-11-23", 0, 9) / "stage-0.safetensors").read_bytes()
    (run / "checkpoint_2026-11-23/stage-0.safetensors").write_bytes(half[: len(half) // 2])  # a kill's
    (run / "checkpoint_2026-11-24").mkdir()
    kept.brought(tmp_path)
    assert kept.place(ours) == (0, 4, 2)
    saved(ours, 1, 0)  # it went on here
    kept.brought(tmp_path)
    assert kept.place(ours) == (1, 0, 0)


def test_a_checkpoint_is_new_by_its_content_and_not_by_the_clock(tmp_path: Path) -> None:
    before = kept.stamp(saved(tmp_path, 0, 3))
    saved(tmp_path, 0, 4)
    os.utime(tmp_path / "stage-0.safetensors", (0, 0))  # in 1970
    after = kept.stamp(tmp_path)
    assert after != before and after == kept.stamp(tmp_path)


@pytest.mark.parametrize(
    ("machines", "workers", "each"),
    [([2], 1, 2), ([2], 2, 1), ([1, 1], 1, 1), ([8, 4], 2, 4), ([8, 4], 3, 4), ([16, 4], 2, 8), ([3, 3], 3, 1)],
)
def test_nobody_is_asked_to_work_on_two_machines(machines: list[int], workers: int, each: int) -> None:
    assert cluster.cores_each(machines, workers) == each


def double(x: int) -> int:
    if x == 3:
        raise SemblanceError("3 is not doubled: give another")
    return 2 * x


def test_runs_are_answered_as_they_end_and_their_errors_come_whole() -> None:
    assert sorted(cluster.runs_on("ray", double, [1, 2, 5])) == [(1, 2), (2, 4), (5, 10)]
    with pytest.raises(SemblanceError, match=r"^3 is not doubled: give another$"):
        list(cluster.runs_on("ray", double, [3]))


@pytest.mark.parametrize(
    ("domain", "recipe", "words"),
    [("graph", "gcn", "at every step"), ("images", "untrained", "no gradient steps")],
)
def test_what_cannot_be_shared_out_says_so_before_it_starts(
    domain: str, recipe: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SemblanceError, match=words):
        fit(small(domain), recipe, out=tmp_path / "a.space", on="ray", workers=2)
    cluster.shareable(small(domain), build(recipe), recipe, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"on": "spark"}, "give local, ray, or ray://HOST:PORT"),
        ({"on": "ray", "workers": 0}, "workers is 0"),
        ({"on": "ray", "workers": 999}, "999"),
        ({"on": "ray", "seconds": 3.0}, "several clocks"),
    ],
)
def test_wrong_words_are_named(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SemblanceError, match=words):
        fit(small("images"), "simclr", out=tmp_path / "a.space", **given)
