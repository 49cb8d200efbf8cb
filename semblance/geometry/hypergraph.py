"""A hypergraph: V nodes, M hyperedges, each a set of nodes; the structure alone.

node, edge [I]    the memberships: node[i] lies in hyperedge edge[i]
by_edge()         memberships grouped by hyperedge: the nodes of e = index[start[e] : start[e + 1]]
by_node()         grouped by node: the hyperedges of v
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semblance.geometry.graph import Graph, Rows, grouped
from semblance.geometry.kept import Keeps


@dataclass(frozen=True, eq=False)
class Hypergraph(Keeps):
    """node, edge: int64 [I]; weight and time: [M], one per hyperedge, or None; membership: [I], how strongly a node belongs
    (a probability), or None."""

    node: Tensor
    edge: Tensor
    num_nodes: int
    num_edges: int
    weight: Tensor | None = None
    time: Tensor | None = None
    membership: Tensor | None = None

    def by_edge(self) -> Rows:
        """Row e lists the nodes of hyperedge e."""
        return self.once("by_edge", lambda: grouped(self.node, self.edge, self.num_edges))

    def by_node(self) -> Rows:
        """Row v lists the hyperedges of node v."""
        return self.once("by_node", lambda: grouped(self.edge, self.node, self.num_nodes))

    def to(self, device: Any) -> Hypergraph:
        """On another device; what was computed stays here."""
        held = {name: getattr(self, name) for name in ("node", "edge", "weight", "time", "membership")}
        moved: dict[str, Any] = {name: value if value is None else value.to(device) for name, value in held.items()}
        if all(value is getattr(self, name) for name, value in moved.items()):
            return self
        return Hypergraph(**moved, num_nodes=self.num_nodes, num_edges=self.num_edges)

    @classmethod
    def of_neighbourhoods(cls, graph: Graph) -> Hypergraph:
        """One hyperedge a node: itself and its neighbours (Feng et al. 2019)."""
        rows = graph.rows()
        own = torch.arange(graph.num_nodes)
        near = torch.from_numpy(rows.index.astype("int64"))
        centre = torch.repeat_interleave(own, torch.from_numpy(rows.degree))
        apart = near != centre
        return cls(
            node=torch.cat([own, near[apart]]),
            edge=torch.cat([own, centre[apart]]),
            num_nodes=graph.num_nodes,
            num_edges=graph.num_nodes,
        )
