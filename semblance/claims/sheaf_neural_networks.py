"""A sheaf that is given says what a graph cannot: who disagrees with whom.

Signed graphs: 600 nodes with labels +1 and -1, features 0.5 y m + N(0, I_16), each node linked to 4 random nodes, the
sign of an edge y_u y_v, flipped with probability 0.1; 60 labelled nodes, answers on the 540 others; two tanh layers of
width 16, augmented operator, weights of the last epoch, since 60 labels leave none for validation. GCN is the same
network on the constant sheaf.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.claims.ledger import Run, above, at_least, at_most, claim, exactly
from semblance.data.relate import relate
from semblance.encoders.topology.diffusion import Diffusion
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import graph_laplacian, rank
from semblance.geometry.pairs import pairs_of
from semblance.geometry.sheaves import coboundary, sheaf_laplacian
from semblance.recipes.graph_sheaves import sheaf_network
from semblance.recipes.registry import Recipe
from semblance.space.training import train

NODES, FEATURES, LINKS, LABELLED, FLIPPED = 600, 16, 4, 60, 0.1


@claim(
    "sheaf-neural-networks",
    parts={
        "(a) points above GCN on absolute edges": at_least(25.0),
        "(a) points above GCN on positive edges": at_least(5.0),
        "(b) ragged sheaf: largest difference from its transpose": at_most(1e-10),
        "(b) ragged sheaf: least eigenvalue": above(-1e-10),
        "(b) ragged sheaf: dim ker L less (stalks - rank of the coboundary)": exactly(0.0),
        "(b) identity maps: layer off GCN without self-loops": at_most(1e-6),
    },
    data=(),
    seeds=(0, 1, 2, 3, 4),
    broken="the signs of the edges are shuffled, and identity maps have the wrong sign at one end",
    files=(
        "encoders/topology/diffusion.py",
        "encoders/topology/sheaf.py",
        "geometry/laplacians.py",
        "geometry/sheaves.py",
        "recipes/graph_sheaves.py",
    ),
    minutes=1.0,
)
def sheaf_neural_networks(run: Run) -> None:
    """Convolution over a sheaf of friends and foes beats convolution over the graph; its Laplacian's kernel is the global
    sections; with the constant sheaf it is a GCN."""
    found: dict[str, list[float]] = {"signs": [], "absolute": [], "positive": []}
    for seed in run.seeds:
        for name, value in accuracies(seed, run.broken).items():
            found[name].append(100 * value)
    for name, values in found.items():
        run.baseline(f"accuracy, {name}", values)
    for name in ("absolute", "positive"):
        gap = [a - b for a, b in zip(found["signs"], found[name], strict=True)]
        run.report(f"(a) points above GCN on {name} edges", gap)
    sheaves = [ragged(np.random.default_rng([57, seed])) for seed in run.seeds]
    run.report("(b) ragged sheaf: largest difference from its transpose", max(one[0] for one in sheaves))
    run.report("(b) ragged sheaf: least eigenvalue", min(one[1] for one in sheaves))
    run.report("(b) ragged sheaf: dim ker L less (stalks - rank of the coboundary)", [one[2] for one in sheaves])
    same = [identity(np.random.default_rng([58, seed]), run.broken) for seed in run.seeds]
    run.report("(b) identity maps: layer off GCN without self-loops", max(same))


def accuracies(seed: int, broken: bool) -> dict[str, float]:
    """Of the signed sheaf, of GCN on all edges, and of GCN on the positive ones."""
    rng = np.random.default_rng([57, 0, seed])
    y = rng.permutation(np.repeat([-1.0, 1.0], NODES // 2))
    direction = rng.normal(size=FEATURES)
    x = 0.5 * y[:, None] * direction / np.linalg.norm(direction) + rng.normal(size=(NODES, FEATURES))
    source = np.repeat(np.arange(NODES), LINKS)
    target = (source + 1 + rng.integers(0, NODES - 1, len(source))) % NODES
    sign = y[source] * y[target] * np.where(rng.random(len(source)) < FLIPPED, -1.0, 1.0)
    if broken:
        sign = rng.permutation(sign)
    ends = torch.from_numpy(np.stack([source, target]))
    signs = torch.from_numpy(sign)
    whole = Graph(ends, NODES, directed=True, sign=signs).undirected()
    friends = Graph(ends[:, signs > 0], NODES, directed=True).undirected()
    order = rng.permutation(NODES)
    split = {"train": np.sort(order[:LABELLED]), "test": np.sort(order[LABELLED:])}

    def answered(graph: Graph, sheaf: str) -> float:
        data = relate(
            "graph",
            graph,
            x=x.astype(np.float32),
            labels=(y > 0).astype(np.int64),
            classes=("-1", "+1"),
            given_splits=[split],
        )
        model = train(data, without_validation(sheaf_network(sheaf)), seed=seed)
        rows = data.splits["test"]
        with torch.inference_mode():
            answers = torch.cat([model.network(batch).argmax(1) for batch in model.batches(data, rows)])
        return float((answers.numpy() == data.targets["labels"][rows]).mean())

    return {
        "signs": answered(whole, "signs"),
        "absolute": answered(whole, "constant"),
        "positive": answered(friends, "constant"),
    }


def without_validation(made: Recipe) -> Recipe:
    """The recipe with the weights of its last epoch."""
    stage = made.stages[0]
    return replace(made, stages=(replace(stage, rule=replace(stage.rule, best="")),))


def ragged(rng: np.random.Generator) -> tuple[float, float, float]:
    """A random sheaf with stalks of 1 to 4 on 40 nodes: asymmetry, least eigenvalue, excess of the kernel."""
    nodes, edges = 40, 60
    sizes = rng.integers(1, 5, nodes)
    source = rng.integers(0, nodes, edges)
    ends = np.stack([source, (source + 1 + rng.integers(0, nodes - 1, edges)) % nodes])
    heights = rng.integers(1, 3, edges)
    maps = [[rng.normal(size=(h, sizes[v])) for h, v in zip(heights, side, strict=True)] for side in ends]
    found = sheaf_laplacian(torch.from_numpy(ends), maps[0], maps[1], sizes)
    delta, _ = coboundary(torch.from_numpy(ends), maps[0], maps[1], sizes)
    dense = found.matrix.toarray()
    least = float(found.spectrum()[0][0])
    expected = int(sizes.sum()) - rank(delta)
    return float(abs(dense - dense.T).max()), least, float(found.kernel().shape[1] - expected)


def identity(rng: np.random.Generator, broken: bool) -> float:
    """A layer over identity maps on stalks of 3 against D^-1/2 A D^-1/2 X W, on a random connected graph."""
    nodes, d, f, out = 50, 3, 6, 4
    ring = np.stack([np.arange(nodes), (np.arange(nodes) + 1) % nodes])
    ends = torch.from_numpy(np.concatenate([ring, rng.integers(0, nodes, (2, 100))], 1))
    graph = Graph(ends, nodes, directed=True).without_loops().undirected()
    pairs = pairs_of(graph)
    same = np.broadcast_to(np.eye(d), (len(pairs), d, d))
    both = torch.stack([pairs.low, pairs.high])
    operator = sheaf_laplacian(both, same, -same if broken else same, np.full(nodes, d), "block")
    layer = Diffusion(None, d, f, out, form="convolution", activation="tanh", left=False).double()
    with torch.no_grad():
        layer.right.copy_(torch.from_numpy(rng.normal(size=(out, f))))
        x = torch.from_numpy(rng.normal(size=(nodes, d * f)))
        walk = np.eye(nodes) - graph_laplacian(graph, "block").matrix.toarray()
        mixed = (x.view(nodes, d, f) @ layer.right.t()).reshape(nodes, -1)
        expected = torch.tanh(torch.from_numpy(walk) @ mixed)
        return float((layer(x, graph, operator) - expected).abs().max())
