"""DAGNN: separate propagation from transformation, let every node weigh its steps, and depth no longer hurts.

Accuracy: Cora, public split, DAGNN and a GCN of 2 layers, 64 hidden units each, trained by the same code for as many
epochs, read at the epoch of best validation accuracy. Depth: over the first two seeds, K in 5, 10, 20, 50, and a GCN of 10
layers. Exact: the largest component of Cora, 2,485 nodes, S^k as a dense matrix; smoothness of S^k X.
"""

from __future__ import annotations

import numpy as np
import torch

from semblance.analysis.receptive_field import largest_component, power_limit, smoothness
from semblance.claims.ledger import Run, above, at_least, at_most, below, claim
from semblance.claims.sgc import scrambled, tested
from semblance.data.load import load
from semblance.encoders.graphs.operators import operator_of
from semblance.recipes.graph_deep_filters import dagnn as dagnn_recipe
from semblance.recipes.graph_networks import gcn

HIDDEN, EPOCHS, DEPTH, DEPTHS, SWEPT = 64, 200, 10, (5, 10, 20, 50), 2
POWERS = (1, 10, 100, 1000, 10_000)


@claim(
    "dagnn",
    parts={
        "Cora: points above GCN": at_least(1.5),
        "Cora: points that 50 steps are below the best depth": at_most(3.0),
        "Cora: points that 10 layers of GCN are below 2": at_least(15.0),
        "largest entry of |S^k - limit| at k = 10,000": below(1e-3),
        "least fall of the smoothness from one of 1, 10, 100, 1000 steps to the next": above(0.0),
    },
    data=("cora",),
    seeds=tuple(range(10)),
    broken="DAGNN propagates over random edges",
    files=(
        "analysis/receptive_field.py",
        "encoders/graphs/message.py",
        "encoders/graphs/operators.py",
        "encoders/graphs/propagate.py",
        "encoders/graphs/smoothing.py",
        "recipes/graph_networks.py",
        "claims/sgc.py",
    ),
    minutes=5.0,
)
def dagnn(run: Run) -> None:
    """Depth hurts a GCN because it transforms as often as it propagates; with a gate over far steps, depth helps."""
    exact(run)
    data = load("cora")
    ours = {seed: scrambled(data, seed) if run.broken else data for seed in run.seeds}
    found: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    plain, deep = [], []
    for number, seed in enumerate(run.seeds):
        plain.append(tested(data, gcn(hidden=HIDDEN, epochs=EPOCHS), seed))
        if number < SWEPT:
            deep.append(tested(data, gcn(hidden=HIDDEN, layers=10, epochs=EPOCHS), seed))
        for depth in DEPTHS if number < SWEPT else (DEPTH,):
            found[depth].append(tested(ours[seed], dagnn_recipe(hidden=HIDDEN, depth=depth, epochs=EPOCHS), seed))
        run.progress(f"seed {seed}: GCN {plain[-1]:.3f}, " + ", ".join(f"{k}: {v[-1]:.3f}" for k, v in found.items()))
    gaps = [100 * (a - b) for a, b in zip(found[DEPTH], plain, strict=True)]
    means = {depth: 100 * float(np.mean(found[depth][:SWEPT])) for depth in DEPTHS}
    run.baseline("Cora: GCN", plain)
    run.baseline("Cora: GCN of 10 layers", deep)
    for depth in DEPTHS:
        run.baseline(f"Cora: DAGNN of {depth} steps", found[depth])
    run.report("Cora: points above GCN", gaps)
    run.report("Cora: points that 50 steps are below the best depth", max(means.values()) - means[50])
    fallen = [100 * (a - b) for a, b in zip(plain, deep, strict=False)]
    run.report("Cora: points that 10 layers of GCN are below 2", fallen)


def exact(run: Run) -> None:
    """On the largest component of Cora."""
    data = load("cora")
    nodes = largest_component(data.graph)
    graph = data.graph.part(nodes)
    limit, power = power_limit(graph), operator_of(graph).matrix().toarray()
    x = data.features.to_dense()[nodes].double()
    found = []
    for steps in POWERS:
        power = power if steps == 1 else np.linalg.matrix_power(power, 10)
        off = float(np.abs(power - limit).max())
        if steps < POWERS[-1]:
            found.append(float(smoothness(torch.from_numpy(power) @ x).mean()))
            run.baseline(f"smoothness after {steps} steps", found[-1])
            run.baseline(f"largest entry of |S^k - limit| at k = {steps}", off)
    run.report("largest entry of |S^k - limit| at k = 10,000", off)
    run.report(
        "least fall of the smoothness from one of 1, 10, 100, 1000 steps to the next", float(-np.diff(found).max())
    )
