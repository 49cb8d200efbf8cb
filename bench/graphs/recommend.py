"""An epoch of recommendation on MovieLens-100k: diffusion over a learned sheaf beside LightGCN and matrix factorisation.

    python bench/graphs/recommend.py [--cores 1] [--rounds 3] [arm ...]

64 numbers a node, 3 layers, 10 steps of 8,192 ratings with one drawn negative each, through the recipes and the loop that
`semblance fit` uses; four fifths of every user's items.
Median of 4 epochs after the first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench
from semblance.data.load import load
from semblance.recipes.recommender import lightgcn, matrix_factorisation
from semblance.recipes.recommender_sheaf import sheaf4rec
from semblance.recipes.registry import Recipe
from semblance.space.tasks import task_of
from semblance.space.training import train

EPOCHS = 4
RECIPES: dict[str, Callable[..., Recipe]] = {
    "lightgcn": lightgcn,
    "sheaf4rec": sheaf4rec,
    "matrix-factorisation": matrix_factorisation,
}


def arm(name: str) -> Callable[[], Mapping[str, float]]:
    """Seconds of an epoch."""

    def run() -> Mapping[str, float]:
        data = task_of(load("movielens-100k"), "recommendation", 0).learn
        stamps: list[tuple[float, float]] = []

        def note(stage: int, metrics: dict[str, float]) -> None:
            stamps.append((time.perf_counter(), time.process_time()))

        train(data, RECIPES[name](), seed=0, epochs=EPOCHS + 1, on_epoch=note)
        clock, cpu = (median(b[k] - a[k] for a, b in pairwise(stamps)) for k in (0, 1))
        return {"seconds": clock, "cpu": cpu}

    return run


if __name__ == "__main__":
    bench(
        __file__,
        {name: arm(name) for name in RECIPES},
        baseline="lightgcn",
        targets={"an epoch of sheaf4rec at most three of LightGCN's": ("sheaf4rec / lightgcn", 1 / 3)},
        rounds=3,
        notes=__doc__ or "",
    )
