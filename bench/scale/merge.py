"""Merge: what it costs that 10^6 vectors lie in 64 shards. One search of all shards, and the joining of their answers.

    python bench/scale/merge.py        # goal: the merge costs at most a tenth of the search

`scan` is an exact search by each of the shards (100 queries, 128 dimensions, k = 10); `index` one at recall 0.95 by each,
which is the quickest there is and thus the harder measure. All shards' indexes are the same one here, asked 64 times: it
takes minutes to build 64, and one that stays in the processor's caches makes the search cheaper, not dearer. `merge` joins
64 answers of random distances to the same queries: who is left out, in what order, which items are read in which shard.
ids and attributes of the nearest are read in one space as in 64 and belong to none of the arms.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import bench, times

COUNT = int(os.environ.get("BENCH_COUNT", 10**6))
SHARDS, DIM, QUERIES, K = 64, 128, 100, 10
HELD = COUNT // SHARDS


def unit(n: int, seed: int) -> np.ndarray:
    """Directions [n, DIM]."""
    x = np.random.default_rng(seed).standard_normal((n, DIM), np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def scan() -> dict[str, float]:
    from semblance.memory.exact import scan as scanned

    vectors, queries = unit(COUNT, 0), unit(QUERIES, 1)
    parts = [vectors[start : start + HELD] for start in range(0, SHARDS * HELD, HELD)]
    return times(lambda: [scanned(part, None, queries, K, "cosine") for part in parts], repeats=3)


def index() -> dict[str, float]:
    from semblance.memory.fused.part import Part
    from semblance.memory.fused.together import Tail, search

    part, queries = Part.build(np.arange(HELD), unit(HELD, 0), {}), unit(QUERIES, 1)
    tail = Tail(np.empty(0, np.int64), np.empty((0, DIM), np.float32), {})
    every = range(SHARDS)
    return times(lambda: [search([(part, None)], tail, queries, K, None, 0.95, False) for _ in every], repeats=5)


def merge() -> dict[str, float]:
    from semblance.memory.indexed import Near
    from semblance.space.joined import Query, joined

    rng = np.random.default_rng(0)
    answers = {}
    for number in range(SHARDS):
        far = np.sort(rng.random((QUERIES, K), np.float32), axis=1)
        near = rng.integers(0, HELD, (QUERIES, K))
        answers[f"shard-{number}"] = Near(list(near), list(far), HELD, 1.0, "")
    queries = [Query(vector) for vector in unit(QUERIES, 1)]
    return times(lambda: joined(answers, queries, K), repeats=50, warmup=5)


if __name__ == "__main__":
    bench(
        __file__,
        {"scan": scan, "index": index, "merge": merge},
        baseline="index",
        targets={
            "merge of 64 shards: at most 10% of an exact search of 10^6 vectors": ("merge / scan", 10),
            "merge of 64 shards: at most 10% of a search by indexes at recall 0.95": ("merge / index", 10),
        },
        notes=f"{COUNT:,} vectors of {DIM} numbers in {SHARDS} shards, {QUERIES} queries at once, k = {K}.",
    )
