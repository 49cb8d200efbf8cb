"""Embedding on a cluster: Ray Data hands the numbers of parts to workers, which read and write the data themselves.

Nothing but numbers goes through Ray's object store, so that its size does not matter; the model (and data that is in memory
anyway) goes to every worker once. Who dies is replaced and its part made again by Ray; a part that was done is found done.
The data and the folder of the parts have to lie where all workers reach them, as on a shared disk.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from semblance.errors import Failed, SemblanceError
from semblance.space.cluster import LIVES, cores, cores_each, joined, plain, shared
from semblance.space.part_files import Work, make
from semblance.space.vigil import Gone, Vigil


def make_on(on: str, workers: int | None, work: Work, todo: Sequence[int], tell: Callable[[int], None]) -> None:
    """Makes these parts; `tell` hears the number of each as it is done."""
    ray = joined(on)
    machines = cores(ray)
    workers = len(machines) if workers is None else workers
    each = cores_each(machines, workers)
    shared(ray, work.folder)
    held = ray.put(replace(work, model=replace(work.model, objective=None, history=[])))
    running = ray.remote(num_cpus=0, max_retries=LIVES)(_all).remote([held], list(todo), workers, each)
    waited_for = set(todo)

    def hear() -> None:
        for number in sorted(waited_for.intersection(work.done())):
            waited_for.remove(number)
            tell(number)

    saved = f"what is done stays in {work.folder}: give the same command again"
    try:
        with Vigil(ray, on) as vigil:
            wrong = vigil.until(lambda: ray.get(running), hear)
    except Gone as error:
        raise Gone(f"{error}; {saved}") from error
    except ray.exceptions.RayError as error:
        raise plain(error, saved) from error
    except BaseException:  # whoever is interrupted leaves no work behind; Ray dies of it where the work has ended
        ray.cancel(running, force=True)
        raise
    hear()
    if wrong is not None:
        raise wrong


def _all(held: Sequence[Any], todo: Sequence[int], workers: int, each: int) -> SemblanceError | None:
    """A task, since Ray Data does not run where a client (`ray://`) is; the first error ends it and is answered."""
    from ray import data as ray_data

    parts = ray_data.from_items([{"number": number} for number in todo], override_num_blocks=len(todo))
    one: Any = _one  # Ray says that it takes a row alone
    done = parts.map(one, fn_args=[held, each], concurrency=workers, num_cpus=each)
    for dataset in (parts, done):
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
    wrong = next((row for row in done.iter_rows() if row["error"]), None)
    if wrong is None:
        return None
    return (Failed if wrong["failed"] else SemblanceError)(wrong["error"])


def _one(row: dict[str, Any], held: Sequence[Any], threads: int) -> dict[str, Any]:
    """What a worker does with a part; an error comes back as words, since Ray would lengthen it and print it whole."""
    import torch

    torch.set_num_threads(threads)
    work, host = _work(held[0]), socket.gethostname()
    try:
        make(work, int(row["number"]))
    except Failed as error:
        return {**row, "error": f"{host}: {error}", "failed": True}
    except SemblanceError as error:
        return {**row, "error": str(error), "failed": False}
    return {**row, "error": "", "failed": False}


@lru_cache(maxsize=1)
def _work(held: Any) -> Work:
    """A process that makes several parts fetches the model once."""
    import ray

    found: Work = ray.get(held)
    return found
