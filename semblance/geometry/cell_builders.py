"""Cell complexes of what people have: graphs with their short cycles, meshes, cliques, simplices, cubical grids.

    of_polygons    faces as cycles of vertices; edges run from the lower to the higher vertex
    of_graph       a graph with a face on every chordless cycle of at most `longest` edges
    of_simplices   oriented by the order in which their vertices are given; missing faces are added
    of_cliques     every clique of k + 1 nodes a simplex
    product        cells are pairs of cells:  d(s x t) = ds x t + (-1)^dim(s) s x dt
    grid           squares, cubes, ... : a product of paths and circles

Faces on the rings of a graph: Bodnar et al. 2021, arXiv:2106.12575.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from semblance.errors import SemblanceError
from semblance.geometry.cells import CellComplex
from semblance.geometry.graph import Graph


def of_polygons(polygons: Sequence[Any], num_nodes: int | None = None, edges: Any = None) -> CellComplex:
    """Faces as cycles of three or more vertices (an array [n, c], or a list of sequences), and edges [2, E] that border
    none. A face is oriented as its cycle runs."""
    cycles = [np.asarray(p, np.int64) for p in polygons]
    for at, cycle in enumerate(cycles):
        if len(cycle) < 3 or len(np.unique(cycle)) < len(cycle):
            raise SemblanceError(
                f"polygon {at} is {cycle.tolist()}: a face runs through three or more different vertices"
            )
    sizes = np.array([len(c) for c in cycles], np.int64)
    run = np.concatenate([np.empty(0, np.int64), *cycles])
    after = np.concatenate([np.empty(0, np.int64), *(np.roll(c, -1) for c in cycles)])
    more = np.empty((2, 0), np.int64) if edges is None else np.asarray(edges, np.int64)
    count = _count(num_nodes, run, more)
    low, high = np.minimum(run, after), np.maximum(run, after)
    given = np.sort(more[:, more[0] != more[1]], axis=0)
    keys = np.unique(np.concatenate([low * count + high, given[0] * count + given[1]]))
    which = np.searchsorted(keys, low * count + high)
    sign = np.where(run < after, 1.0, -1.0)
    face = np.repeat(np.arange(len(cycles)), sizes)
    second = sparse.csc_array((sign, (which, face)), shape=(len(keys), len(cycles)))
    return CellComplex.of_boundaries([_ends(keys // count, keys % count, count), second])


def of_graph(graph: Graph, longest: int = 6) -> CellComplex:
    """Nodes, undirected edges (once, without loops) and a face on every chordless cycle of 3 to `longest` edges."""
    if longest < 3:
        raise SemblanceError(f"longest is {longest}, but a cycle has three edges or more")
    pairs = _pairs(graph)
    both = np.concatenate([pairs, pairs[::-1]], 1)
    rows = sparse.csr_array((np.ones(both.shape[1]), both), shape=(graph.num_nodes,) * 2)
    rows.sort_indices()
    start, flat = _chordless(rows.indptr.astype(np.int64), rows.indices.astype(np.int64), longest)
    cycles = np.split(flat, start[1:-1]) if len(start) > 1 else []
    return of_polygons(cycles, graph.num_nodes, pairs)


def of_simplices(simplices: Sequence[Any], num_nodes: int | None = None) -> CellComplex:
    """Lists of simplices, each an array [n, k + 1] of vertices (k may differ between the lists). The order of a simplex's
    vertices is its orientation; a face that is not in the lists is added, its vertices ascending."""
    given = [np.asarray(s, np.int64) for s in simplices]
    for s in given:
        if s.ndim != 2 or (np.diff(np.sort(s, 1), axis=1) == 0).any():
            raise SemblanceError("simplices come as arrays [n, k + 1] of different vertices, one array a dimension")
    top = max((s.shape[1] - 1 for s in given), default=0)
    flat = np.concatenate([np.empty(0, np.int64), *(s.ravel() for s in given)])
    count = _count(num_nodes, flat, np.empty((2, 0), np.int64))
    boundaries: list[Any] = []
    cells = _distinct(np.concatenate([np.empty((0, top + 1), np.int64), *(s for s in given if s.shape[1] == top + 1)]))
    for k in range(top, 0, -1):
        without = np.concatenate([np.delete(cells, i, 1) for i in range(k + 1)])
        mine = [s for s in given if s.shape[1] == k] if k > 1 else [np.arange(count)[:, None]]
        faces = _distinct(np.concatenate([*mine, np.unique(np.sort(without, 1), axis=0)]))
        order = np.lexsort(np.sort(faces, 1).T[::-1])
        place = _find(np.sort(faces, 1)[order], np.sort(without, 1))
        turn = np.repeat((-1.0) ** np.arange(k + 1), len(cells))
        sign = turn * _parity(without) * _parity(faces)[order][place]
        at = order[place], np.tile(np.arange(len(cells)), k + 1)
        boundaries.insert(0, sparse.csc_array((sign, at), shape=(len(faces), len(cells))))
        cells = faces
    return CellComplex.of_boundaries(boundaries, count)


def of_cliques(graph: Graph, top: int = 2) -> CellComplex:
    """Every clique of up to `top` + 1 nodes is a simplex, its vertices ascending."""
    pairs = _pairs(graph)
    rows = sparse.csr_array((np.ones(pairs.shape[1]), pairs), shape=(graph.num_nodes,) * 2)
    rows.sort_indices()
    keys = pairs[0] * graph.num_nodes + pairs[1]
    found = [pairs.T]
    for _ in range(1, top):
        cliques = found[-1]
        # A clique is extended by the higher neighbours of its highest node that all its other nodes know too.
        begin, degree = rows.indptr[cliques[:, -1]], np.diff(rows.indptr)[cliques[:, -1]]
        within = np.arange(degree.sum()) - np.repeat(np.cumsum(degree) - degree, degree)
        new = rows.indices[np.repeat(begin, degree) + within].astype(np.int64)
        base = np.repeat(cliques, degree, axis=0)
        known = np.isin(base[:, :-1] * graph.num_nodes + new[:, None], keys).all(1)
        found.append(np.concatenate([base[known], new[known, None]], 1))
    return of_simplices(found, graph.num_nodes)


def product(a: CellComplex, b: CellComplex) -> CellComplex:
    """Cells of dimension k are the pairs of an i-cell of a and a (k - i)-cell of b, i ascending, those of b quickest."""
    top = a.dim + b.dim
    blocks = [[(i, k - i) for i in range(k + 1) if i <= a.dim and k - i <= b.dim] for k in range(top + 1)]
    boundaries = []
    for k in range(1, top + 1):
        below = [a.size(i) * b.size(j) for i, j in blocks[k - 1]]
        own = [a.size(i) * b.size(j) for i, j in blocks[k]]
        parts: list[list[Any]] = [[sparse.csc_array((rows, columns)) for columns in own] for rows in below]
        for c, (i, j) in enumerate(blocks[k]):
            if i:
                parts[blocks[k - 1].index((i - 1, j))][c] = sparse.kron(a.matrix(i), sparse.eye_array(b.size(j)))
            if j:
                turned = (-1) ** i * sparse.kron(sparse.eye_array(a.size(i)), b.matrix(j))
                parts[blocks[k - 1].index((i, j - 1))][c] = turned
        boundaries.append(sparse.block_array(parts, format="csc"))
    return CellComplex.of_boundaries(boundaries, a.size(0) * b.size(0))


def grid(shape: Sequence[int], closed: Sequence[bool] | None = None) -> CellComplex:
    """A cubical grid of `shape` cells along each axis, whose ends are joined along the `closed` axes (two: a torus)."""
    round_ = (False,) * len(shape) if closed is None else tuple(closed)
    if not shape or min(shape) < 1 or len(round_) != len(shape):
        raise SemblanceError(
            f"a grid of shape {tuple(shape)}, closed {round_}: give one positive number and one flag an axis"
        )
    found: CellComplex | None = None
    for cells, close in zip(shape, round_, strict=True):
        nodes = cells if close else cells + 1
        low = np.arange(cells)
        line = CellComplex.of_boundaries([_ends(low, (low + 1) % nodes, nodes)])
        found = line if found is None else product(found, line)
    assert found is not None
    return found


def _ends(source: np.ndarray, target: np.ndarray, count: int) -> sparse.csc_array:
    """B_1: -1 where an edge starts, +1 where it ends."""
    edges = np.arange(len(source))
    values = np.concatenate([-np.ones(len(source)), np.ones(len(source))])
    at = np.concatenate([source, target]), np.concatenate([edges, edges])
    return sparse.csc_array((values, at), shape=(count, len(source)))


def _pairs(graph: Graph) -> np.ndarray:
    """int64 [2, E]: every pair of linked nodes once, the lower first, ascending; loops are left out."""
    ends = np.sort(graph.edge_index.cpu().numpy(), axis=0)
    keys = np.unique(ends[0, ends[0] != ends[1]] * graph.num_nodes + ends[1, ends[0] != ends[1]])
    return np.stack([keys // max(graph.num_nodes, 1), keys % max(graph.num_nodes, 1)])


def _count(num_nodes: int | None, run: np.ndarray, edges: np.ndarray) -> int:
    every = np.concatenate([run, edges.ravel()])
    if len(every) and every.min() < 0:
        raise SemblanceError(f"a vertex has the number {every.min()}: vertices count from 0")
    most = int(every.max()) + 1 if len(every) else 0
    if num_nodes is not None and num_nodes < most:
        raise SemblanceError(f"a cell names vertex {most - 1}, but there are {num_nodes} vertices: count from 0")
    return most if num_nodes is None else num_nodes


def _distinct(cells: np.ndarray) -> np.ndarray:
    """[n, k + 1] -> each set of vertices once, in its first mention's orientation and order of appearance."""
    _, first = np.unique(np.sort(cells, 1), axis=0, return_index=True)
    return cells[np.sort(first)]


