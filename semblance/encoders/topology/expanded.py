"""Expanded: a hypergraph's nodes by an encoder of graphs, on the graph that it expands to.

    clique  nodes that share a hyperedge are linked: plainly, by how many they share, or by the sizes of those
    star    nodes and hyperedges are the nodes, memberships the edges: a walk alternates between the two
    line    memberships are the nodes, linked where they share their node or their hyperedge

Whatever reads a graph so reads a hypergraph (`geometry/expansions.py`). Features of a hyperedge are the mean of its
members', a membership has those of its node; a node is read from its own place in the graph, or as the mean or the sum of
its memberships (zeros where it has none). Of what stands alike only the sum tells how many there are: the memberships of a
triple and of its three pairs form cycles of three and of six.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.encoders.graphs.readout import READOUTS, pool
from semblance.encoders.graphs.stack import embedded
from semblance.encoders.topology.hypergraph import as_hypergraph
from semblance.errors import unknown
from semblance.geometry.expansions import clique, line
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.products import spread

EXPANSIONS = ("clique", "count-clique", "size-clique", "star", "line")


def expanded(hypergraph: Hypergraph, how: str) -> Graph:
    """The graph of that name."""
    if how not in EXPANSIONS:
        raise unknown("expansion", how, EXPANSIONS)
    if how == "star":
        return hypergraph.star()
    if how == "line":
        return line(hypergraph)
    return clique(hypergraph, how.removesuffix("clique").rstrip("-") or "plain")


def lifted(x: Tensor, hypergraph: Hypergraph, how: str) -> Tensor:
    """Features of the nodes [V, f] -> of the nodes of the expansion."""
    if how == "line":
        return x[hypergraph.node] if x.layout == torch.strided else x.to_dense()[hypergraph.node]
    if how != "star":
        return x
    dense = x if x.layout == torch.strided else x.to_dense()
    return torch.cat([dense, of_hyperedges(dense, hypergraph)])


def read_back(states: Tensor, hypergraph: Hypergraph, how: str, back: str = "mean") -> Tensor:
    """States of the expansion's nodes -> of the hypergraph's nodes [V, d]."""
    if how != "line":
        return states[: hypergraph.num_nodes]
    return pool(states, hypergraph.node, hypergraph.num_nodes, back)


def of_hyperedges(states: Tensor, hypergraph: Hypergraph) -> Tensor:
    """[V, d] -> [M, d]: the mean of the members, zeros where there are none."""
    share = 1 / torch.from_numpy(hypergraph.by_edge().degree).to(states).clamp(min=1)
    return spread(hypergraph.by_edge(), hypergraph.by_node(), states, left=share)


class Expanded(nn.Module):
    """`encoder`: any of graphs. back: how a node is read from its memberships: sum, mean or max."""

    def __init__(self, encoder: nn.Module, how: str = "clique", back: str = "mean"):
        super().__init__()
        if back not in READOUTS:
            raise unknown("readout", back, READOUTS)
        if how not in EXPANSIONS:
            raise unknown("expansion", how, EXPANSIONS)
        self.encoder: Any = encoder
        self.how, self.back, self.dim, self.geometry = how, back, encoder.dim, encoder.geometry

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """As the encoder solves itself, where it does."""
        metrics: Metrics = self.encoder.solve(self.seen(batch), seed)
        return metrics

    def seen(self, batch: Batch) -> Batch:
        """The batch of all nodes of the expansion."""
        hypergraph, x = as_hypergraph(batch["graph"]), batch.get("x")
        held: Batch = {"graph": expanded(hypergraph, self.how)}
        return held if x is None else {**held, "x": lifted(x, hypergraph, self.how)}

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], the nodes of the hypergraph."""
        states: Tensor = self.encoder(self.seen(batch))
        return read_back(states, as_hypergraph(batch["graph"]), self.how, self.back)

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        if self.how not in ("star", "line"):  # the same nodes: the encoder may read those alone that are asked for
            z: Tensor = self.encoder.embed({**batch, **self.seen(batch)})
            return z
        return embedded(self.forward(batch), batch, "mean")


class OnStar(Expanded):
    """`encoder` sees V + M nodes without features; the first V are handed on."""

    def __init__(self, encoder: nn.Module):
        super().__init__(encoder, "star")

    def seen(self, batch: Batch) -> Batch:
        """The star alone."""
        return {"graph": expanded(as_hypergraph(batch["graph"]), self.how)}


class HeadOnClique(nn.Module):
    """A head that reads the graph too (`LastLayer`), on the graph of pairs, whose nodes are the hypergraph's."""

    def __init__(self, head: nn.Module, how: str = "clique"):
        super().__init__()
        self.head: Any = head
        self.how, self.reads = how, getattr(head, "reads", "embedding")

    def forward(self, representation: Tensor, batch: Batch) -> Tensor:
        """As the head answers."""
        graph = expanded(as_hypergraph(batch["graph"]), self.how)
        answer: Tensor = self.head(representation, {**batch, "graph": graph})
        return answer

    def decode(self, prediction: Tensor) -> Any:
        """As the head decodes."""
        return self.head.decode(prediction)
