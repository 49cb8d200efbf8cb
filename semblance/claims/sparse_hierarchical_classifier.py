"""Claim of sparse hierarchical graph classifiers: graphs that are coarsened by dropping nodes are classified about as well
as by dense assignment, with memory in proportion to their size.

Accuracy is that of the test fold at the best epoch by the validation fold, width 64 for all three networks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from semblance.claims.graph_settings import reordered
from semblance.claims.ledger import Run, above, at_least, at_most, below, claim, exactly
from semblance.contracts import Batch
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.coarsen import Coarsened
from semblance.geometry.graph import Graph
from semblance.recipes.graph_coarsening import diff_pool
from semblance.recipes.graph_coarsening import sparse_hierarchical as recipe
from semblance.recipes.registry import Recipe
from semblance.space.training import train

WIDTH, EPOCHS = 64, 15
SIZES = (500, 1000, 2000, 4000, 8000)
SHARE = 0.25
"""Of nodes that dense pooling assigns them to, as clusters, in the memory curve."""


@claim(
    "sparse-hierarchical-classifier",
    parts={
        "PROTEINS accuracy over dense assignment pooling": at_least(-0.03),
        "PROTEINS accuracy over one global read-out": at_least(-0.02),
        "slope of saved bytes over nodes, log-log": at_most(1.1),
        "slope of saved bytes over nodes, dense assignment": at_least(1.7),
        "largest change of the output when nodes are renumbered": below(1e-5),
        "smallest gradient of a direction, with the gate": above(0),
        "largest gradient of a direction, without the gate": exactly(0),
    },
    data=("proteins", "synthetic: random graphs with 2 edges a node"),
    broken="nodes are assigned to clusters by a dense matrix instead of being dropped, and the gate is left out",
    files=(
        "encoders/graphs/coarsen.py",
        "objectives/penalised.py",
        "recipes/graph_coarsening.py",
        "recipes/graph_readouts.py",
    ),
)
def sparse_hierarchical_classifier(run: Run) -> None:
    """Keeping the nodes of largest score, gated by it, classifies graphs nearly as well as dense assignment pooling and as
    one global read-out, and what a step stores grows with the nodes instead of with their square. Seeds are folds."""
    dense = diff_pool(hidden=WIDTH, clusters=16, epochs=EPOCHS)
    ours = dense if run.broken else recipe(hidden=WIDTH, epochs=EPOCHS)
    run.report("slope of saved bytes over nodes, log-log", slope("dense" if run.broken else "top"))
    run.report("slope of saved bytes over nodes, dense assignment", slope("dense"))
    run.report("largest change of the output when nodes are renumbered", [moved(seed) for seed in run.seeds])
    with_gate = [gradients(seed, not run.broken) for seed in run.seeds]
    run.report("smallest gradient of a direction, with the gate", min(map(min, with_gate)))
    without = [gradients(seed, False) for seed in run.seeds]
    run.report("largest gradient of a direction, without the gate", max(map(max, without)))

    folds = [load("proteins").with_split(fold % 10) for fold in run.seeds]
    flat = recipe(hidden=WIDTH, pool=False, epochs=EPOCHS)
    found = {}
    for name, made in {"ours": ours, "global": flat, "dense": dense}.items():
        found[name] = [accuracy(data, made, seed) for seed, data in zip(run.seeds, folds, strict=True)]
        run.baseline(f"PROTEINS accuracy, {name}", found[name])
    for name, other in {"dense assignment pooling": "dense", "one global read-out": "global"}.items():
        run.report(f"PROTEINS accuracy over {name}", np.subtract(found["ours"], found[other]).tolist())


def accuracy(data: RelationalDataset, made: Recipe, seed: int) -> float:
    """On the test fold."""
    model, rows = train(data, made, seed=seed), data.splits["test"]
    answers = np.array(model.predict(data.subset(rows)))
    return float((answers == np.array(data.classes)[data.targets["labels"][rows]]).mean())


@cache
def slope(pooling: str) -> float:
    """Of the logarithm of bytes that autograd stores over that of nodes."""
    stored = [saved(pooling, nodes) for nodes in SIZES]
    return float(np.polyfit(np.log(SIZES), np.log(stored), 1)[0])


def saved(pooling: str, nodes: int) -> int:
    """Bytes of all tensors that one forward pass keeps for the backward pass, each storage once."""
    rng = np.random.default_rng([214, nodes])
    ends = torch.from_numpy(rng.integers(0, nodes, (2, 2 * nodes)))
    graph = Graph(torch.cat([ends, ends.flip(0)], 1), nodes, member=torch.zeros(nodes, dtype=torch.int64))
    network = network_of(pooling, 0, True, clusters=int(SHARE * nodes)).train()
    held: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.embed({"graph": graph, "x": torch.ones(nodes, 8)})
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    return sum(t.untyped_storage().nbytes() for place, t in held.items() if place not in own)


def network_of(pooling: str, seed: int, gate: bool, clusters: int = 16) -> Coarsened:
    """With random weights, for 8 features; dense: a quarter as many clusters at every level."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Coarsened(8, WIDTH, 3, pooling, SHARE if pooling == "dense" else 0.8, gate, clusters)


def some(seed: int) -> tuple[Batch, RelationalDataset]:
    """Twenty graphs of PROTEINS with random features, so that no two nodes are alike, as a batch."""
    whole, rng = load("proteins"), np.random.default_rng([214, seed])
    data = whole.subset(np.sort(rng.permutation(len(whole))[:20]))
    x = rng.normal(size=(data.graph.num_nodes, 8)).astype(np.float32)
    data = replace(data, x=x)
    return data.read(np.arange(20)), data


@torch.no_grad()
def moved(seed: int) -> float:
    """Largest difference between the read-outs of 20 graphs and of the same with their nodes in another order."""
    batch, data = some(seed)
    network = network_of("top", seed, True).double().eval()
    other = reordered(data, seed).read(np.arange(20))
    one, two = (network.embed({**b, "x": b["x"].double()}) for b in (batch, other))
    return float((one - two).abs().max())


def gradients(seed: int, gate: bool) -> list[float]:
    """Norms of the gradients of the directions of scores; 0 where none arrives."""
    batch, _ = some(seed)
    network = network_of("top", seed, gate).train()
    network.embed(batch).square().sum().backward()
    found = [p.grad for name, p in network.named_parameters() if name.endswith("direction")]
    return [0.0 if grad is None else float(grad.norm()) for grad in found]
