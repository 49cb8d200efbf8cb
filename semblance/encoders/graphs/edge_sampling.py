"""Edge sampling: the ends of an edge are drawn near each other, by edges drawn as often as their weight says.

    first order     p(i, j) = s(u_i . u_j)                one table: neighbours are near
    second order    p(j | i) ~ exp(c_j . u_i)             two tables: nodes with the same neighbours are near

Both by telling an edge from K drawn nodes (`skip_gram.py`). An edge comes from an alias table with probability w_ij / sum w
and counts as one, so that no step is multiplied by its weight: where weights differ by orders of magnitude, one step that
suits both the light and the heavy does not exist. `multiplied` is that other way: edges alike, steps times w_ij.

What varies: the order, or both set side by side (`Beside`); who is drawn; whether nodes of few neighbours are given those
of their neighbours. The second order tends to the matrix `implied(w, d^power, K)`.

Tang et al. 2015, LINE: Large-scale information network embedding, arXiv:1503.03578.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from semblance.encoders.graphs.cooccurrence import Factoriser, Factors
from semblance.encoders.graphs.skip_gram import Pace, Tables, fresh, learn_pairs
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.walks import alias_of, draw, moves, pick, share_out, stream

Array = NDArray[Any]
ORDERS = ("first", "second")
HELD = 1 << 20
"""Edges that are drawn at a time."""
BLOCK = 16 * 1024


@dataclass(frozen=True)
class EdgeSampling:
    """Vectors and contexts from drawn edges: a factoriser of `CoOccurrence`.

    samples: drawn edges for every edge. power: of a node's degree, its weight as a negative. multiplied: edges are drawn
    alike and steps multiplied by w_ij over the mean weight. enough: nodes with fewer neighbours are also joined to
    neighbours of these, heaviest first, 0: none are.
    """

    order: str = "second"
    negatives: int = 5
    samples: int = 100
    lr: float = 0.025
    power: float = 0.75
    multiplied: bool = False
    enough: int = 0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise unknown("order", self.order, ORDERS)

    def __call__(self, graph: Graph, dim: int, seed: int) -> Factors:
        """-> vectors and contexts, float32 [V, dim] each; of the first order the same."""
        rng = np.random.default_rng(seed)
        tables = fresh(graph.num_nodes, graph.num_nodes, dim, rng)
        if self.order == "first":
            tables = Tables(tables.vectors, tables.vectors, dim)
        source, target, weight = with_second_neighbours(weighted_edges(graph), graph, self.enough)
        if not weight.sum() > 0:
            return tables.found()
        of_edges, of_noise = (int(s) for s in rng.integers(2**62, size=2))
        drawn_by = alias_of(np.ones(len(weight)) if self.multiplied else weight)
        noise = np.bincount(target, weight, graph.num_nodes) ** self.power
        strength = weight / weight.mean() if self.multiplied else None
        total = self.samples * len(weight)
        for first in range(0, total, HELD):
            at = drawn(*drawn_by, min(HELD, total - first), of_edges, first)
            learn_pairs(
                tables,
                source[at],
                target[at],
                noise,
                negatives=self.negatives,
                pace=Pace(self.lr, done=first, total=total),
                seed=of_noise,
                first=first,
                strength=None if strength is None else strength[at],
            )
        if not np.isfinite(tables.vectors).all():
            raise SemblanceError(
                f"vectors of {self.order} order ran off at lr {self.lr:g}: give less, or draw by weight"
            )
        return tables.found()


@dataclass(frozen=True)
class Beside:
    """Several factorisers with an equal share of the columns each, their rows brought to length 1 and set side by side."""

    parts: tuple[Factoriser, ...]

    def __call__(self, graph: Graph, dim: int, seed: int) -> Factors:
        """-> vectors and contexts, float32 [V, dim] each."""
        widths = [len(part) for part in np.array_split(np.arange(dim), len(self.parts))]
        found = [part(graph, width, seed + i) for i, (part, width) in enumerate(zip(self.parts, widths, strict=True))]
        left, right = (np.concatenate([unit(tables[side]) for tables in found], 1) for side in (0, 1))
        return left, right


def unit(z: Array) -> Array:
    """Rows of length 1; zeros stay."""
    return np.asarray(z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-30), np.float32)


def weighted_edges(graph: Graph) -> tuple[Array, Array, Array]:
    """source and target, int32 [E], and weight, float32 [E], of every directed edge."""
    held = moves(graph)
    source = np.repeat(np.arange(graph.num_nodes, dtype=np.int32), np.diff(held.start))
    return source, held.index, held.weight if len(held.weight) else np.ones(len(source), np.float32)


def with_second_neighbours(edges: tuple[Array, Array, Array], graph: Graph, enough: int) -> tuple[Array, Array, Array]:
    """The edges, and from every node i with fewer than `enough` neighbours further ones to the neighbours j of its
    neighbours with weight sum_k w_ik w_kj / d_k, heaviest first, until it has enough. Of an undirected graph both ways."""
    source, target, weight = edges
    count = graph.num_nodes
    a = sparse.csr_array((weight.astype(np.float64), (source, target)), shape=(count, count))
    lacks = np.maximum(enough - np.diff(a.indptr), 0)
    low = np.flatnonzero(lacks)
    if not len(low):
        return edges
    degree = np.asarray(a.sum(1)).ravel()
    through = sparse.diags_array(np.divide(1, degree, out=np.zeros(count), where=degree > 0))
    far = sparse.coo_array(a[low] @ through @ a)
    i, j, w = low[far.row].astype(np.int32), far.col.astype(np.int32), far.data
    new = (i != j) & ~np.isin(i.astype(np.int64) * count + j, source.astype(np.int64) * count + target)
    i, j, w = i[new], j[new], w[new]
    order = np.lexsort((j, -w, i))
    i, j, w = i[order], j[order], w[order]
    kept = np.arange(len(i)) - np.searchsorted(i, i) < lacks[i]
    i, j, w = i[kept], j[kept], w[kept].astype(np.float32)
    if not graph.directed:
        # Where each of two nodes chose the other, the edge stands once each way.
        once = np.unique(np.concatenate([i.astype(np.int64) * count + j, j.astype(np.int64) * count + i]), True)[1]
        i, j, w = np.concatenate([i, j])[once], np.concatenate([j, i])[once], np.concatenate([w, w])[once]
    return np.concatenate([source, i]), np.concatenate([target, j]), np.concatenate([weight, w])


def drawn(share: Array, other: Array, count: int, seed: int, first: int = 0) -> Array:
    """`count` places of an alias table, int64; draw n comes from a stream counted from (seed, first + n)."""
    out = np.empty(count, np.int64)
    key = np.uint64(seed % 2**63)
    share_out(lambda low, high: _drawn(share, other, key, first, out, low, high), count, BLOCK)
    return out


@njit(cache=True, nogil=True)
def _drawn(share, other, key, first, out, low, high):  # type: ignore[no-untyped-def]
    for n in range(low, high):
        bits, _ = draw(stream(key, first + n))
        out[n] = pick(bits, share, other, 0, len(share))
