"""A graph of 10 million undirected edges and 1 million nodes, 64 features: memory and time from nothing to a trained model.

    python bench/graphs/large.py [--cores 1] [arm ...]

sgc    two steps of propagation, computed once, then 100 steps of a linear map on 100,000 labelled nodes
gcn    two layers of 64 units, one epoch of batches of 1,024 nodes with 10 and 10 sampled neighbours
sage   the same with GraphSAGE's layers

Ten classes; a quarter of the edges stay within a class, features are weak. `accuracy` is of 10,000 test nodes, which the
graph networks answer from the whole graph. `peak` is the most resident memory of the process in GB, the making of the data
included (`data` is what it stood at before training); the bound is 12.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench
from semblance.data.neighbour_samples import NeighbourSamples
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph
from semblance.recipes.graph_filters import sgc
from semblance.recipes.graph_networks import gcn, sage
from semblance.recipes.registry import Recipe
from semblance.space.training import train

NODES, EDGES, WIDTH, CLASSES = 1_000_000, 10_000_000, 64, 10
SPLITS = {"train": 0.1, "val": 0.01, "test": 0.01}


def made(edges: int = EDGES, nodes: int = NODES) -> RelationalDataset:
    """The data, from one seed; a tenth of the nodes are labelled, two hundredths judged."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, CLASSES, nodes)
    ends = rng.integers(0, nodes, (2, edges))
    # A node's class mates stand at its place in the order of classes, give or take.
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], np.arange(CLASSES + 1))
    within = rng.random(edges) < 0.25
    mine = labels[ends[0, within]]
    ends[1, within] = order[first[mine] + rng.integers(0, np.diff(first)[mine])]
    x = rng.normal(size=(nodes, WIDTH)).astype(np.float32)
    x += 0.15 * rng.normal(size=(CLASSES, WIDTH)).astype(np.float32)[labels]
    both = torch.from_numpy(np.concatenate([ends, ends[::-1]], 1))
    held = [int(share * nodes) for share in SPLITS.values()]
    places = np.split(rng.permutation(nodes)[: sum(held)], np.cumsum(held)[:-1])
    return RelationalDataset(
        domain="graph",
        graph=Graph(both, nodes),
        x=x,
        ids=list(map(str, range(nodes))),
        targets={"labels": labels},
        attributes=pa.table({}),
        splits={name: np.sort(rows) for name, rows in zip(SPLITS, places, strict=True)},
        fingerprint="large",
        classes=tuple(map(str, range(CLASSES))),
    )


def peak() -> float:
    """GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def arm(recipe: Recipe) -> Callable[[], Mapping[str, float]]:
    """Train it, answer the test nodes."""

    def run() -> Mapping[str, float]:
        data = made()
        before, clock, cpu = peak(), time.perf_counter(), time.process_time()
        model = train(data, recipe, seed=0)
        seconds, used = time.perf_counter() - clock, time.process_time() - cpu
        batch = data.read(data.splits["test"])
        batch["x"] = model.prepare(batch["x"])
        with torch.inference_mode():
            right = model.network(batch).argmax(1).numpy() == batch["labels"]
        return {"seconds": seconds, "cpu": used, "accuracy": float(right.mean()), "data": before, "peak": peak()}

    return run


def sampled(recipe: Recipe) -> Recipe:
    """The recipe on batches with sampled neighbours; the last epoch counts: choosing one asks the whole graph."""
    stage = recipe.stages[0]
    return replace(
        recipe, stages=(replace(stage, rule=replace(stage.rule, best=""), batches=NeighbourSamples((10, 10), 1024)),)
    )


ARMS = {
    "sgc": arm(sgc(weight_decay=1e-5)),
    "gcn": arm(sampled(gcn(epochs=1))),
    "sage": arm(sampled(sage(epochs=1))),
}

if __name__ == "__main__":
    bench(__file__, ARMS, baseline="gcn", targets={}, rounds=1, notes=__doc__ or "")
