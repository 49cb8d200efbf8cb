"""HoloNets: spectral filters of directed graphs without a Fourier transform, and why resolvents are stable.

Accuracy: Chameleon and Squirrel with the published directions, the first 3 of the published splits; FaberNet, hidden 32,
K 2, 2 layers, 120 epochs, and the same network on the graph with both directions of every edge. Contour: a random directed
graph of 30 nodes, its in-degree Laplacian. Stability: 12 nodes, 36 weighted directed edges; every node becomes two copies
joined both ways by weight w, every edge goes from one copy of its source to one of its target, drawn, with twice its
weight; the copies' features differ. Difference: the Frobenius norm of the copies' embeddings less those of the collapsed
graph with mean features, over that of the latter, for networks of two layers with random weights, float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, below, claim, within
from semblance.claims.sgc import tested
from semblance.data.load import load
from semblance.encoders.graphs.holomorphic import BothWays, calculus
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.stack import Stack
from semblance.geometry.graph import Graph
from semblance.recipes.graph_deep_filters import faber_net

NODES, SMALL, EDGES, WIDTH = 30, 12, 36, 16
STRENGTHS = np.geomspace(10, 1000, 9)
SETTINGS: dict[str, Any] = {"hidden": 32, "depth": 2, "epochs": 120}


@claim(
    "holonets",
    parts={
        "points above the symmetrised adjacency, mean of Chameleon and Squirrel": at_least(5.0),
        "contour of z^3 against T^3, largest entry": below(1e-8),
        "contour of 1 / (z + 1) against the inverse, largest entry": below(1e-8),
        "log-log slope of Dir-ResolvNet's difference over w": within(-1.0, 0.2),
        "FaberNet's difference at w = 1000 over that at w = 10": at_least(0.5),
    },
    data=("chameleon", "squirrel"),
    seeds=(0, 1, 2),
    broken="directions are forgotten before FaberNet sees them, and resolvents are replaced by powers",
    files=(
        "encoders/graphs/holomorphic.py",
        "encoders/graphs/operators.py",
        "encoders/graphs/stack.py",
        "recipes/graph_networks.py",
        "claims/sgc.py",
    ),
    minutes=5.0,
)
def holonets(run: Run) -> None:
    """Filters of an operator that is not normal use directions, and those of its resolvent are stable under refinement."""
    contour(run)
    slopes, kept = zip(*(stability(seed, run.broken) for seed in run.seeds), strict=True)
    run.report("log-log slope of Dir-ResolvNet's difference over w", slopes)
    run.report("FaberNet's difference at w = 1000 over that at w = 10", kept)
    gaps = []
    found: dict[tuple[str, str], list[float]] = {}
    for seed in run.seeds:
        for name in ("chameleon", "squirrel"):
            both = load(name).with_split(seed)
            ours = both if run.broken else load(name, directed=True).with_split(seed)
            for kind, data in (("directed", ours), ("symmetrised", both)):
                found.setdefault((name, kind), []).append(100 * tested(data, faber_net(**SETTINGS), seed))
        last = {key: values[-1] for key, values in found.items()}
        gaps.append(np.mean([last[name, "directed"] - last[name, "symmetrised"] for name in ("chameleon", "squirrel")]))
        run.progress(f"split {seed}: " + ", ".join(f"{name} {kind} {v:.1f}" for (name, kind), v in last.items()))
    for (name, kind), values in found.items():
        run.baseline(f"accuracy, {name}, {kind}", values)
    run.report("points above the symmetrised adjacency, mean of Chameleon and Squirrel", gaps)


def contour(run: Run) -> None:
    rng = np.random.default_rng(337)
    ends = torch.from_numpy(rng.integers(0, NODES, (2, 4 * NODES)))
    t = operator_of(Graph(ends, NODES, directed=True).without_loops(), "in-laplacian").matrix().toarray()
    centre = float(t.diagonal().max())
    cube = calculus(t, lambda z: z**3, centre, centre + 0.5)
    run.report("contour of z^3 against T^3, largest entry", float(np.abs(cube - t @ t @ t).max()))
    inverse = calculus(t, lambda z: 1 / (z + 1), centre, centre + 0.5)
    run.report(
        "contour of 1 / (z + 1) against the inverse, largest entry",
        float(np.abs(inverse - np.linalg.inv(t + np.eye(NODES))).max()),
    )


def stability(seed: int, broken: bool) -> tuple[float, float]:
    """The slope for resolvents and the ratio for powers, of one graph, its features and networks."""
    rng = np.random.default_rng([337, seed])
    source = rng.integers(0, SMALL, EDGES)
    ends = np.stack([source, (source + rng.integers(1, SMALL, EDGES)) % SMALL])
    weight = rng.uniform(0.5, 2, EDGES)
    coarse = Graph(torch.from_numpy(ends), SMALL, directed=True, weight=torch.from_numpy(weight))
    drawn = 2 * ends + rng.integers(0, 2, (2, EDGES))  # copies of node v: 2 v and 2 v + 1
    x = torch.from_numpy(rng.normal(size=(2 * SMALL, 5)))
    mean = x.view(SMALL, 2, 5).mean(1)
    made = {basis: network(seed, basis) for basis in ("resolvent", "power")}

    def difference(basis: str, strength: float) -> float:
        pair = np.arange(2 * SMALL)
        joined = np.concatenate([drawn, np.stack([pair, pair ^ 1])], 1)
        weights = np.concatenate([2 * weight, np.full(2 * SMALL, strength)])
        fine = Graph(torch.from_numpy(joined), 2 * SMALL, directed=True, weight=torch.from_numpy(weights))
        with torch.no_grad():
            small: Tensor = made[basis]({"x": mean, "graph": coarse})
            large: Tensor = made[basis]({"x": x, "graph": fine})
        return float((large - small.repeat_interleave(2, 0)).norm() / small.norm())

    basis = "power" if broken else "resolvent"
    fallen = [difference(basis, strength) for strength in STRENGTHS]
    slope = float(np.polyfit(np.log(STRENGTHS), np.log(fallen), 1)[0])
    return slope, difference("power", STRENGTHS[-1]) / difference("power", STRENGTHS[0])


def network(seed: int, basis: str) -> nn.Module:
    """Two layers with random weights and biases, float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [BothWays(width, WIDTH, 2, basis) for width in (5, WIDTH)]
        for layer in layers:
            nn.init.uniform_(layer.bias, -0.1, 0.1)
    return Stack(layers, activation=None).double().eval()
