"""Claim of GAT: attention over neighbours classifies as well as convolution, on nodes it never saw too; its scores rank
sources alike for everyone who sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly
from semblance.data.load import load
from semblance.data.relational import RelationalDataset
from semblance.encoders.graphs.attention import Attention
from semblance.geometry.graph import Graph
from semblance.recipes.graph_filters import mlp
from semblance.recipes.graph_networks import gat as recipe
from semblance.recipes.graph_networks import gcn
from semblance.recipes.registry import Recipe
from semblance.space.training import train


@claim(
    "gat",
    parts={
        "Cora accuracy": at_least(0.815),
        "Cora accuracy over an MLP": at_least(0.20),
        "Cora accuracy below GCN": at_most(0.005),
        "Citeseer accuracy": at_least(0.70),
        "Cora accuracy of the transductive run over the inductive one": at_most(0.03),
        "largest distance of a sum of attention from 1": below(1e-6),
        "largest change of an output where nodes are permuted": below(1e-5),
        "pairs of sources that two nodes rank differently": exactly(0),
    },
    data=("cora", "citeseer"),
    seeds=(0, 1, 2, 3, 4),
    broken="every edge leads from a random node instead",
    files=("encoders/graphs/attention.py", "encoders/graphs/stack.py", "recipes/graph_networks.py"),
)
def gat(run: Run) -> None:
    """Attention over neighbours classifies papers by words and citations as well as graph convolution, far better than by
    words alone, and as well where the test papers were not there in training. It sums to 1, commutes with permutations,
    and a single head ranks the same sources alike for every node (which SIR-GCN removes)."""
    cora, citeseer = load("cora"), load("citeseer")
    if run.broken:
        cora, citeseer = elsewhere(cora), elsewhere(citeseer)
    found = [accuracy(cora, recipe(), seed) for seed in run.seeds]
    words = [accuracy(cora, mlp(), seed) for seed in run.seeds]
    convolved = [accuracy(cora, gcn(), seed) for seed in run.seeds]
    run.report("Cora accuracy", found)
    run.report("Cora accuracy over an MLP", [a - b for a, b in zip(found, words, strict=True)])
    run.report("Cora accuracy below GCN", np.mean(convolved) - np.mean(found))
    run.baseline("Cora accuracy, MLP", words)
    run.baseline("Cora accuracy, GCN", convolved)
    run.report("Citeseer accuracy", [accuracy(citeseer, recipe(), seed) for seed in run.seeds])
    unseen = [inductive(cora, recipe(), seed) for seed in run.seeds]
    run.report("Cora accuracy of the transductive run over the inductive one", np.mean(found) - np.mean(unseen))
    run.baseline("Cora accuracy, inductive", unseen)

    sums, moved, ranks = zip(*(exact(seed) for seed in run.seeds), strict=True)
    run.report("largest distance of a sum of attention from 1", max(sums))
    run.report("largest change of an output where nodes are permuted", max(moved))
    run.report("pairs of sources that two nodes rank differently", float(sum(ranks)))


def accuracy(data: RelationalDataset, made: Recipe, seed: int, judged: RelationalDataset | None = None) -> float:
    """Test accuracy at the epoch of best validation; the model is asked about `judged`, the data itself unless given."""
    whole = data if judged is None else judged
    answers = np.array(train(data, made, seed=seed).predict(whole))
    test = whole.splits["test"]
    return float((answers == np.array(whole.classes)[whole.targets["labels"]])[test].mean())


def inductive(data: RelationalDataset, made: Recipe, seed: int) -> float:
    """The same, trained with all test nodes removed from the graph."""
    left = np.setdiff1d(np.arange(len(data)), data.splits["test"])
    return accuracy(data.subset(left), made, seed, judged=data)


def elsewhere(data: RelationalDataset) -> RelationalDataset:
    """The graph with every edge's source drawn anew."""
    graph: Graph = data.graph
    drawn = torch.randint(0, graph.num_nodes, (graph.num_edges,), generator=torch.Generator().manual_seed(0))
    return replace(data, graph=Graph(torch.stack([drawn, graph.edge_index[1]]), graph.num_nodes, directed=True))


@torch.no_grad()
def exact(seed: int) -> tuple[float, float, int]:
    """With random weights: distance of sums of attention from 1; change under a permutation; pairs of sources of a complete
    graph that two nodes rank differently, one head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer, single = Attention(12, 8, heads=4), Attention(12, 8, heads=1)
        x, ends, order = torch.randn(40, 12), torch.randint(0, 40, (2, 200)), torch.randperm(40)
    graph = Graph(ends, 40, directed=True)
    (_, target), alpha = layer.weights(x, graph)
    sums = alpha.new_zeros(40, 4).index_add(0, target, alpha)
    other = Graph(order.argsort()[ends], 40, directed=True)  # node order[i] becomes node i
    moved = (layer(x[order], other) - layer(x, graph)[order]).abs().max()
    source, target = torch.cartesian_prod(torch.arange(40), torch.arange(40)).T
    (source, target), alpha = single.double().weights(x.double(), Graph(torch.stack([source, target]), 40))
    dense = alpha.new_zeros(40, 40)
    dense[target, source] = alpha[:, 0]
    higher = dense[:, :, None] > dense[:, None, :]  # [node, source, source]
    return float((sums - 1).abs().max()), float(moved), int((higher != higher[:1]).sum()) // 2
