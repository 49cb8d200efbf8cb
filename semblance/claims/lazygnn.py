"""LazyGNN: a far look at the price of a short one, by going on from where the last iteration ended.

Accuracy: Cora and Citeseer, public splits; LazyGNN with one step an iteration against APPNP of 10 steps and of one: the
same network with batch norm, restart, epochs and code, read at the epoch of best validation accuracy. What is renewed
(beta, gamma) is chosen among nine pairs by the validation accuracy of both graphs under a seed that is not judged.
Products: calls of the compiled sparse product in one training step, forward and backward. Exact, on Cora: frozen
weights, beta = gamma = 0, 300 iterations of one step, the true Z and gradient by a sparse solver, float64; three
training steps on the whole graph beside three on a single block.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor, nn

from semblance.claims.ledger import Run, at_least, at_most, below, claim
from semblance.claims.sgc import tested
from semblance.data.dataset import Shape
from semblance.data.load import load
from semblance.data.moments import shape_of
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.lazy import Lazy
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter, Weights, geometric
from semblance.geometry import products
from semblance.recipes.graph_deep_filters import lazy_gnn
from semblance.recipes.registry import Recipe
from semblance.space.model import assemble

GRAPHS = ("cora", "citeseer")
EPOCHS, RESTART, ITERATIONS, CHANNELS = 200, 0.1, 300, 8
SHARES, CHOOSING = (0.2, 0.5, 0.8), 100


@claim(
    "lazygnn",
    parts={
        "points below APPNP with 10 steps, mean of Cora and Citeseer": at_most(1.0),
        "points above APPNP with 1 step, mean of Cora and Citeseer": at_least(1.0),
        "sparse products of a training step over those of APPNP with 10 steps": at_most(0.2),
        "relative error of Z after 300 iterations": below(1e-4),
        "relative error of the gradient after 300 iterations": below(1e-4),
        "one block against the whole graph, largest difference of outputs": at_most(1e-6),
    },
    data=GRAPHS,
    seeds=(0, 1, 2, 3, 4),
    broken="every iteration starts from X, as if nothing were remembered",
    files=(
        "encoders/graphs/lazy.py",
        "encoders/graphs/operators.py",
        "encoders/graphs/propagate.py",
        "claims/sgc.py",
    ),
    minutes=5.0,
    substituted="Cora and Citeseer for Pubmed, whose features are not to be had",
)
def lazygnn(run: Run) -> None:
    """Propagation spread over iterations, with a memory, is as good as all of it in each."""
    exact(run)
    recipes = {
        "lazy": lazily(1.0, 1.0) if run.broken else chosen(run),
        "10 steps": unrolled(10),
        "1 step": unrolled(1),
    }
    cora = load("cora")
    made = {name: calls(cora, recipe) for name, recipe in recipes.items()}
    for name, count in made.items():
        run.baseline(f"sparse products of a training step, {name}", count)
    run.report("sparse products of a training step over those of APPNP with 10 steps", made["lazy"] / made["10 steps"])
    found: dict[str, list[float]] = {name: [] for name in recipes}
    for seed in run.seeds:
        for name, recipe in recipes.items():
            found[name].append(float(np.mean([tested(load(graph), recipe, seed) for graph in GRAPHS])))
        run.progress(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()))
    for name, values in found.items():
        run.baseline(f"accuracy, mean of both, {name}", values)
    far, near, lazy = (100 * np.array(found[name]) for name in ("10 steps", "1 step", "lazy"))
    run.report("points below APPNP with 10 steps, mean of Cora and Citeseer", far - lazy)
    run.report("points above APPNP with 1 step, mean of Cora and Citeseer", lazy - near)


def lazily(renew: float, renew_gradient: float) -> Recipe:
    """One step an iteration."""
    return lazy_gnn(steps=1, restart=RESTART, epochs=EPOCHS, renew=renew, renew_gradient=renew_gradient)


def chosen(run: Run) -> Recipe:
    """The pair of shares of best validation accuracy, mean of both graphs."""
    found = {
        pair: float(np.mean([validated(load(graph), lazily(*pair), CHOOSING) for graph in GRAPHS]))
        for pair in product(SHARES, SHARES)
    }
    for (beta, gamma), accuracy in found.items():
        run.baseline(f"validation accuracy, beta {beta}, gamma {gamma}", accuracy)
    return lazily(*max(found, key=found.__getitem__))


def validated(data: RelationalDataset, recipe: Recipe, seed: int) -> float:
    """Accuracy on the validation nodes at the epoch where it is best."""
    return tested(replace(data, splits={**data.splits, "test": data.splits["val"]}), recipe, seed)


def unrolled(depth: int) -> Recipe:
    """APPNP: the same network, all steps in every iteration."""
    lazy = lazy_gnn(restart=RESTART, epochs=EPOCHS)

    def encoder(shape: Shape) -> nn.Module:
        built: Any = lazy.encoder(shape)
        built.filter = Filter(depth, Weights(geometric(depth, RESTART)))
        return built

    return replace(lazy, encoder=encoder)


def calls(data: RelationalDataset, recipe: Recipe) -> int:
    """Sparse products of one training step."""
    network = assemble(recipe, shape_of(data), 0).train()
    batch = data.read(data.splits["train"])
    batch["labels"] = torch.from_numpy(batch["labels"])
    stage = recipe.stages[0]
    assert stage.objective is not None
    with patch.object(products, "summed", wraps=products.summed) as counted:
        stage.objective(shape_of(data))(network, batch)[0].backward()
    return int(counted.call_count)


def exact(run: Run) -> None:
    graph = load("cora").graph
    rng = np.random.default_rng(206)
    x, grad = (torch.from_numpy(rng.normal(size=(graph.num_nodes, CHANNELS))) for _ in range(2))
    s = operator_of(graph).matrix()
    solve = splu((sparse.eye_array(graph.num_nodes) - (1 - RESTART) * s).tocsc()).solve
    renew = 1.0 if run.broken else 0.0
    layer = Lazy(graph.num_nodes, CHANNELS, 1, RESTART, renew, renew).double()
    for _ in range(ITERATIONS):
        given = x.clone().requires_grad_()
        z = layer(given, graph)
        z.backward(grad)
    assert given.grad is not None
    run.report("relative error of Z after 300 iterations", off(z.detach(), RESTART * solve(x.numpy())))
    run.report("relative error of the gradient after 300 iterations", off(given.grad, RESTART * solve(grad.numpy())))
    run.report("one block against the whole graph, largest difference of outputs", one_block())


def off(found: Tensor, true: np.ndarray) -> float:
    """|found - true| / |true|."""
    return float(np.linalg.norm(found.numpy() - true) / np.linalg.norm(true))


def one_block() -> float:
    """Three training steps on Cora, without dropout."""
    data = load("cora")
    answers = []
    for block in ({}, {"block": torch.arange(data.graph.num_nodes)}):
        encoder = assemble(lazy_gnn(dropout=0.0), shape_of(data), 0).encoder.train()
        for _ in range(3):
            z = encoder.embed(data.read(data.splits["train"]) | block)
            z.square().sum().backward()
        answers.append(z.detach())
    return float((answers[0] - answers[1]).abs().max())
