"""Sets of nodes that are no hyperedges, of the sizes of some that are: what hyperedges are told from.

    size     nodes drawn uniformly: easy, since drawn nodes have little to do with each other
    motif    grown from two that share a hyperedge, by a random neighbour of a random member each time
    clique   a hyperedge with one of its nodes put away for one that shares hyperedges with all the others (or, where there
             is none, with as many as possible): the hardest

None of the sets is a hyperedge itself, unless every draw of some rounds was one. Patil, Sharma & Murty 2020, Negative
sampling for hyperlink prediction in networks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse

from semblance.errors import unknown
from semblance.geometry.hypergraph import Hypergraph

ROUNDS = 8


def negatives_of(hypergraph: Hypergraph, numbers: np.ndarray, how: str, rng: np.random.Generator) -> Hypergraph:
    """As many sets over the same nodes, each of the size of the hyperedge `numbers` [n] names."""
    if how not in NEGATIVES:
        raise unknown("way to draw negatives", how, NEGATIVES)
    codes = rng.integers(0, 1 << 63, hypergraph.num_nodes, dtype=np.uint64)
    known = np.unique(_codes(codes, hypergraph.node.numpy(), hypergraph.edge.numpy(), hypergraph.num_edges))
    sizes = hypergraph.by_edge().degree[numbers]
    node, edge = np.empty(0, np.int64), np.empty(0, np.int64)
    left = np.arange(len(numbers))
    for number in range(ROUNDS):
        drawn, owner = NEGATIVES[how](hypergraph, numbers[left], rng)
        real = np.isin(_codes(codes, drawn, owner, len(left)), known)
        if number == ROUNDS - 1:
            real[:] = False
        kept = ~real[owner]
        node, edge = np.concatenate([node, drawn[kept]]), np.concatenate([edge, left[owner[kept]]])
        left = left[real]
        if not len(left):
            break
    order = np.argsort(edge, kind="stable")
    assert np.array_equal(np.bincount(edge, minlength=len(numbers)), np.minimum(sizes, hypergraph.num_nodes))
    return Hypergraph(torch.from_numpy(node[order]), torch.from_numpy(edge[order]), hypergraph.num_nodes, len(numbers))


def _codes(codes: np.ndarray, node: np.ndarray, edge: np.ndarray, count: int) -> np.ndarray:
    """A number for every set, whatever the order of its members: the sum of theirs, modulo 2^64."""
    total = np.zeros(count, np.uint64)
    np.add.at(total, edge, codes[node])
    return total


def size_matched(
    hypergraph: Hypergraph, numbers: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and the sets they are of."""
    sizes = hypergraph.by_edge().degree[numbers]
    return _filled(np.empty(0, np.int64), np.empty(0, np.int64), sizes, hypergraph.num_nodes, rng)


def motif(hypergraph: Hypergraph, numbers: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All sets grow by one node at a time, together."""
    by_edge, by_node = hypergraph.by_edge(), hypergraph.by_node()
    sizes = by_edge.degree[numbers]
    start = hypergraph.node.numpy()[rng.integers(0, len(hypergraph.node), len(numbers))]
    width = int(sizes.max(initial=1))
    held = np.full((len(numbers), width), -1)
    held[:, 0] = start
    filled = np.ones(len(numbers), np.int64)
    for _ in range(ROUNDS * width):
        open_ = np.flatnonzero(filled < sizes)
        if not len(open_):
            break
        member = held[open_, (rng.random(len(open_)) * filled[open_]).astype(np.int64)]
        edge = by_node.index[_one_of(by_node.start, member, rng)]
        found = by_edge.index[_one_of(by_edge.start, edge, rng)]
        fresh = ~(held[open_] == found[:, None]).any(1)
        held[open_[fresh], filled[open_[fresh]]] = found[fresh]
        filled[open_[fresh]] += 1
    owner, place = np.nonzero(held >= 0)
    return _filled(held[owner, place], owner, sizes, hypergraph.num_nodes, rng)


def clique(hypergraph: Hypergraph, numbers: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One node of each hyperedge is put away for a neighbour of all the others."""
    by_edge = hypergraph.by_edge()
    sizes, place = by_edge.degree[numbers], by_edge.start[numbers]
    owner = np.repeat(np.arange(len(numbers)), sizes)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    node = by_edge.index[np.repeat(place, sizes) + within].astype(np.int64)
    away = within == (rng.random(len(numbers)) * sizes).astype(np.int64)[owner]
    shape = (hypergraph.num_nodes, hypergraph.num_edges)
    incidence = sparse.csr_array((np.ones(len(hypergraph.node)), (hypergraph.node, hypergraph.edge)), shape=shape)
    near = sparse.csr_array(incidence @ incidence.T)
    near.data[:] = 1
    stay = sparse.csr_array((np.ones((~away).sum()), (owner[~away], node[~away])), shape=(len(numbers), shape[0]))
    # Neighbours of most of those that stay, ties by lot; members, old ones too, cannot come back.
    shared = (stay @ near).toarray() + 0.5 * rng.random((len(numbers), shape[0]))
    shared[owner, node] = -1
    best = shared.argmax(1)
    possible = shared[np.arange(len(numbers)), best] >= 0
    node[away] = np.where(possible, best, node[away])
    return node, owner


def _one_of(start: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The position of a random entry of every row."""
    return start[rows] + (rng.random(len(rows)) * (start[rows + 1] - start[rows])).astype(np.int64)


def _filled(
    node: np.ndarray, owner: np.ndarray, sizes: np.ndarray, units: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sets that are short, filled up with nodes drawn uniformly, none twice."""
    sizes = np.minimum(sizes, units)
    key = owner * units + node
    while len(short := np.repeat(np.arange(len(sizes)), sizes - np.bincount(key // units, minlength=len(sizes)))):
        drawn = short * units + rng.integers(0, units, len(short))
        key = np.unique(np.concatenate([key, drawn]))  # what stands there already, or twice, is drawn again
    return key % units, key // units


NEGATIVES: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "size": size_matched,
    "motif": motif,
    "clique": clique,
}
