"""Cluster: the same work on Ray, which schedules it, moves it and tries again what was lost.

    joined     the module `ray`, connected; whatever keeps it from being so in one line
    shared     raises where a machine does not see the folder of the work
    fit_on     training by Ray Train: every worker runs the one loop, as `learning/distribution.py` shares it out
    runs_on    independent runs as Ray tasks, answered as they end

on: `local` (this process), `ray` (a cluster of this machine, or the one that RAY_ADDRESS names), `ray://HOST:PORT`.

Ray reports its usage to its makers unless told otherwise; here it is told otherwise, unless the variable
RAY_USAGE_STATS_ENABLED is set. Moritz et al. 2018, arXiv:1712.05889.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from semblance import __version__
from semblance.data.neighbour_samples import ClusterSamples, NeighbourSamples
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.geometry.graph import Graph
from semblance.learning.devices import keep_pages, pages_kept
from semblance.recipes.registry import Recipe
from semblance.space.kept import brought as brought  # what a stopped fit goes on from, here as there
from semblance.space.kept import stages
from semblance.space.model import Model
from semblance.space.told import Hearing
from semblance.space.vigil import OFTEN, Gone, Vigil
from semblance.space.workers import worker

T = TypeVar("T")
LIVES = 3
"""How often a run is begun anew from its last checkpoint when workers die."""
NEAR = 10.0
"""Seconds within which an address has to answer, and every machine of a cluster says which version it runs."""


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
    address = on if on != "ray" else os.environ.get("RAY_ADDRESS") or None
    known = {"PYTHONPATH": os.pathsep.join(filter(None, [str(_package()), os.environ.get("PYTHONPATH", "")]))}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        _reached(address)
        ray.init(
            address=address,
            runtime_env={"env_vars": known} if address is None else None,
            include_dashboard=False if address is None else None,
            **quiet,
        )
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        raise _not_joined(on, address, error) from error
    try:
        _same_version(ray)
    except SemblanceError:
        ray.shutdown()
        raise
    return ray


def _reached(address: str | None) -> None:
    """Raises OSError at once where nobody listens: Ray would try for half a minute."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), NEAR).close()


def _not_joined(on: str, address: str | None, error: Exception) -> Failed:
    """Why Ray does not connect, in one line."""
    text = str(error)
    theirs, ours = (re.findall(rf"{name}: (\S+)", text) for name in ("Ray", "Python"))
    if len(theirs) == len(ours) == 2 and "ersion mismatch" in text:
        return Failed(
            f"the cluster at {address or on} runs Ray {theirs[0]} on Python {ours[0]}, and this process Ray {theirs[1]} on "
            f"Python {ours[1]}: pip install ray=={theirs[0]} here, in an environment of Python {ours[0]}"
        )
    if "AuthToken" in text:
        return Failed(
            f"the cluster at {address or on} asks for a token: set RAY_AUTH_MODE=token, with the cluster's own in "
            "~/.ray/auth_token (ray get-auth-token)"
        )
    remedy = "see `ray status` there, or give --on ray"
    if on == "ray":
        remedy = (
            "unset RAY_ADDRESS for a cluster of this machine" if address else "`ray stop` clears what is left of it"
        )
    return Failed(f"no cluster answers at {address or on} ({' '.join(text.split())[:300]}): {remedy}")


def _same_version(ray: Any) -> None:
    """Raises where a machine of the cluster runs another Semblance, or none."""

    def version() -> str:  # sent as it stands: there may be no Semblance to look it up in
        try:
            from semblance import __version__ as theirs
        except ImportError:
            return ""
        return theirs

    for host, theirs in _everywhere(ray, version):
        if theirs != __version__:
            has = f"Semblance {theirs}" if theirs else "no Semblance"
            raise Failed(
                f"{host} of the cluster has {has} and this process is {__version__}: "
                f"pip install 'semblance[ray]=={__version__}' there"
            )


def shared(ray: Any, folder: Path) -> None:
    """Raises where a machine of the cluster does not see this folder."""
    for host, sees in _everywhere(ray, folder.resolve().is_dir):
        if not sees:
            raise SemblanceError(
                f"{host} of the cluster does not see {folder}: give an --out on a disk that all its machines share"
            )


def _everywhere(ray: Any, ask: Callable[[], T]) -> Iterator[tuple[str, T]]:
    """What each machine that takes work answers, after its name; who is gone meanwhile, or too slow, is left out."""

    def asked() -> tuple[str, T]:
        import socket

        return socket.gethostname(), ask()

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as At

    answers = [
        ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=At(node["NodeID"], soft=False))(asked).remote()
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    ]
    for answer in ray.wait(answers, num_returns=len(answers), timeout=NEAR)[0]:
        try:
            yield ray.get(answer)
        except ray.exceptions.RayError:  # it is gone by now, and Ray will not ask it again
            continue


def _package() -> Path:
    """The folder that this package is imported from."""
    return Path(__file__).resolve().parents[2]


