"""Graphs whose nodes all look alike to colour refinement, and rings that ask about both of their sides.

circulant           node i is joined to i - 1 and i + 1, and to i - skip and i + skip
skip_links          circulant graphs of 41 nodes, ten skips, of which each is a class: the CSL set
rook_and_shrikhande two strongly regular graphs of 16 nodes with equal parameters, which 3-WL cannot separate
labelled_rings      two opposite nodes are marked and labelled: are their labels equal?

References: Murphy et al. 2019, arXiv:1903.02541 (skip links); the rings are the catalogue's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from semblance.data.graph_generators import NodeTargets, both_ways, consecutive, related, ring
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph, joined

SKIPS = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)


def circulant(nodes: int, *skips: int) -> Graph:
    """Edges from every node to those `skips` further on, and back."""
    at = np.arange(nodes)
    return both_ways(np.concatenate([np.stack([at, (at + skip) % nodes]) for skip in skips], 1), nodes)


def skip_links(copies: int = 15, nodes: int = 41, folds: int = 5, seed: int = 0) -> RelationalDataset:
    """`copies` of every skip, numbered at random, without features; a given split for every fold, stratified: one fold to
    test, the next to validate."""
    rng = np.random.default_rng([107, seed])
    graphs = [shuffled(circulant(nodes, 1, skip), rng)[0] for skip in SKIPS for _ in range(copies)]
    fold = np.tile(np.arange(copies) % folds, len(SKIPS))
    splits = [
        {
            "train": np.flatnonzero((fold != test) & (fold != (test + 1) % folds)),
            "val": np.flatnonzero(fold == (test + 1) % folds),
            "test": np.flatnonzero(fold == test),
        }
        for test in range(folds)
    ]
    return relate(
        "graphs",
        joined(graphs),
        labels=np.repeat(np.arange(len(SKIPS)), copies),
        classes=tuple(map(str, SKIPS)),
        given_splits=splits,
        units="graph",
        count=len(graphs),
        name="skip links",
        what="skip links",
    )


def rook_and_shrikhande() -> tuple[Graph, Graph]:
    """A 4 x 4 board whose squares are joined along rows and columns; the torus of 4 x 4 with one kind of diagonals."""
    at = np.arange(16)
    row, column = at // 4, at % 4

    def moved(down: int, right: int) -> np.ndarray:
        return np.stack([at, 4 * ((row + down) % 4) + (column + right) % 4])

    along = [moved(0, 1), moved(1, 0), moved(0, 2)[:, column < 2], moved(2, 0)[:, row < 2]]
    return tuple(  # type: ignore[return-value]
        both_ways(np.concatenate(ends, 1), 16) for ends in (along, [moved(0, 1), moved(1, 0), moved(1, 1)])
    )


def labelled_rings(counts: Mapping[str, int], nodes: int = 40, values: int = 5, seed: int = 0) -> NodeTargets:
    """x [V, values + 2]: one-hot label, first mark, second mark; zeros at other nodes. `node_labels` int64 [V]: at the node
    with the first mark whether the label of the opposite node equals its own, -1 elsewhere; in half of the rings it does.
    """
    rng = np.random.default_rng([107, 1, seed])
    total = sum(counts.values())
    equal, label = rng.permutation(np.arange(total) % 2), rng.integers(0, values, total)
    other = (label + rng.integers(1, values, total)) % values
    x = np.zeros((total, nodes, values + 2), np.float32)
    x[:, 0, :values], x[:, 0, values] = np.eye(values)[label], 1
    x[:, nodes // 2, :values] = np.eye(values)[np.where(equal == 1, label, other)]
    x[:, nodes // 2, values + 1] = 1
    asked = np.full((total, nodes), -1)
    asked[:, 0] = equal
    graphs, one = [], both_ways(np.array(ring(range(nodes))).T, nodes)
    for number in range(total):
        graph, order = shuffled(one, rng)
        graphs.append(graph)
        x[number], asked[number] = x[number, order], asked[number, order]
    flat = x.reshape(total * nodes, -1)
    return related(graphs, flat, consecutive(counts), "labelled rings", asked.reshape(-1), None)


def shuffled(graph: Graph, rng: np.random.Generator) -> tuple[Graph, np.ndarray]:
    """The graph numbered at random: node i is what node order[i] was; and the order."""
    order = rng.permutation(graph.num_nodes)
    return graph.part(torch.from_numpy(order)), order
