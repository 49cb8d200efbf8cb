"""A hypergraph: V nodes, M hyperedges, each a set of nodes; the structure alone.

    node, edge [I]    the memberships: node[i] lies in hyperedge edge[i]
    by_edge()         memberships grouped by hyperedge: the nodes of e = index[start[e] : start[e + 1]]
    by_node()         grouped by node: the hyperedges of v

Where none is given, hyperedges are made: of a graph's neighbourhoods, or of the nearest neighbours of every item; those of
several views of the same items stand side by side, [H1 | H2]. Feng et al. 2019, arXiv:1809.09401.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph, Rows, grouped
from semblance.geometry.kept import Keeps
from semblance.geometry.nearest import nearest

MEMBERSHIPS = ("whole", "by-distance")


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

    def rows(self) -> Rows:
        """As a graph's rows are: what a node has to do with, here its hyperedges."""
        return self.by_node()

    def star(self) -> Graph:
        """The bipartite graph of V + M nodes: those of the hypergraph, then its hyperedges; an edge both ways is a
        membership, as strong as that and the hyperedge are."""

        def make() -> Graph:
            ends = torch.stack([self.node, self.edge + self.num_nodes])
            weight = None if self.weight is None else self.weight[self.edge]
            if self.membership is not None:
                weight = self.membership if weight is None else weight * self.membership
            return Graph(
                edge_index=torch.cat([ends, ends.flip(0)], 1),
                num_nodes=self.num_nodes + self.num_edges,
                weight=None if weight is None else torch.cat([weight, weight]),
            )

        return self.once("star", make)

    def to(self, device: Any) -> Hypergraph:
        """On another device; what was computed stays here."""
        held = {name: getattr(self, name) for name in ("node", "edge", "weight", "time", "membership")}
        moved: dict[str, Any] = {name: value if value is None else value.to(device) for name, value in held.items()}
        if all(value is getattr(self, name) for name, value in moved.items()):
            return self
        return Hypergraph(**moved, num_nodes=self.num_nodes, num_edges=self.num_edges)

    def part(self, nodes: Tensor) -> Hypergraph:
        """What is left between these nodes (int64 [n], distinct), which are renumbered in their order. All hyperedges keep
        their numbers, those without nodes too."""
        position = torch.full((self.num_nodes,), -1, dtype=torch.int64)
        position[nodes] = torch.arange(len(nodes))
        stay = position[self.node] >= 0
        share = None if self.membership is None else self.membership[stay]
        return self._with(position[self.node[stay]], self.edge[stay], len(nodes), share)

    def appended(self, node: Tensor, edge: Tensor, count: int, membership: Tensor | None = None) -> Hypergraph:
        """With `count` new nodes, numbered on from the last, as new rows of the incidence: node, edge int64 [J] say which
        of them (from 0) joins which hyperedge."""
        for name, given, size in (("node", node, count), ("hyperedge", edge, self.num_edges)):
            off = given[(given < 0) | (given >= size)]
            if len(off):
                raise SemblanceError(f"a new membership names {name} {int(off[0])}, and there are {size} (from 0)")
        share = None
        if self.membership is not None or membership is not None:
            old, new = (
                torch.ones(len(i)) if m is None else m for m, i in ((self.membership, self.node), (membership, node))
            )
            share = torch.cat([old, new])
        rows, columns = torch.cat([self.node, node + self.num_nodes]), torch.cat([self.edge, edge])
        return self._with(rows, columns, self.num_nodes + count, share)

    def _with(self, node: Tensor, edge: Tensor, num_nodes: int, membership: Tensor | None) -> Hypergraph:
        return Hypergraph(node, edge, num_nodes, self.num_edges, self.weight, self.time, membership)

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

    @classmethod
    def of_nearest(
        cls, x: np.ndarray | Tensor, k: int = 10, membership: str = "whole", geometry: str = "euclidean"
    ) -> Hypergraph:
        """One hyperedge an item: itself and the k nearest to it. x: [V, d]. membership "whole": all belong alike;
        "by-distance": exp(-(distance / mean distance)^2), the item itself wholly (Euclidean distances)."""
        if membership not in MEMBERSHIPS:
            raise unknown("membership", membership, MEMBERSHIPS)
        if not 1 <= k < len(x):
            raise SemblanceError(f"k is {k}, but an item has 1 to {len(x) - 1} neighbours")
        position, similarity = nearest(x, x, k, geometry, leave_out="self")
        own = torch.arange(len(x))
        share = None
        if membership == "by-distance":
            distance = torch.from_numpy(-similarity) if geometry == "euclidean" else torch.from_numpy(1 - similarity)
            scale = distance.mean().clamp(min=torch.finfo(distance.dtype).tiny)
            share = torch.cat([torch.ones(len(x)), torch.exp(-((distance / scale) ** 2)).ravel()])
        return cls(
            node=torch.cat([own, torch.from_numpy(position.ravel())]),
            edge=torch.cat([own, own.repeat_interleave(k)]),
            num_nodes=len(x),
            num_edges=len(x),
            membership=share,
        )


def side_by_side(hypergraphs: Sequence[Hypergraph]) -> Hypergraph:
    """[H1 | H2 | ...]: the hyperedges of several hypergraphs over the same nodes. Weights and memberships that only some
    have are 1 in the others; times are kept where all have them."""
    counts = {h.num_nodes for h in hypergraphs}
    if len(counts) != 1:
        raise SemblanceError(f"hypergraphs over {sorted(counts)} nodes do not stand side by side: give the same nodes")
    first = np.cumsum([0, *(h.num_edges for h in hypergraphs)])
    columns: dict[str, Any] = {}
    for name in ("weight", "time", "membership"):
        given = [getattr(h, name) for h in hypergraphs]
        if all(value is None for value in given) or (name == "time" and any(value is None for value in given)):
            continue
        sizes = [len(h.node) if name == "membership" else h.num_edges for h in hypergraphs]
        columns[name] = torch.cat([torch.ones(n) if v is None else v for v, n in zip(given, sizes, strict=True)])
    return Hypergraph(
        node=torch.cat([h.node for h in hypergraphs]),
        edge=torch.cat([h.edge + int(start) for h, start in zip(hypergraphs, first, strict=False)]),
        num_nodes=counts.pop(),
        num_edges=int(first[-1]),
        **columns,
    )
