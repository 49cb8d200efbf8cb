"""Cluster: the same work on Ray, which schedules it, moves it and tries again what was lost.

    fit_on     training by Ray Train: every worker runs the one loop, as `learning/distribution.py` shares it out
    runs_on    independent runs as Ray tasks, answered as they end

on: `local` (this process), `ray` (a cluster of this machine, or the one that is already joined), `ray://HOST:PORT`.

Ray reports its usage to its makers unless told otherwise; here it is told otherwise, unless the variable
RAY_USAGE_STATS_ENABLED is set. Moritz et al. 2018, arXiv:1712.05889.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.recipes.registry import Recipe
from semblance.space.model import Model

T = TypeVar("T")
OFTEN = 0.3
"""Seconds between two questions how far the workers are."""
LIVES = 3
"""How often a run is begun anew from its last checkpoint when workers die."""


def elsewhere(on: str, workers: int | None) -> bool:
    """Whether Ray is asked for; raises where the two do not go together."""
    if on not in ("local", "ray") and not on.startswith("ray://"):
        raise SemblanceError(f"on is {on!r}: give local, ray, or ray://HOST:PORT")
    if workers is not None and workers < 1:
        raise SemblanceError(f"workers is {workers}: give 1 or more")
    if on == "local" and workers not in (None, 1):
        raise SemblanceError(f"workers is {workers} where one process works: give --on ray as well")
    return on != "local"


def joined(on: str) -> Any:
    """The module `ray`, connected to the cluster of this name."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do later; unset, it warns of it
    # Ray Train asks its workers every two seconds and lets none report twice between: a short epoch would wait for it.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    try:
        import ray
    except ImportError:
        raise SemblanceError(f"on {on} needs Ray: pip install 'semblance[ray]'") from None
    if ray.is_initialized():
        return ray
    known = {"PYTHONPATH": os.pathsep.join(filter(None, [str(_package()), os.environ.get("PYTHONPATH", "")]))}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(
            address=on if on != "ray" else os.environ.get("RAY_ADDRESS"),
            runtime_env={"env_vars": known} if on == "ray" and "RAY_ADDRESS" not in os.environ else None,
            include_dashboard=False if on == "ray" and "RAY_ADDRESS" not in os.environ else None,
            **quiet,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:300]
        raise Failed(f"no cluster answers at {on} ({reason}): see `ray status` there, or give --on ray") from error
    return ray


def _package() -> Path:
    """The folder that this package is imported from."""
    return Path(__file__).resolve().parents[2]


def shareable(dataset: Loaded, recipe: Recipe, name: str, workers: int) -> None:
    """Raises where several workers would all do the same."""
    if workers == 1:
        return
    if isinstance(dataset, RelationalDataset) and dataset.whole:
        raise SemblanceError(
            f"{name} reads all of the {dataset.domain} at every step, so {workers} workers would each do all of the work: "
            "give --workers 1, or rank several methods at once (rank --on ray)"
        )
    if not any(stage.objective is not None and hasattr(stage.rule, "step") for stage in recipe.stages):
        raise SemblanceError(f"{name} takes no gradient steps that {workers} workers could share: give --workers 1")


