"""Link prediction: edges that are hidden, and pairs without an edge to tell them from.

hide_edges     a share of the pairs, drawn uniformly, with all their edges in both directions; as many negatives
hide_latest    the last edges in time, where the question is what comes next
non_edges      pairs drawn uniformly among all that have no edge and are no self-loop, each once
connected      the edges of a random spanning forest stay, so no component falls apart
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

from semblance.data.edges import distinct
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

LISTED = 1 << 22
"""Pairs up to which the complement of a graph is listed rather than drawn from by rejection."""


class Hidden(NamedTuple):
    """The graph without the hidden edges; hidden pairs and pairs without an edge, int64 [2, m] each. Of an undirected graph
    a pair stands once, the lower node first."""

    rest: Graph
    positives: Tensor
    negatives: Tensor


def hide_edges(graph: Graph, share: float = 0.1, seed: int = 0, connected: bool = False) -> Hidden:
    """Hide a share of the pairs (self-loops stay). Errors: a share outside 0 to 1, too few edges beyond the forest, too few
    non-edges."""
    if not 0 < share < 1:
        raise SemblanceError(f"the share of hidden edges is {share}: give a number between 0 and 1, such as 0.1")
    chance = np.random.default_rng(seed)
    keys = _keys(graph)
    pairs = distinct(keys[keys >= 0])
    count = round(share * len(pairs))
    if not count:
        raise SemblanceError(f"a share of {share} hides none of {len(pairs):,} edges: give more")
    free = np.setdiff1d(pairs, _forest(graph, pairs, chance)) if connected else pairs
    if count > len(free):
        raise SemblanceError(
            f"a share of {share} hides {count:,} edges, and {len(free):,} can go while the rest stays connected: "
            f"give a share of at most {len(free) / len(pairs):.2f}, or connected=False"
        )
    hidden = np.sort(chance.choice(free, count, replace=False))
    return _parted(graph, np.isin(keys, hidden), hidden, chance)


def hide_latest(graph: Graph, share: float = 0.1, seed: int = 0) -> Hidden:
    """Hide the last share of the edges in time; a pair that repeats among them is asked once. Error: no times."""
    if graph.time is None:
        raise SemblanceError("the graph has no times, so no edge is the latest: hide_edges draws them")
    if not 0 < share < 1:
        raise SemblanceError(f"the share of hidden edges is {share}: give a number between 0 and 1, such as 0.1")
    late = np.zeros(graph.num_edges, bool)
    order = np.argsort(graph.time.numpy(), kind="stable")
    late[order[graph.num_edges - round(share * graph.num_edges) :]] = True
    keys = _keys(graph)
    if not graph.directed:  # both directions of an edge happen at once, and the border may fall between them
        late &= graph.time.numpy() > graph.time.numpy()[order[~late[order]][-1]] if (~late).any() else late
    hidden = distinct(keys[late & (keys >= 0)])
    if not len(hidden):
        raise SemblanceError(f"a share of {share} hides no edge: give more")
    return _parted(graph, late, hidden, np.random.default_rng(seed))


def non_edges(graph: Graph, count: int, seed: int | np.random.Generator = 0) -> Tensor:
    """int64 [2, count]: pairs of different nodes without an edge, each once, drawn uniformly."""
    chance = np.random.default_rng(seed)
    keys = _keys(graph)
    known, size = distinct(keys[keys >= 0]), graph.num_nodes
    possible = size * (size - 1) // (1 if graph.directed else 2)
    if count > possible - len(known):
        raise SemblanceError(
            f"the graph has {possible - len(known):,} pairs without an edge, and {count:,} are asked for"
        )
    if size * size <= LISTED:
        low, high = np.divmod(np.arange(size * size), size)
        free = np.setdiff1d(
            np.flatnonzero(low < high if not graph.directed else low != high), known, assume_unique=True
        )
        found = chance.choice(free, count, replace=False)
    else:
        found = np.empty(0, np.int64)
        while len(found) < count:
            ends = chance.integers(0, size, (2, 2 * (count - len(found)) + 16))
            ends = ends[:, ends[0] != ends[1]]
            drawn = _key_of(ends, size, graph.directed)
            drawn = drawn[~np.isin(drawn, known)]
            both = np.concatenate([found, drawn])
            _, first = np.unique(both, return_index=True)
            found = both[np.sort(first)]  # in the order drawn, so that cutting the end off stays uniform
        found = found[:count]
    return _pairs(np.sort(found), size)


def _parted(graph: Graph, away: np.ndarray, hidden: np.ndarray, chance: np.random.Generator) -> Hidden:
    rest = graph.with_edges(torch.from_numpy(~away))
    return Hidden(rest, _pairs(hidden, graph.num_nodes), non_edges(graph, len(hidden), chance))


def _keys(graph: Graph) -> np.ndarray:
    """A number for the pair of every edge, -1 for a self-loop."""
    ends = graph.edge_index.numpy()
    return np.where(ends[0] == ends[1], -1, _key_of(ends, graph.num_nodes, graph.directed))


def _key_of(ends: np.ndarray, size: int, directed: bool) -> np.ndarray:
    if directed:
        return ends[0] * size + ends[1]
    return np.minimum(ends[0], ends[1]) * size + np.maximum(ends[0], ends[1])


def _pairs(keys: np.ndarray, size: int) -> Tensor:
    return torch.from_numpy(np.stack(np.divmod(keys, size)))


def _forest(graph: Graph, pairs: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Numbers of the pairs of a random spanning forest; of two opposite edges of a directed graph one at least is in."""
    size = graph.num_nodes
    low, high = np.divmod(pairs, size)
    undirected = distinct(np.minimum(low, high) * size + np.maximum(low, high))
    a, b = np.divmod(undirected, size)
    lengths = 1 + chance.random(len(undirected))
    tree = minimum_spanning_tree(csr_array((lengths, (a, b)), shape=(size, size))).tocoo()
    inside = np.minimum(tree.row, tree.col).astype(np.int64) * size + np.maximum(tree.row, tree.col)
    if not graph.directed:
        return inside
    turned = (inside % size) * size + inside // size
    return np.where(np.isin(inside, pairs), inside, turned)
