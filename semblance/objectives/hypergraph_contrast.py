"""Contrast of two views of a hypergraph, at the level of nodes, hyperedges and memberships.

    node         a node of one view shall find itself in the other, among other nodes
    hyperedge    the same of hyperedges, each the mean of its members
    membership   a node of one view shall tell the hyperedges that it lies in, as the other view has them, from others:
                 softplus(-t) + softplus(t'),  t = v^T W h

A view leaves out nodes, hyperedges or memberships (`data/hypergraph_views.py`). Lee & Shin 2023, arXiv:2206.04739 (TriCL).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.data.hypergraph_views import LEVELS, left_out
from semblance.errors import unknown
from semblance.geometry.hypergraph import Hypergraph
from semblance.objectives.contrast import Contrast
from semblance.objectives.hyperedges import moments
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import other_view
from semblance.objectives.projector import perceptron


class HypergraphContrast(nn.Module):
    """drop: the level at which a view leaves out, share: of it; batch: nodes, hyperedges, memberships a step at most."""

    def __init__(
        self,
        dim: int,
        levels: Sequence[str] = LEVELS,
        drop: str = "membership",
        share: float = 0.3,
        temperature: float = 0.5,
        batch: int = 1024,
    ):
        super().__init__()
        for name in (*levels, drop):
            if name not in LEVELS:
                raise unknown("level of a hypergraph", name, LEVELS)
        self.levels, self.drop, self.share, self.batch = tuple(levels), drop, share, batch
        self.loss = Contrast(other_view, Cosine(temperature))
        sides = [level for level in ("node", "hyperedge") if level in levels]
        self.projectors = nn.ModuleDict({side: perceptron((dim, dim, dim), hidden_norm=False) for side in sides})
        self.judge = nn.Bilinear(dim, dim, 1) if "membership" in levels else None
        self.needs: frozenset[str] = frozenset()

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> the sum over the levels, {loss, and that of each level}."""
        hypergraph: Hypergraph = batch["graph"]
        seen = [model.encoder(left_out(batch, self.drop, self.share)).float() for _ in range(2)]
        of_edges = [moments(z, hypergraph)[0] for z in seen]
        found: dict[str, Tensor] = {}
        for level, states in (("node", seen), ("hyperedge", of_edges)):
            if level in self.levels:
                found[level] = self._agree(level, states)
        if self.judge is not None:
            found["membership"] = self._told(seen[0], of_edges[1], hypergraph)
        loss = torch.stack(list(found.values())).sum()
        return loss, {"loss": float(loss.detach()), **{level: float(v.detach()) for level, v in found.items()}}

    def _agree(self, level: str, states: Sequence[Tensor]) -> Tensor:
        some = torch.randperm(len(states[0]))[: self.batch]
        z = torch.cat([self.projectors[level](one[some]) for one in states])
        item = torch.arange(len(some)).repeat(2)
        loss: Tensor = self.loss(z, {"item": item})
        return loss

    def _told(self, nodes: Tensor, hyperedges: Tensor, hypergraph: Hypergraph) -> Tensor:
        assert self.judge is not None
        some = torch.randperm(len(hypergraph.node))[: self.batch]
        node, edge = hypergraph.node[some], hypergraph.edge[some]
        other = torch.randint(hypergraph.num_edges, (len(some),))
        real, drawn = (self.judge(nodes[node], hyperedges[e])[:, 0] for e in (edge, other))
        return F.softplus(-real).mean() + F.softplus(drawn).mean()
