"""What Ray costs where one machine would do: pictures embedded into a new space, here and on Ray with one worker.

    python bench/scale/embed_parts.py        # goal: after its start, Ray takes at most 1.15 of the time

100,000 pictures of 32 x 32 pixels lie in an .npy file; the model is the encoder of simsiam, 8 channels wide, as it was
drawn. `seconds` is all from the first part that is begun to the space that is there: reading, embedding, thumbnails,
writing, the commit. `start_seconds` is what comes before: Ray's start and the way of the model to the worker. `two`: two
workers on the same cores.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import bench

COUNT, SIDE = int(os.environ.get("BENCH_COUNT", 100_000)), 32
CORES = 2


def pictures(path: Path) -> None:
    """Noise: it is harder to compress into thumbnails than any picture, for all arms."""
    held = np.lib.format.open_memmap(path, "w+", np.uint8, (COUNT, SIDE, SIDE, 3))
    for start in range(0, COUNT, 4096):
        held[start : start + 4096] = np.random.default_rng(start).integers(0, 256, held[start : start + 4096].shape)
    held.flush()


def embedded(on: str, workers: int | None = None) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        from semblance.data.load import load
        from semblance.recipes.registry import build
        from semblance.space.embedding import embed
        from semblance.space.training import train

        few = load(np.random.default_rng(0).integers(0, 256, (64, SIDE, SIDE, 3), np.uint8))
        model = train(few, build("simsiam", width=8), name="simsiam", settings={"width": 8}, epochs=0)
        told: list[tuple[float, int]] = []
        with tempfile.TemporaryDirectory() as folder:
            pictures(Path(folder) / "x.npy")
            begun = time.monotonic()
            if on != "local":
                import ray

                ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
            given = {"on": on, "workers": workers, "progress": lambda done, *_: told.append((time.monotonic(), done))}
            with embed(model, Path(folder) / "x.npy", Path(folder) / "a.space", **given) as space:
                ended, parts = time.monotonic(), space.info["parts"]
                assert len(space) == COUNT
        moment, done = next((at, done) for at, done in told if done >= COUNT / parts)
        seconds = (ended - moment) * COUNT / (COUNT - done)
        return {"seconds": seconds, "cpu": seconds, "start_seconds": ended - begun - seconds}

    return run


if __name__ == "__main__":
    bench(
        __file__,
        {"local": embedded("local"), "ray": embedded("ray", 1), "two": embedded("ray", 2)},
        baseline="local",
        targets={"embedding on Ray with one worker, at most 1.15 of the time here": ("ray / local", 1 / 1.15)},
        rounds=3,
        cores=CORES,
        notes=f"{COUNT:,} pictures; `cpu` repeats the clock: the worker is another process",
    )
