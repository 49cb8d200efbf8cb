"""Substructures: a graph as a bag of pieces that overlap, each a graph of its own.

    patches    the nodes in `count` blocks (data/neighbour_samples.py), each with the nodes within `hops` of it: for hops of
               1 or more every edge lies in a patch
    shared     what a node is, as the mean over the pieces it is in: how pieces exchange

Any message passing runs inside all pieces at once, for together they are one graph. Where a block begins is drawn: in
training anew at every pass, on the graph without some of its edges; else counted from (seed, a node's place in its graph),
so that a graph is cut the same whoever is with it. Reference: He et al. 2023, arXiv:2212.13350.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from semblance.data.neighbour_samples import grown
from semblance.encoders.graphs.drawn import places
from semblance.geometry.graph import Graph


@dataclass(frozen=True, eq=False)
class Pieces:
    """graph: all pieces, `member` the piece of every row; node int64 [R]: which node a row is; home int64 [V]: the piece
    in whose block a node is; owner, place int64 [pieces]: the graph of a piece, and its number within it."""

    graph: Graph
    node: Tensor
    home: Tensor
    owner: Tensor
    place: Tensor

    @property
    def count(self) -> int:
        """Pieces."""
        return len(self.owner)

    def shared(self, x: Tensor) -> Tensor:
        """[R, C] -> [R, C]: every row the mean over all rows of its node."""
        copies = torch.bincount(self.node, minlength=len(self.home)).clamp(min=1).to(x)
        total = x.new_zeros(len(self.home), x.shape[1]).index_add(0, self.node, x)
        return (total / copies[:, None])[self.node]

    def overlaps(self, graphs: int, most: int) -> Tensor:
        """float32 [graphs, most, most]: how many nodes two pieces of a graph share; with itself, how many it has."""
        piece, node = self.graph.member.numpy(), self.node.numpy()
        order = np.argsort(node, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=len(self.home)))])
        found = np.zeros((graphs, most, most), np.float32)
        _meet(start, piece[order], self.owner.numpy(), self.place.numpy(), found)
        return torch.from_numpy(found)


def patches(
    graph: Graph, count: int, hops: int = 1, anew: bool = False, drop: float = 0.0, seed: int = 0
) -> tuple[Pieces, int]:
    """The patches of every graph, `count` of each or as many as it has nodes, and the number of graphs. anew: drawn from
    torch's stream, blocks growing over all edges but a share `drop`."""
    member, graphs = _members(graph)
    sizes = np.bincount(member, minlength=graphs)
    if anew:
        key = torch.rand(graph.num_nodes).numpy()
        over = graph.with_edges(torch.rand(graph.num_edges) >= drop) if drop else graph
    else:
        place, _ = places(graph)
        key, over = np.random.default_rng(seed).random(int(place.max(initial=-1)) + 1)[place], graph
    order = np.lexsort([key, member])  # graph by graph, at random within
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = rank < count
    first = order[chosen]
    block = grown(over, first, member) if len(first) else np.zeros(0, np.int64)
    start, node = _around(graph, block, len(first), hops)
    rows = graph.rows()
    ends, edges = _between(rows.start, rows.index, rows.order, start, node)
    held = {n: v[edges] for n in ("weight", "kind", "edge_x") if (v := getattr(graph, n)) is not None}
    piece = Graph(
        torch.from_numpy(ends),
        len(node),
        directed=graph.directed,
        member=torch.from_numpy(np.repeat(np.arange(len(first)), np.diff(start))),
        num_graphs=len(first),
        **held,
    )
    numbers = (node, block, member[first], rank[chosen])
    return Pieces(piece, *(torch.from_numpy(np.asarray(n, np.int64)) for n in numbers)), graphs


def _members(graph: Graph) -> tuple[np.ndarray, int]:
    if graph.member is None:
        return np.zeros(graph.num_nodes, np.int64), 1
    return graph.member.numpy(), graph.num_graphs


def _around(graph: Graph, block: np.ndarray, count: int, hops: int) -> tuple[np.ndarray, np.ndarray]:
    """The nodes within so many hops of every block, whatever the direction: start [count + 1], node [R] ascending."""
    size = max(graph.num_nodes, 1)
    source, target = graph.edge_index.numpy()
    known = np.unique(block * size + np.arange(graph.num_nodes))
    for _ in range(hops):
        inside = np.stack(np.divmod(known, size))
        order = np.argsort(inside[1], kind="stable")
        piece = inside[0][order]
        start = np.concatenate([[0], np.cumsum(np.bincount(inside[1], minlength=graph.num_nodes))])
        found = [known]
        for here, there in ((source, target), (target, source)):
            many = np.diff(start)[here]
            at = np.repeat(start[here] - np.cumsum(many) + many, many) + np.arange(many.sum())
            found.append(piece[at] * size + np.repeat(there, many))
        known = np.unique(np.concatenate(found))
    of, node = np.divmod(known, size)
    return np.concatenate([[0], np.cumsum(np.bincount(of, minlength=count))]), node


@njit(cache=True, nogil=True)
def _between(start, index, order, first, node):  # type: ignore[no-untyped-def]
    # The edges within every piece, between rows; those of a node's row that lead from the same piece.
    row = np.full(len(start) - 1, np.int64(-1))
    most = 0
    for v in node:
        most += start[v + 1] - start[v]
    ends, edges = np.empty((2, most), np.int64), np.empty(most, np.int64)
    used = 0
    for b in range(len(first) - 1):
        for r in range(first[b], first[b + 1]):
            row[node[r]] = r
        for r in range(first[b], first[b + 1]):
            for p in range(start[node[r]], start[node[r] + 1]):
                if row[index[p]] >= first[b]:
                    ends[0, used], ends[1, used], edges[used] = row[index[p]], r, order[p]
                    used += 1
    return ends[:, :used].copy(), edges[:used].copy()


@njit(cache=True, nogil=True)
def _meet(start, piece, owner, place, found):  # type: ignore[no-untyped-def]
    for v in range(len(start) - 1):
        for p in range(start[v], start[v + 1]):
            for q in range(start[v], start[v + 1]):
                found[owner[piece[p]], place[piece[p]], place[piece[q]]] += 1
