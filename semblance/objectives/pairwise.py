"""Pairwise: links under the head's own score of pairs, while the links asked about are out of sight.

    loss = mean of -log sigmoid(s(i, j)) over drawn edges + mean of -log sigmoid(-s(i, k)) over drawn pairs without an edge

Target-link removal: at test the pairs asked about have no edge, and in training they would. So the drawn edges, or a share
of them, are taken out of the graph, in both directions, before any message passes. Wang, Yang & Zhang 2024,
arXiv:2302.00890.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.objectives.links import Links

MOST = 8
"""A step asks about at most one in so many edges (of both directions), or too little of a small graph would be left."""


class Pairwise(nn.Module):
    """batch edges a step, each with as many `negatives`; removed: the share of them that is taken out of the graph."""

    needs = frozenset({"edges"})

    def __init__(self, batch: int = 1024, negatives: int = 1, removed: float = 1.0):
        super().__init__()
        if not 0 <= removed <= 1:
            raise SemblanceError(f"removed is {removed}, but it is a share of the drawn edges: give 0 to 1")
        self.links, self.removed = Links("cross-entropy", batch, negatives), removed

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy: how often an edge scores above 0 and a pair without below}."""
        most = max(1, batch["graph"].num_edges // MOST)
        source, target, other = (drawn[:most] for drawn in self.links.draw(batch["graph"]))
        gone = round(self.removed * len(source))
        graph = without_pairs(batch["graph"], source[:gone], target[:gone])
        states: Tensor = model.encoder({**batch, "graph": graph})  # type: ignore[operator]
        pairs = torch.cat([source, source.repeat_interleave(other.shape[1])]), torch.cat([target, other.ravel()])
        scores: Tensor = model.head.pairs(states, graph, *pairs)  # type: ignore[operator, union-attr]
        linked, apart = scores[: len(source)], scores[len(source) :]
        loss = F.softplus(-linked).mean() + F.softplus(apart).mean()
        with torch.no_grad():
            right = ((linked > 0).float().mean() + (apart < 0).float().mean()) / 2
        return loss, {"loss": float(loss.detach()), "accuracy": float(right)}


def without_pairs(graph: Graph, one: Tensor, two: Tensor) -> Graph:
    """The graph without any edge between the two nodes of a pair, int64 [m] each."""
    if not len(one):
        return graph
    size = graph.num_nodes

    def numbered(a: Tensor, b: Tensor) -> np.ndarray:
        return (torch.minimum(a, b) * size + torch.maximum(a, b)).numpy()

    stay = ~np.isin(numbered(*graph.edge_index), numbered(one, two))
    return graph.with_edges(torch.from_numpy(stay))
