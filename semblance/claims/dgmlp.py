"""DGMLP: how far is propagated and how deep is transformed are two things, and the second is what degrades.

Cora, public split, DGMLP (node-adaptive propagation, then an MLP) with its depths apart, read at the epoch of best
validation accuracy. (d) One training label a class, drawn by seed. Limit: the largest component, float64, the 2000th power
of S times X for 64 words, drawn once; relative error in the Frobenius norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semblance.analysis.receptive_field import largest_component, sparser
from semblance.claims.ledger import Run, above, at_least, at_most, below, claim
from semblance.claims.sgc import tested
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.smoothing import stationary
from semblance.recipes.graph_deep_filters import dgmlp as dgmlp_recipe
from semblance.recipes.graph_filters import sgc
from semblance.recipes.graph_networks import gcn

EPOCHS, FEW, WORDS, STEPS = 200, 1, 64, 2000


@claim(
    "dgmlp",
    parts={
        "(a) points that a plain MLP falls from 2 to 10 transformations": at_least(8.0),
        "(b) points that accuracy falls from 2 to 16 propagations": at_most(3.0),
        "(c) share of that fall which residuals win back": at_least(0.5),
        "(d) one label a class: points of 16 propagations above 2": at_least(4.0),
        "(e) points of 20 propagations and 6 transformations above GCN": above(0.0),
        "(e) points of 20 propagations and 6 transformations above SGC": above(0.0),
        "closed limit against 2000 steps, relative error": below(1e-3),
    },
    data=("cora",),
    seeds=(0, 1, 2, 3, 4),
    broken="transformations have no residuals, and 16 or 20 propagations are 2",
    files=(
        "analysis/receptive_field.py",
        "encoders/graphs/operators.py",
        "encoders/graphs/propagate.py",
        "encoders/graphs/smoothing.py",
        "encoders/graphs/transform.py",
        "recipes/graph_filters.py",
        "recipes/graph_networks.py",
        "claims/sgc.py",
    ),
    minutes=5.0,
)
def dgmlp(run: Run) -> None:
    """Deep transformation degrades graph networks, far propagation does not, and residuals and node weights allow both."""
    run.report("closed limit against 2000 steps, relative error", limit())
    far, further = (2, 2) if run.broken else (16, 20)
    residual = "plain" if run.broken else "residual"
    cora = load("cora")
    found: dict[str, list[float]] = {}

    def measure(name: str, seed: int, data: RelationalDataset, **settings: Any) -> None:
        found.setdefault(name, []).append(100 * tested(data, dgmlp_recipe(epochs=EPOCHS, **settings), seed))

    for seed in run.seeds:
        few = sparser(cora, np.random.default_rng([352, seed]), labels=FEW)
        measure("plain 2, 2", seed, cora, propagations=2, transformations=2, join="plain")
        measure("plain 2, 10", seed, cora, propagations=2, transformations=10, join="plain")
        measure("residual 2, 2", seed, cora, propagations=2, transformations=2, join=residual)
        measure("residual 2, 10", seed, cora, propagations=2, transformations=10, join=residual)
        measure("residual 16, 2", seed, cora, propagations=far, transformations=2, join=residual)
        measure("few 2, 2", seed, few, propagations=2, transformations=2, join=residual)
        measure("few 16, 2", seed, few, propagations=far, transformations=2, join=residual)
        measure("residual 20, 6", seed, cora, propagations=further, transformations=6, join=residual)
        found.setdefault("GCN", []).append(100 * tested(cora, gcn(epochs=EPOCHS), seed))
        found.setdefault("SGC", []).append(100 * tested(cora, sgc(), seed))
        run.progress(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.1f}" for name, values in found.items()))
    for name, values in found.items():
        run.baseline(f"accuracy, {name}", values)
    each = {name: np.array(values) for name, values in found.items()}
    fall = each["plain 2, 2"] - each["plain 2, 10"]
    run.report("(a) points that a plain MLP falls from 2 to 10 transformations", fall)
    run.report(
        "(b) points that accuracy falls from 2 to 16 propagations", each["residual 2, 2"] - each["residual 16, 2"]
    )
    back = each["residual 2, 10"] - each["plain 2, 10"]
    run.report("(c) share of that fall which residuals win back", float(back.mean() / fall.mean()))
    run.report("(d) one label a class: points of 16 propagations above 2", each["few 16, 2"] - each["few 2, 2"])
    for name in ("GCN", "SGC"):
        run.report(
            f"(e) points of 20 propagations and 6 transformations above {name}", each["residual 20, 6"] - each[name]
        )


def limit() -> float:
    """On the largest component of Cora."""
    data = load("cora")
    nodes = largest_component(data.graph)
    operator = operator_of(data.graph.part(nodes))
    x = data.features.to_dense()[nodes].double()
    used = np.random.default_rng(352).permutation(np.flatnonzero(x.sum(0).numpy()))[:WORDS]
    found, end = x[:, used].numpy(), stationary(operator, x[:, used]).numpy()
    for _ in range(STEPS):
        found = operator.matrix() @ found
    return float(np.linalg.norm(found - end) / np.linalg.norm(end))
