"""Filter graph: a walk over a neighbour graph that measures only what passes a filter, whatever the filter is.

The graph is the ground floor of an HNSW that was built without knowing any filter, twice as dense as usual. A step takes
the nearest candidate and looks at those of its neighbours that pass; where these are few, at the neighbours of all its
neighbours too (two hops bridge what does not pass). Since the passing items may lie anywhere, and in several places, the
walk starts from `beam` of them drawn at random: filters that pass no more than that are answered exactly.

This is the search of ACORN-1 (Patel et al. 2024, arXiv:2403.04871) with drawn starts in place of upper floors, over links
that faiss made; nothing is pruned or added with filters in mind. Euclidean distances.
"""

from __future__ import annotations

from typing import Any

import faiss as untyped
import numba
import numpy as np
from numpy.typing import NDArray

from semblance.memory.base_indexes import Floats, Graph, Ints

faiss: Any = untyped  # its stubs know few of its names
FEW = 16
"""Passing neighbours below which a step looks two hops far."""
MOST = 48
"""Items that a step of two hops measures at most."""


def ground_links(graph: Graph) -> NDArray[np.int32]:
    """The neighbours [n, 2 M] of every item on the ground floor of an HNSW, -1 where there are fewer."""
    hnsw = graph.index.hnsw
    every = faiss.vector_to_array(hnsw.neighbors)
    starts = faiss.vector_to_array(hnsw.offsets)[:-1].astype(np.int64)
    width = int(faiss.vector_to_array(hnsw.cum_nneighbor_per_level)[1])
    links: NDArray[np.int32] = every[starts[:, None] + np.arange(width)].astype(np.int32)
    return links


class FilterGraph:
    """Vectors [n, d] and their links [n, m]."""

    def __init__(self, vectors: Floats, links: NDArray[np.int32]):
        self.vectors, self.links = np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(links, np.int32)
        self.evaluations = 0
        self._seen = np.zeros(len(vectors), np.int64)
        self._walks = 0

    def search(
        self, query: Floats, k: int, passing: NDArray[np.bool_], beam: int, rng: np.random.Generator, starts: int = 0
    ) -> tuple[Floats, Ints]:
        """One query [d] -> at most k distances and positions, nearest first, all of them passing. `starts`: so many (0: as
        many as the beam)."""
        at = np.flatnonzero(passing)
        if not len(at):
            return np.empty(0, np.float32), np.empty(0, np.int64)
        beam = max(beam, k)
        first = at if len(at) <= beam else at[rng.integers(0, len(at), starts or beam)]
        self._walks += 1
        query = np.ascontiguousarray(query, np.float32)
        square, near, measured = _walk(
            self.vectors, self.links, passing, first, query, beam, self._seen, self._walks, FEW, MOST
        )
        self.evaluations += measured
        return np.sqrt(square[:k]), near[:k]


@numba.njit(cache=True, fastmath=True)
def _square(vectors, i, query):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for j in range(len(query)):
        total += (vectors[i, j] - query[j]) ** 2
    return total


@numba.njit(cache=True)
def _walk(vectors, links, passing, starts, query, beam, seen, now, few, most):  # type: ignore[no-untyped-def]
    """Squares and positions of the nearest that were met, at most `beam`, nearest first; and how many were measured."""
    squares, near = np.empty(beam + 1, np.float32), np.empty(beam + 1, np.int64)  # in order; the last place is spare
    opened = np.zeros(beam + 1, np.bool_)
    held = measured = 0
    fresh = np.empty(max(most, links.shape[1]) + len(starts), np.int64)
    count = 0
    for i in starts:
        if seen[i] != now:
            seen[i] = now
            fresh[count] = i
            count += 1
    while True:
        first = beam
        for index in range(count):
            square = _square(vectors, fresh[index], query)
            measured += 1
            if held == beam and square >= squares[held - 1]:
                continue
            place = held
            while place > 0 and squares[place - 1] > square:
                squares[place], near[place], opened[place] = squares[place - 1], near[place - 1], opened[place - 1]
                place -= 1
            squares[place], near[place], opened[place] = square, fresh[index], False
            held = min(held + 1, beam)
        for place in range(held):
            if not opened[place]:
                first = place
                break
        if first == beam:
            return squares[:held], near[:held], measured
        opened[first] = True
        here, count, allowed = near[first], 0, 0
        for j in links[here]:
            if j >= 0 and passing[j]:
                allowed += 1
                if seen[j] != now:
                    seen[j] = now
                    fresh[count] = j
                    count += 1
        if allowed < few:
            for j in links[here]:
                if j < 0:
                    continue
                for far in links[j]:
                    if far >= 0 and count < most and passing[far] and seen[far] != now:
                        seen[far] = now
                        fresh[count] = far
                        count += 1
