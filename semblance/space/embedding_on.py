"""Embedding on a cluster: Ray Data hands the numbers of parts to workers, which read and write the data themselves.

Nothing but numbers goes through Ray's object store, so that its size does not matter; the model (and data that is in memory
anyway) goes to every worker once. Who dies is replaced and its part made again by Ray; a part that was done is found done.
The data and the folder of the parts have to lie where all workers reach them, as on a shared disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from semblance.errors import Failed, SemblanceError
from semblance.space.cluster import joined
from semblance.space.part_files import Work, make


def make_on(on: str, workers: int | None, work: Work, todo: Sequence[int]) -> Iterator[int]:
    """The numbers of the parts as they are done."""
    ray = joined(on)
    from ray import data as ray_data

    machines = [node["Resources"]["CPU"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    cores = int(sum(machines))
    workers = len(machines) if workers is None else workers
    if workers > cores:
        raise SemblanceError(f"workers is {workers} and the cluster has {cores} cores: give at most as many workers")
    each = max(1, int(min(cores // workers, *machines)))
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    held = ray.put(replace(work, model=replace(work.model, objective=None, history=[])))
    parts = ray_data.from_items([{"number": number} for number in todo], override_num_blocks=len(todo))
    one: Any = _one  # Ray says that it takes a row alone
    done = parts.map(one, fn_args=[[held], each], concurrency=workers, num_cpus=each)
    for dataset in (parts, done):
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
    try:
        for row in done.iter_rows():
            if row["error"]:
                raise (Failed if row["failed"] else SemblanceError)(row["error"])
            yield int(row["number"])
    except ray.exceptions.RayError as error:
        why = " ".join(str(error).split())[:300]
        raise Failed(
            f"the cluster gave up ({why}); what is done stays in {work.folder}: give the same command again"
        ) from error


def _one(row: dict[str, Any], held: Sequence[Any], threads: int) -> dict[str, Any]:
    """What a worker does with a part; an error comes back as words, since Ray would lengthen it and print it whole."""
    import torch

    torch.set_num_threads(threads)
    try:
        make(_work(held[0]), int(row["number"]))
    except SemblanceError as error:
        return {**row, "error": str(error), "failed": isinstance(error, Failed)}
    return {**row, "error": "", "failed": False}


@lru_cache(maxsize=1)
def _work(held: Any) -> Work:
    """A process that makes several parts fetches the model once."""
    import ray

    found: Work = ray.get(held)
    return found
