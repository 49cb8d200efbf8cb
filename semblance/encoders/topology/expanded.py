"""Expanded: a hypergraph's nodes by an encoder of graphs, on the graph that it expands to.

    star    nodes and hyperedges are the nodes, memberships the edges: a walk alternates between the two

Whatever reads a graph alone (walks, projections) so reads a hypergraph, without the many pairs of its large hyperedges.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class OnStar(nn.Module):
    """`encoder` sees V + M nodes without features; the first V are handed on."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder: Any = encoder
        self.dim, self.geometry = encoder.dim, encoder.geometry

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """As the encoder solves itself, where it does."""
        metrics: Metrics = self.encoder.solve({"graph": batch["graph"].star()}, seed)
        return metrics

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], the nodes of the hypergraph."""
        hypergraph = batch["graph"]
        states: Tensor = self.encoder({"graph": hypergraph.star()})
        return states[: hypergraph.num_nodes]

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        states = self.forward(batch)
        return states[batch["nodes"]] if "nodes" in batch else states
