"""Orders of a graph's nodes, for what reads or writes a graph as rows: by its structure, so that equal graphs look alike.

    fiedler    by the eigenvector of the second least eigenvalue of D - A: parts that hang together stand together
    breadth    breadth first from the node of largest degree, neighbours by degree: links reach back a short way

Ties, and a graph with symmetries, are decided by number. Breadth first: You et al. 2018, GraphRNN, arXiv:1802.08773.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

from semblance.geometry.graph import Graph, ranges


def fiedler(adjacency: np.ndarray) -> np.ndarray:
    """bool or numbers [n, n], symmetric -> the order, int64 [n]."""
    degree = adjacency.sum(1)
    if len(adjacency) < 3:
        return np.argsort(-degree, kind="stable")
    side = np.linalg.eigh(np.diag(degree) - adjacency)[1][:, 1].round(9)
    # Of the two signs the one with the longer tail above 0: it does not depend on how nodes are numbered.
    return np.argsort(side if (side**3).sum() >= 0 else -side, kind="stable")


def breadth(adjacency: np.ndarray) -> np.ndarray:
    """bool or numbers [n, n], symmetric -> the order, int64 [n]."""
    degree = adjacency.sum(1)
    by_degree = np.argsort(-degree, kind="stable")
    order, seen = [], np.zeros(len(adjacency), bool)
    for start in by_degree:
        if seen[start]:
            continue
        queue = deque([start])
        seen[start] = True
        while queue:
            v = queue.popleft()
            order.append(v)
            fresh = by_degree[(adjacency[v, by_degree] != 0) & ~seen[by_degree]]
            seen[fresh] = True
            queue.extend(fresh)
    return np.array(order, np.int64)


ORDERS = {"fiedler": fiedler, "breadth": breadth}


def ordered(graph: Graph, order: str, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The graphs as matrices of `most` nodes each, in this order, what lies behind left out: adjacency float32 [n, most,
    most] without loops, sizes int64 [n]; and the place of every node in its graph's order, int64 [V]. Kept with the graph.
    """
    return graph.once(("ordered", order, most), lambda: _ordered(graph, order, most))


def _ordered(graph: Graph, order: str, most: int) -> tuple[Tensor, Tensor, Tensor]:
    plain = graph.undirected().without_loops()
    member = np.zeros(graph.num_nodes, np.int64) if graph.member is None else graph.member.numpy()
    first = np.searchsorted(member, np.arange(graph.num_graphs + 1))
    rows = plain.rows()
    found = np.zeros((graph.num_graphs, most, most), np.float32)
    place = np.zeros(graph.num_nodes, np.int64)
    for number in range(graph.num_graphs):
        low, high = first[number], first[number + 1]
        matrix = np.zeros((high - low, high - low), np.float32)
        taken, counts = ranges(rows.start, np.arange(low, high))
        matrix[np.repeat(np.arange(high - low), counts), rows.index[taken] - low] = 1
        chosen = ORDERS[order](matrix)
        place[low + chosen] = np.arange(high - low)
        held = min(high - low, most)
        found[number, :held, :held] = matrix[np.ix_(chosen[:held], chosen[:held])]
    sizes = np.minimum(np.diff(first), most)
    return torch.from_numpy(found), torch.from_numpy(sizes), torch.from_numpy(place)


def graphs_of(adjacency: Tensor, sizes: Tensor) -> list[Graph]:
    """bool [n, N, N], of which the upper triangle counts, and sizes [n] -> undirected graphs."""
    made = []
    for matrix, size in zip(adjacency, sizes.tolist(), strict=True):
        ends = torch.nonzero(matrix[:size, :size].triu(1)).T
        made.append(Graph(torch.cat([ends, ends.flip(0)], 1), size))
    return made
