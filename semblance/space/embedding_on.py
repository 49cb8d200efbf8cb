"""Embedding on a cluster: Ray Data hands the numbers of parts to workers, which read and write the data themselves.

Nothing but numbers goes through Ray's object store, so that its size does not matter; the model (and data that is in memory
anyway) goes to every worker once. Who dies is replaced and its part made again by Ray; a part that was done is found done.
The data and the folder of the parts have to lie where all workers reach them, as on a shared disk.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from semblance.errors import Failed, SemblanceError
from semblance.space.cluster import cores_each, joined, plain
from semblance.space.part_files import Work, make
from semblance.space.vigil import Gone, Vigil


def make_on(on: str, workers: int | None, work: Work, todo: Sequence[int], tell: Callable[[int], None]) -> None:
    """Makes these parts; `tell` hears the number of each as it is done."""
    ray = joined(on)
    from ray import data as ray_data

    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    workers = len([cores for cores in machines if cores]) if workers is None else workers
    each = cores_each(machines, workers)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    held = ray.put(replace(work, model=replace(work.model, objective=None, history=[])))
    parts = ray_data.from_items([{"number": number} for number in todo], override_num_blocks=len(todo))
    one: Any = _one  # Ray says that it takes a row alone
    done = parts.map(one, fn_args=[[held], each], concurrency=workers, num_cpus=each)
    for dataset in (parts, done):
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
    made: queue.SimpleQueue[int] = queue.SimpleQueue()
    over = threading.Event()

    def run() -> None:
        for row in done.iter_rows():
            if row["error"]:
                raise (Failed if row["failed"] else SemblanceError)(row["error"])
            made.put(int(row["number"]))
            if over.is_set():
                return

    def hear() -> None:
        while not made.empty():
            tell(made.get())

    saved = f"what is done stays in {work.folder}: give the same command again"
    try:
        with Vigil(ray, on) as vigil:
            vigil.until(run, hear)
    except Gone as error:
        raise Gone(f"{error}; {saved}") from error
    except ray.exceptions.RayError as error:
        raise plain(error, saved) from error
    finally:
        over.set()  # whoever is interrupted leaves no work behind
    hear()


def _one(row: dict[str, Any], held: Sequence[Any], threads: int) -> dict[str, Any]:
    """What a worker does with a part; an error comes back as words, since Ray would lengthen it and print it whole."""
    import torch

    torch.set_num_threads(threads)
    work, host = _work(held[0]), socket.gethostname()
    if not work.folder.is_dir():
        lost = f"{host} of the cluster does not see {work.folder}: give an --out on a disk that all its machines share"
        return {**row, "error": lost, "failed": False}
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
