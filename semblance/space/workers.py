"""Workers: what each process of a fit on a cluster does. Ray Train starts them, and all of them anew where one is lost.

The first of them tells how far they are (told.py) and reports its checkpoint to Ray Train at the end of an epoch, if there
is a new one; all of them begin anew from there.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semblance.errors import Failed, SemblanceError
from semblance.memory.atomic import FULL
from semblance.space.kept import stamp
from semblance.space.vigil import OFTEN


def worker(work: Mapping[str, Any]) -> None:
    """What each worker of a fit does, once more after one of them was lost. An error of ours is no loss: it is told, and
    nobody begins anew."""
    import ray
    from ray import train as ray_train

    first = ray_train.get_context().get_world_rank() == 0
    told = work["told"]
    if ray.get(told.begun.remote(first)) is not None:
        return
    try:
        _fitted(work, told, first)
    except SemblanceError as error:
        ray.get(told.stop.remote(error))
        raise
    except OSError as error:
        if error.errno in FULL:
            full = f"{error.filename or 'a disk'} on {socket.gethostname()} is full ({error.strerror}): free some space"
            ray.get(told.stop.remote(Failed(full)))
        raise


def _fitted(work: Mapping[str, Any], told: Any, first: bool) -> None:
    """Train, keep the first worker's checkpoints and tell how far it is."""
    import ray
    import torch
    from ray import train as ray_train

    from semblance.recipes.registry import build
    from semblance.space.training import train

    torch.set_num_threads(work["threads"])
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        before = ray_train.get_checkpoint()
        if before is not None:
            before.to_directory(kept)
        for name, content in work["begin"].items() if before is None else ():
            (folder / name).write_bytes(content)
        seen, told_at = stamp(folder), 0.0
        answer: Any = None

        def on_step(done: int, total: int, metrics: dict[str, float]) -> None:
            nonlocal told_at, answer
            if first and time.monotonic() - told_at > OFTEN:
                told_at = time.monotonic()
                why = ray.get(answer) if answer is not None else None
                if why is not None:
                    raise why
                answer = told.step.remote(done, total, metrics)

        def on_epoch(stage: int, metrics: dict[str, float]) -> None:
            nonlocal seen
            if first:
                told.epoch.remote(stage, metrics)
            now = stamp(folder)
            fresh, seen = first and now != seen, now
            ray_train.report({}, checkpoint=ray_train.Checkpoint.from_directory(kept) if fresh else None)

        model = train(
            ray.get(work["dataset"]),
            build(work["name"], **work["settings"]),
            name=work["name"],
            settings=work["settings"],
            checkpoints=folder,
            on_step=on_step,
            on_epoch=on_epoch,
            **{**work["given"], "resume": work["given"]["resume"] or before is not None},
        )
        if first:
            model.save(folder / "model.safetensors")
            (folder / "more.json").write_text(json.dumps({"notes": model.notes, "history": model.history}))
        ray_train.report({}, checkpoint=ray_train.Checkpoint.from_directory(kept) if first else None)