def shareable(dataset: Loaded, recipe: Recipe, name: str, workers: int) -> None:
    """Raises where several workers would all do the same."""
    if workers == 1:
        return
    taught = [stage for stage in recipe.stages if stage.objective is not None]
    in_parts = all(isinstance(stage.batches, NeighbourSamples | ClusterSamples) for stage in taught)
    if isinstance(dataset, RelationalDataset) and not isinstance(dataset.graph, Graph):
        raise SemblanceError(f"a {dataset.domain} is not shared out among {workers} workers: give --workers 1")
    if isinstance(dataset, RelationalDataset) and dataset.whole and not (taught and in_parts):
        raise SemblanceError(
            f"{name} reads all of the {dataset.domain} at every step, so {workers} workers would each do all of the work: "
            "give --workers 1, rank several methods at once (rank --on ray), or take one that learns from parts of a graph "
            "(sage-sampled, gcn-clustered) or goes by rows (fastrp, sgc)"
        )
    if not any(hasattr(stage.rule, "step") for stage in taught):
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
    workers = len(cores(ray)) if workers is None else workers
    shareable(dataset, recipe, name, workers)
    each = cores_each(cores(ray), workers)
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    storage = folder.resolve() / "ray"
    if resume:
        brought(folder)
    begin = {file.name: file.read_bytes() for file in stages(folder).values()} if resume else {}
    shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir(parents=True)
    shared(ray, storage.parent)
    hearing = Hearing(ray, on_step, on_epoch)
    work = {
        "dataset": ray.put(dataset),
        "name": name,
        "settings": dict(settings),
        "given": {**given, "resume": resume},
        "begin": begin,
        "told": hearing.board,
        "threads": each,
    }
    saved = f"what was saved lies in {folder}: go on with --resume"
    try:
        trainer = TorchTrainer(
            worker,
            train_loop_config=work,
            torch_config=TorchConfig(backend="gloo" if not ray.cluster_resources().get("GPU") else None),
            scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": each}),
            run_config=RunConfig(
                name="run",
                storage_path=str(storage),
                worker_runtime_env={"env_vars": pages_kept()},
                # Two: a kill while one is written leaves the other.
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                failure_config=FailureConfig(max_failures=LIVES, controller_failure_limit=LIVES),  # type: ignore[call-arg]
            ),
        )
        with Vigil(ray, on) as vigil:
            result = vigil.until(trainer.fit, hearing.hear)
    except KeyboardInterrupt:
        hearing.interrupt()
        raise Interrupted(f"stopped; {saved}") from None
    except Gone as error:
        raise Gone(f"{error}; {saved}") from None
    except SemblanceError:  # of the callbacks: what workers raise comes in errors of Ray's
        hearing.interrupt()
        raise
    except Exception as error:
        hearing.last_words()
        raise plain(hearing.why or error, saved) from error
    hearing.last_words()
    if hearing.why is not None:  # the workers were begun anew, heard of it and did nothing
        raise plain(hearing.why, saved)
    assert result.checkpoint is not None  # every worker's last word comes with one
    with result.checkpoint.as_directory() as found:
        model = Model.load(Path(found) / "model.safetensors")
        more = json.loads((Path(found) / "more.json").read_text())
    hearing.complete(more["history"])
    model.notes, model.history = tuple(more["notes"]), hearing.history
    if hearing.starts > 1:
        times = f"{hearing.starts - 1} times" if hearing.starts > 2 else "once"
        model.notes += (f"workers were lost {times}, and the run went on from its last checkpoint",)
    return model


def cores(ray: Any) -> list[int]:
    """Of each machine that takes work."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return [int(node["Resources"]["CPU"]) for node in nodes if node["Resources"].get("CPU", 0) >= 1]


def cores_each(machines: Sequence[int], workers: int) -> int:
    """The most cores that each of so many workers can have, none of whom works on two machines."""
    for each in range(max(machines, default=0), 0, -1):
        if sum(cores // each for cores in machines) >= workers:
            return each
    raise SemblanceError(
        f"workers is {workers} and the cluster has {sum(machines)} cores: give at most as many workers"
    )


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
    machines = cores(ray)
    at_once = min(workers or sum(machines), sum(machines))
    each = cores_each(machines, at_once)
    held = ray.put(run)
    once = {"max_calls": 1} if alone else {}
    task = ray.remote(num_cpus=each, max_retries=LIVES, **once)(_run)
    waiting: list[Any] = list(jobs)
    running: dict[Any, Any] = {}
    try:
        with Vigil(ray, on) as vigil:
            while waiting or running:
                while waiting and len(running) < at_once:
                    job = waiting.pop(0)
                    running[task.remote(held, job, each)] = job
                ready, _ = ray.wait(list(running), num_returns=1, timeout=OFTEN)
                vigil.check()
                for reference in ready:
                    job = running.pop(reference)
                    try:
                        found = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        vigil.blame(error)
                        if lost is None:
                            raise plain(error) from error
                        found = lost(job, plain(error))
                    yield job, found
    finally:
        if ray.is_initialized():  # a vigil that ends with the cluster leaves it
            for reference in running:
                ray.cancel(reference, force=True)


def _run(run: Callable[[Any], T], job: Any, threads: int) -> T:
    import torch

    keep_pages()
    torch.set_num_threads(threads)
    return run(job)


def plain(error: BaseException, saved: str | None = None) -> SemblanceError:
    """What a worker raised, in one line, with what was `saved`."""
    # Ray raises what is an error of the task's own kind as well, but says a traceback: its cause is meant.
    inner: Any = error
    while inner is not None and (hasattr(inner, "cause") or not isinstance(inner, SemblanceError)):
        failures = getattr(inner, "worker_failures", None) or {}
        inner = next(iter(failures.values()), None) or getattr(inner, "cause", None) or inner.__cause__
    kept = f"; {saved}" if saved else ""
    if isinstance(inner, SemblanceError):
        return Failed(f"{inner}{kept}") if isinstance(inner, Failed) else inner
    text = " ".join(str(error).split())
    return Failed(f"the cluster gave up ({text[:300]}){kept}")
