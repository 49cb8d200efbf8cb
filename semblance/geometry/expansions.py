"""Expansions: the graphs that a hypergraph can be read as.

    clique        nodes; an edge where two of them share a hyperedge
    star          nodes and hyperedges; an edge is a membership (`Hypergraph.star`)
    line          memberships; an edge where two share their node or their hyperedge
    singletons    the hypergraph itself, every node in one more hyperedge that is its own
    inward        a membership leads from its node to its hyperedge; outward the other way: what one stage of messages
                  between the two sides passes along. Both sides are counted from 0, in one graph of max(V, M) nodes

The clique forgets which pairs were together: a triple and its three pairs give the same graph, unless pairs are weighted
by the size of what they share. Agarwal, Branson & Belongie 2006, Higher order learning with graphs; Yang et al. 2020,
arXiv:2005.04843 (line).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph, side_by_side

WEIGHTINGS = ("plain", "count", "size")
MOST = 1 << 28
"""Pairs that are listed at most: a hyperedge of n nodes has n^2."""


def clique(hypergraph: Hypergraph, weighting: str = "plain") -> Graph:
    """The graph of pairs, kept with the hypergraph. weighting: plain, no weights; count, how many hyperedges a pair shares;
    size, sum over them of 1 / (size - 1), so that a node's degree is the number of its hyperedges. Hyperedges count by
    their own weights in the last two."""
    if weighting not in WEIGHTINGS:
        raise unknown("weighting of pairs", weighting, WEIGHTINGS)
    return hypergraph.once(("clique", weighting), lambda: _clique(hypergraph, weighting))


def _clique(hypergraph: Hypergraph, weighting: str) -> Graph:
    sizes = hypergraph.by_edge().degree.astype(np.float64)
    _refuse(float((sizes**2).sum()), "its pairs of nodes")
    node, edge = hypergraph.node.numpy(), hypergraph.edge.numpy()
    weight = np.ones(len(sizes)) if hypergraph.weight is None else hypergraph.weight.double().numpy()
    shape = (hypergraph.num_nodes, hypergraph.num_edges)
    incidence = sparse.csr_array((np.ones(len(node)), (node, edge)), shape=shape)
    of_edge = weight / np.maximum(sizes - 1, 1) if weighting == "size" else weight
    pairs = sparse.coo_array(incidence @ sparse.diags_array(of_edge) @ incidence.T)
    apart = pairs.row != pairs.col
    ends = np.stack([pairs.row[apart], pairs.col[apart]]).astype(np.int64)
    held = None if weighting == "plain" else torch.from_numpy(pairs.data[apart].astype(np.float32))
    return Graph(torch.from_numpy(ends), hypergraph.num_nodes, weight=held)


def line(hypergraph: Hypergraph) -> Graph:
    """The graph of memberships, kept with the hypergraph; its nodes are numbered as the memberships are."""
    return hypergraph.once("line", lambda: _line(hypergraph))


def _line(hypergraph: Hypergraph) -> Graph:
    rows = (hypergraph.by_edge(), hypergraph.by_node())
    _refuse(float(sum((one.degree.astype(np.float64) ** 2).sum() for one in rows)), "its pairs of memberships")
    count = len(hypergraph.node)
    own = np.arange(count)
    total = sparse.csr_array((count, count))
    for side in (hypergraph.node.numpy(), hypergraph.edge.numpy()):
        belongs = sparse.csr_array((np.ones(count), (own, side)), shape=(count, int(side.max(initial=-1)) + 1))
        total = total + belongs @ belongs.T
    pairs = sparse.coo_array(total)
    apart = pairs.row != pairs.col
    return Graph(torch.from_numpy(np.stack([pairs.row[apart], pairs.col[apart]]).astype(np.int64)), count)


def inward(hypergraph: Hypergraph) -> Graph:
    """node -> hyperedge, an edge a membership, in their order."""
    return hypergraph.once("inward", lambda: _led(hypergraph, torch.stack([hypergraph.node, hypergraph.edge])))


def outward(hypergraph: Hypergraph) -> Graph:
    """hyperedge -> node."""
    return hypergraph.once("outward", lambda: _led(hypergraph, torch.stack([hypergraph.edge, hypergraph.node])))


def _led(hypergraph: Hypergraph, ends: torch.Tensor) -> Graph:
    return Graph(ends, max(hypergraph.num_nodes, hypergraph.num_edges), directed=True)


def with_singletons(hypergraph: Hypergraph) -> Hypergraph:
    """A hyperedge more for every node, in which it is alone, so that nobody is in none."""

    def make() -> Hypergraph:
        own = torch.arange(hypergraph.num_nodes)
        return side_by_side([hypergraph, Hypergraph(own, own, hypergraph.num_nodes, hypergraph.num_nodes)])

    return hypergraph.once("with singletons", make)


def _refuse(count: float, what: str) -> None:
    if count > MOST:
        raise SemblanceError(
            f"{what} are {count:,.0f}, of which {MOST:,} are listed at most: take the star, or the incidence itself"
        )