def fit_on(
    on: str,
    workers: int | None,
    dataset: Loaded,
    recipe: Recipe,
    *,
    name: str,
    settings: Mapping[str, Any],
    folder: Path,
    resume: bool,
    on_step: Callable[[int, int, dict[str, float]], None] | None,
    on_epoch: Callable[[int, dict[str, float]], None] | None,
    **given: Any,
) -> Model:
    """Train on a cluster; `folder` keeps the checkpoints, by which it goes on after a stop or a loss, on however many
    workers. `given` is what `training.train` takes. Adds a line to the model's notes where workers were lost."""
    if given.get("seconds") is not None:
        raise SemblanceError("a cluster's workers have several clocks: give --epochs instead of --time")
    ray = joined(on)
    machines = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    workers = len(machines) if workers is None else workers
    shareable(dataset, recipe, name, workers)
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    storage = folder.resolve() / "ray"
    if resume:
        brought(folder)
    begin = {file.name: file.read_bytes() for file in folder.glob("stage-*.safetensors")} if resume else {}
    shutil.rmtree(storage, ignore_errors=True)
    cores = int(ray.cluster_resources().get("CPU", 1))
    each = max(1, cores // workers)
    if workers > cores:
        raise SemblanceError(f"workers is {workers} and the cluster has {cores} cores: give at most as many workers")
    told = _told(ray)
    work = {
        "dataset": ray.put(dataset),
        "name": name,
        "settings": dict(settings),
        "given": {**given, "resume": resume},
        "begin": begin,
        "told": told,
        "threads": each,
    }
    trainer = TorchTrainer(
        _worker,
        train_loop_config=work,
        torch_config=TorchConfig(backend="gloo" if not ray.cluster_resources().get("GPU") else None),
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": each}),
        run_config=RunConfig(name="run", storage_path=str(storage), failure_config=FailureConfig(max_failures=LIVES)),
    )
    history: list[dict[str, float]] = []

    def heard(stage: int, metrics: dict[str, float]) -> None:
        history.append({"stage": float(stage), **metrics})
        if on_epoch is not None:
            on_epoch(stage, metrics)

    try:
        with _listening(ray, told, on_step, heard) as lost:
            result = trainer.fit()
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; what was saved lies in {folder}: go on with --resume") from None
    except Exception as error:  # Ray wraps what a worker raised in errors of its own
        raise _plain(error, folder) from error
    assert result.checkpoint is not None  # every worker's last word comes with one
    with result.checkpoint.as_directory() as found:
        model = Model.load(Path(found) / "model.safetensors")
        model.notes = tuple((Path(found) / "notes.txt").read_text().splitlines())
    model.history = history
    if lost():
        model.notes += (f"workers were lost {lost()} times, and the run went on from its last checkpoint",)
    return model


def runs_on(
    on: str,
    run: Callable[[Any], T],
    jobs: Sequence[Any],
    workers: int | None = None,
    *,
    alone: bool = False,
    lost: Callable[[Any, SemblanceError], T] | None = None,
) -> Generator[tuple[Any, T], None, None]:
    """(job, run(job)) as they end, each in a Ray task; what is not yet done is dropped when the caller stops asking. alone:
    no process runs a second job. lost: what stands for a job that fails, which without it ends the others too."""
    ray = joined(on)
    cores = int(ray.cluster_resources().get("CPU", 1))
    at_once = min(workers or cores, cores)
    held = ray.put(run)
    once = {"max_calls": 1} if alone else {}
    task = ray.remote(num_cpus=max(1, cores // at_once), max_retries=LIVES, **once)(_run)
    waiting: list[Any] = list(jobs)
    running: dict[Any, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[task.remote(held, job, max(1, cores // at_once))] = job
            ready, _ = ray.wait(list(running), num_returns=1)
            job = running.pop(ready[0])
            try:
                found = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                if lost is None:
                    raise _plain(error, None) from error
                found = lost(job, _plain(error, None))
            yield job, found
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _run(run: Callable[[Any], T], job: Any, threads: int) -> T:
    import torch

    torch.set_num_threads(threads)
    return run(job)


def _worker(work: Mapping[str, Any]) -> None:
    """What each worker of a fit does."""
    import ray
    import torch
    from ray import train as ray_train

    from semblance.recipes.registry import build
    from semblance.space.training import train

    torch.set_num_threads(work["threads"])
    first = ray_train.get_context().get_world_rank() == 0
    told = work["told"]
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        before = ray_train.get_checkpoint()
        resumed = before is not None
        if before is not None:
            before.to_directory(kept)
        for name, content in work["begin"].items() if before is None else ():
            (folder / name).write_bytes(content)
        seen = 0.0
        if first:
            told.begun.remote()

        def on_step(done: int, total: int, metrics: dict[str, float]) -> None:
            if first:
                told.step.remote(done, total, metrics)

        def on_epoch(stage: int, metrics: dict[str, float]) -> None:
            nonlocal seen
            if first:
                told.epoch.remote(stage, metrics)
            newest = max((file.stat().st_mtime for file in folder.glob("stage-*")), default=0.0)
            fresh = first and newest > seen
            seen = max(seen, newest)
            ray_train.report({}, checkpoint=ray_train.Checkpoint.from_directory(kept) if fresh else None)

        given = {**work["given"], "resume": work["given"]["resume"] or resumed}
        model = train(
            ray.get(work["dataset"]),
            build(work["name"], **work["settings"]),
            name=work["name"],
            settings=work["settings"],
            checkpoints=folder,
            on_step=on_step,
            on_epoch=on_epoch,
            **given,
        )
        if first:
            model.save(folder / "model.safetensors")
            (folder / "notes.txt").write_text("\n".join(model.notes))
        ray_train.report({}, checkpoint=ray_train.Checkpoint.from_directory(kept) if first else None)


def _told(ray: Any) -> Any:
    """An actor that remembers how far the first worker is, until it is asked."""

    class Told:
        def __init__(self) -> None:
            self.starts = 0
            self.last: tuple[Any, ...] | None = None
            self.epochs: list[tuple[Any, ...]] = []

        def begun(self) -> None:
            self.starts += 1

        def step(self, *what: Any) -> None:
            self.last = what

        def epoch(self, *what: Any) -> None:
            self.epochs.append(what)

        def heard(self) -> tuple[int, Any, list[Any]]:
            found, self.epochs, self.last = (self.starts, self.last, self.epochs), [], None
            return found

    return ray.remote(num_cpus=0)(Told).remote()


@contextmanager
def _listening(
    ray: Any,
    told: Any,
    on_step: Callable[[int, int, dict[str, float]], None] | None,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> Iterator[Callable[[], int]]:
    """Hands on what the workers tell while the block runs; gives how often they were begun anew."""
    over, starts = threading.Event(), 0

    def hear() -> None:
        nonlocal starts
        starts, last, epochs = ray.get(told.heard.remote())
        if last is not None and on_step is not None:
            on_step(*last)
        for each in epochs:
            on_epoch(*each)

    def listen() -> None:
        while not over.wait(OFTEN):
            hear()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield lambda: max(0, starts - 1)
    finally:
        over.set()
        thread.join()
        hear()


def brought(folder: Path) -> None:
    """The newest checkpoint that Ray kept becomes that of a fit on this machine, so that either may go on from it."""
    kept = sorted((folder / "ray").glob("run/checkpoint_*"))
    for file in kept[-1].glob("stage-*.safetensors") if kept else ():
        beside = folder / f"{file.name}.partial"
        shutil.copyfile(file, beside)
        os.replace(beside, folder / file.name)


def _plain(error: BaseException, folder: Path | None) -> SemblanceError:
    """What a worker raised, in one line."""
    # Ray raises what is an error of the task's own kind as well, but says a traceback: its cause is meant.
    inner: Any = error
    while inner is not None and (hasattr(inner, "cause") or not isinstance(inner, SemblanceError)):
        failures = getattr(inner, "worker_failures", None) or {}
        inner = next(iter(failures.values()), None) or getattr(inner, "cause", None) or inner.__cause__
    if isinstance(inner, SemblanceError):
        return inner
    kept = "" if folder is None else f"; what was saved lies in {folder}: go on with --resume"
    return Failed(f"the cluster gave up ({' '.join(str(error).split())[:300]}){kept}")
