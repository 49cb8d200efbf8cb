"""Overlap: for many pairs of nodes at once, who is a neighbour of both, or of one of them.

    BOTH  u in N(i) and N(j)        FIRST  u in N(i) only        SECOND  u in N(j) only

The rows of i and j ascend, so one pass over both finds the set: sparse row intersection, without a matrix. Neighbours are
those of either direction, each counted once; i and j themselves are in no set, so that an edge between them adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from semblance.geometry.graph import Graph, Rows, grouped
from semblance.geometry.products import spread

BOTH, FIRST, SECOND = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Overlap:
    """m sets, ready for compiled code: the members of set p are node[start[p] : start[p + 1]], ascending.

    start: int64 [m + 1]; node: int32 [T]; side: int8 [T], BOTH, FIRST or SECOND.
    """

    start: np.ndarray
    node: np.ndarray
    side: np.ndarray

    def owner(self) -> Tensor:
        """int64 [T]: the set of every member."""
        return torch.repeat_interleave(torch.arange(len(self.start) - 1), torch.from_numpy(np.diff(self.start)))

    def summed(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """x [V, C], weight [T] or None (ones) -> [m, C]: every set's (weighted) sum over its members."""
        rows = Rows(self.start, self.node, np.arange(len(self.node)))
        columns = grouped(self.owner(), torch.from_numpy(self.node), len(x))
        return spread(rows, columns, x, weight)


def overlap(near: Rows, one: Tensor, two: Tensor, union: bool = False) -> Overlap:
    """The sets of the pairs (one[p], two[p]), int64 [m] each: common neighbours, or with `union` all of either's."""
    i, j = one.numpy(), two.numpy()
    start = np.zeros(len(i) + 1, np.int64)
    nobody, nowhere = np.empty(0, np.int32), np.empty(0, np.int8)
    _merge(near.start, near.index, i, j, union, start, nobody, nowhere, True)
    start = np.cumsum(start)
    node, side = np.empty(start[-1], np.int32), np.empty(start[-1], np.int8)
    _merge(near.start, near.index, i, j, union, start, node, side, False)
    return Overlap(start, node, side)


def neighbours_of(graph: Graph) -> Rows:
    """Who is linked to whom in either direction, without self-loops; found once and kept with the graph."""
    return graph.once("neighbours", lambda: graph.undirected().without_loops().rows())


@njit(cache=True, nogil=True)
def _merge(start, index, one, two, union, at, node, side, counting):  # type: ignore[no-untyped-def]
    for m in range(len(one)):
        i, j = one[m], two[m]
        p, q, end, stop = start[i], start[j], start[i + 1], start[j + 1]
        count = 0
        while (p < end and q < stop) or (union and (p < end or q < stop)):
            left = p < end and (q == stop or index[p] <= index[q])
            right = q < stop and (p == end or index[q] <= index[p])
            u = index[p] if left else index[q]
            while p < end and index[p] == u:  # repeated edges count once
                p += 1
            while q < stop and index[q] == u:
                q += 1
            if u in (i, j) or not (union or (left and right)):
                continue
            if not counting:
                node[at[m] + count] = u
                side[at[m] + count] = 0 if left and right else (1 if left else 2)
            count += 1
        if counting:
            at[m + 1] = count