def _find(ordered: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions of the rows of `wanted` among the rows of `ordered`, which ascend and hold them all."""
    _, inverse = np.unique(np.concatenate([ordered, wanted]), axis=0, return_inverse=True)
    return inverse.reshape(-1)[len(ordered) :]


def _parity(cells: np.ndarray) -> np.ndarray:
    """[n, k] -> +1 where the vertices stand in an even order, else -1."""
    odd = np.zeros(len(cells), np.int64)
    for i, j in combinations(range(cells.shape[1]), 2):
        odd += cells[:, i] > cells[:, j]
    return 1.0 - 2.0 * (odd % 2)


@njit(cache=True, nogil=True)
def _chordless(start, index, longest):  # type: ignore[no-untyped-def]
    """Every induced cycle of 3 to `longest` nodes once, from its lowest node towards the lower of its neighbours."""
    count = len(start) - 1
    begin, ends, flat, used = np.zeros(64, np.int64), 0, np.empty(256, np.int64), 0
    near = np.zeros(count, np.int64)  # how many nodes of the path are neighbours
    first, on = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    path, place = np.empty(longest, np.int64), np.empty(longest, np.int64)
    for s in range(count):
        for p in range(start[s], start[s + 1]):
            first[index[p]] = True
        path[0], place[0], length = s, start[s], 1
        on[s] = True
        while length > 0:
            v = path[length - 1]
            if place[length - 1] == start[v + 1]:
                length -= 1
                on[v] = False
                if length > 0:
                    for p in range(start[v], start[v + 1]):
                        near[index[p]] -= 1
                continue
            w = index[place[length - 1]]
            place[length - 1] += 1
            if w <= s or on[w]:
                continue
            if length > 1 and first[w]:
                # w closes the cycle: it must know the last node and the first (not counted in `near`), and no other.
                if near[w] == 1 and path[1] < w:
                    if ends + 2 > len(begin):
                        begin = np.concatenate((begin, np.empty(len(begin), np.int64)))
                    if used + longest > len(flat):
                        flat = np.concatenate((flat, np.empty(len(flat) + longest, np.int64)))
                    for i in range(length):
                        flat[used + i] = path[i]
                    flat[used + length] = w
                    used += length + 1
                    ends += 1
                    begin[ends] = used
                continue
            if (length > 1 and near[w] != 1) or length + 1 >= longest:
                continue
            path[length], place[length] = w, start[w]
            length += 1
            on[w] = True
            for p in range(start[w], start[w + 1]):
                near[index[p]] += 1
        for p in range(start[s], start[s + 1]):
            first[index[p]] = False
    return begin[: ends + 1].copy(), flat[:used].copy()
