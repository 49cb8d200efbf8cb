"""Sheaves that are given: a table of restriction maps becomes a coboundary, and that a Laplacian.

    (delta x)_e = F_ue x_u - F_ve x_v      for every edge e = (u, v); F_ue maps u's stalk to the edge's

Friend and foe are the maps +1 and -1 at the two ends; a relation that sees its ends unlike has two different maps; a
connection has the identity at one end and a rotation at the other. Stalks may differ in size, so delta is a ragged
block-sparse matrix. Sheaves that are learned: encoders/topology/sheaf.py.

Hansen & Gebhart 2020, Sheaf neural networks, arXiv:2012.06333.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import Laplacian, laplacian
from semblance.geometry.pairs import pairs_of

Map = np.ndarray


def coboundary(
    ends: Tensor, source: Sequence[Map] | np.ndarray, target: Sequence[Map] | np.ndarray, sizes: np.ndarray
) -> tuple[sp.csr_array, np.ndarray]:
    """delta of (delta x)_e = source_e x_u - target_e x_v for the edges (u, v) of ends [2, m], and where stalks start.

    Maps are [edge's stalk, node's stalk] each, an array [m, a, b] where all are alike; sizes: int64 [V], of the stalks.
    """
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    heights = np.array([len(one) for one in source], np.int64) if len(source) else np.empty(0, np.int64)
    first = np.concatenate([[0], np.cumsum(heights)])
    sides = [_placed(ends[0].numpy(), source, heights, first, sizes, start)]
    row, column, value = _placed(ends[1].numpy(), target, heights, first, sizes, start)
    sides.append((row, column, -value))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    return sp.csr_array((values, (rows, columns)), shape=(int(first[-1]), int(start[-1]))), start


def of_relations(
    graph: Graph, table: Mapping[int, tuple[Map, Map]], normalisation: str = "none", augmented: bool = False
) -> Laplacian:
    """A sheaf from a table: an edge of kind r has maps table[r] = (source's, target's). A directed graph may hold relations
    whose two maps differ; of an undirected one each pair counts once, and its maps have to be alike up to one sign."""
    if graph.kind is None:
        raise SemblanceError("a table of relations needs a graph whose edges have kinds: give Graph(kind=...)")
    flipped = {r for r, (a, b) in table.items() if not graph.directed and not _alike(a, b)}
    if flipped:
        raise SemblanceError(f"relation {min(flipped)} treats its ends unlike, and the graph is undirected: direct it")
    if graph.directed:
        ends, kind = graph.edge_index, graph.kind.numpy()
    else:
        pairs = pairs_of(graph)
        assert pairs.kind is not None
        ends, kind = torch.stack([pairs.low, pairs.high]), pairs.kind.numpy()
    lost = sorted(set(kind.tolist()) - set(table))
    if lost:
        raise unknown("relation in the table", lost[0], map(str, table))
    sizes = _sizes_from(graph.num_nodes, ends, kind, table)
    source, target = [np.atleast_2d(table[r][0]) for r in kind], [np.atleast_2d(table[r][1]) for r in kind]
    return sheaf_laplacian(ends, source, target, sizes, normalisation, augmented)


def _alike(a: Map, b: Map) -> bool:
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    return a.shape == b.shape and bool(np.array_equal(a, b) or np.array_equal(a, -b))


def _sizes_from(nodes: int, ends: Tensor, kind: np.ndarray, table: Mapping[int, tuple[Map, Map]]) -> np.ndarray:
    """Stalk sizes as the maps have them; a node without edges gets those of the smallest."""
    sizes = np.full(nodes, -1)
    for side in (0, 1):
        wide = {r: np.atleast_2d(maps[side]).shape[1] for r, maps in table.items()}
        for r, size in wide.items():
            mine = ends[side].numpy()[kind == r]
            torn = mine[(sizes[mine] >= 0) & (sizes[mine] != size)]
            if len(torn):
                raise SemblanceError(
                    f"node {torn[0]} has a stalk of {sizes[torn[0]]} and one of {size}: maps must agree"
                )
            sizes[mine] = size
    return np.where(sizes < 0, max(sizes[sizes >= 0].min(initial=1), 1), sizes)


def _placed(
    node: np.ndarray,
    maps: Sequence[Map] | np.ndarray,
    heights: np.ndarray,
    first: np.ndarray,
    sizes: np.ndarray,
    start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of one side's maps."""
    if not len(node):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    wide = sizes[node]
    wrong = [e for e, one in enumerate(maps) if one.shape != (heights[e], wide[e])]
    if wrong:
        e = wrong[0]
        raise SemblanceError(
            f"the map of node {node[e]} at edge {e} is {list(maps[e].shape)}, but it is [edge's stalk {heights[e]}, "
            f"node's stalk {wide[e]}]"
        )
    count = heights * wide
    edge = np.repeat(np.arange(len(node)), count)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    row = first[edge] + within // np.maximum(wide[edge], 1)
    column = start[node[edge]] + within % np.maximum(wide[edge], 1)
    return row, column, np.concatenate([np.asarray(one, np.float64).ravel() for one in maps])


def connection_laplacian(graph: Graph, transports: np.ndarray, normalisation: str = "block") -> Laplacian:
    """transports [m, d, d], orthogonal, one for each of `pairs_of(graph)`: from the higher end's frame to the lower's."""
    pairs = pairs_of(graph)
    size = transports.shape[1]
    same = np.broadcast_to(np.eye(size), transports.shape)
    sizes = np.full(graph.num_nodes, size)
    delta, start = coboundary(torch.stack([pairs.low, pairs.high]), same, transports, sizes)
    return laplacian(delta, start=start, normalisation=normalisation)


def sheaf_laplacian(
    ends: Tensor,
    source: Sequence[Map] | np.ndarray,
    target: Sequence[Map] | np.ndarray,
    sizes: np.ndarray,
    normalisation: str = "none",
    augmented: bool = False,
) -> Laplacian:
    """The Laplacian of given restriction maps: see `coboundary`."""
    delta, start = coboundary(ends, source, target, sizes)
    return laplacian(delta, start=start, normalisation=normalisation, augmented=augmented)
