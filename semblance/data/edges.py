"""Edges as people have them -> a Graph whose every edge is checked.

undirected    each pair is given once (or both ways): it stands in both directions afterwards, a self-loop once
weight, sign  a negative weight is a sign: sign is -1 or 1, weight the magnitude, and their product what was given
time          int64 where whole, else float64; edges out of order are sorted, and that is said
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


class Built(NamedTuple):
    """A graph, and lines for the user on what was done to the edges."""

    graph: Graph
    notes: tuple[str, ...]


def build_graph(
    edge_index: Any,
    num_nodes: int,
    *,
    directed: bool = False,
    weight: Any = None,
    sign: Any = None,
    time: Any = None,
    kind: Any = None,
    edge_x: Any = None,
    member: np.ndarray | None = None,
    num_graphs: int = 1,
    what: str = "the graph",
) -> Built:
    """edge_index: [2, E] of whole numbers 0 .. num_nodes - 1; the rest: one value per edge. Columns of an undirected graph
    that name both ways of a pair already are left as they are where they are symmetric in all."""
    ends = checked_ends(edge_index, num_nodes, what)
    notes: list[str] = []
    columns = {
        "weight": _floats(weight, ends.shape[1], "weight", what),
        "sign": _floats(sign, ends.shape[1], "sign", what),
        "time": _times(time, ends.shape[1], what),
        "kind": None if kind is None else np.asarray(kind, np.int64),
        "edge_x": None if edge_x is None else np.ascontiguousarray(edge_x, np.float32),
    }
    columns["weight"], columns["sign"] = _signed(columns["weight"], columns["sign"], what)
    if (moments := columns["time"]) is not None and (moments[1:] < moments[:-1]).any():
        order = np.argsort(moments, kind="stable")
        ends = ends[:, order]
        columns = {name: None if v is None else v[order] for name, v in columns.items()}
        notes.append(
            f"{int((moments[1:] < moments[:-1]).sum()):,} timestamps were out of order: the edges are sorted by time"
        )
    held: dict[str, Tensor | None] = {n: None if v is None else torch.from_numpy(v) for n, v in columns.items()}
    graph = Graph(
        edge_index=torch.from_numpy(ends),
        num_nodes=num_nodes,
        directed=True,
        member=None if member is None else torch.from_numpy(np.ascontiguousarray(member, np.int64)),
        num_graphs=num_graphs,
        **held,
    )
    if not directed:
        graph, said = both_ways(graph)
        notes += said
    return Built(graph, tuple(notes))


def both_ways(graph: Graph) -> tuple[Graph, list[str]]:
    """Every edge in both directions, a self-loop once, and a line on what that took. A graph that has both already stays as
    it is. Repeats stay where each pair is always named the same way round; else a pair counts once."""
    ends = graph.edge_index
    alone = Graph(ends, graph.num_nodes)
    if ends.shape[1] and alone.is_symmetric():
        return replace(graph, directed=False, kept={}), []
    into, out = alone.rows(), alone.columns()
    if back := int(_answered(into.start, into.index, out.start, out.index)):
        said = f"{back:,} pairs are named in both directions and the others in one: each pair counts once, undirected"
        return graph.undirected(), [said]
    # A reverse edge follows its own, so that time never falls.
    both = torch.arange(graph.num_edges).repeat_interleave(torch.where(ends[0] == ends[1], 1, 2))
    twice = graph.with_edges(both)
    second = torch.cat([both.new_zeros(1, dtype=torch.bool), both[1:] == both[:-1]])[: len(both)]
    turned = torch.where(second, twice.edge_index.flip(0), twice.edge_index)
    return replace(twice, edge_index=turned, directed=False, kept={}), []


def checked_ends(edge_index: Any, num_nodes: int, what: str = "the graph") -> np.ndarray:
    """int64 [2, E], every end a node."""
    ends = np.asarray(edge_index)
    if ends.ndim != 2 or ends.shape[0] != 2:
        hint = ", so it is transposed: give edge_index.T" if ends.ndim == 2 and ends.shape[1] == 2 else ""
        raise SemblanceError(
            f"{what} has edge_index {list(ends.shape)}, and it is [2, E], sources over targets{hint or ': reshape it'}"
        )
    if ends.dtype.kind not in "iuf":
        raise SemblanceError(
            f"{what} has an edge_index of type {ends.dtype}: give whole numbers, positions of nodes from 0"
        )
    if ends.dtype.kind == "f":
        off = ~np.isfinite(ends) | (ends != np.floor(ends))
        if off.any():
            row, edge = np.argwhere(off)[0]
            raise SemblanceError(
                f"{what}: edge {edge} names node {ends[row, edge]}, not a whole number: give positions of nodes from 0"
            )
    ends = ends.astype(np.int64)
    if num_nodes == 0:
        raise SemblanceError(f"{what} has no nodes: give at least two nodes and an edge between them")
    off = (ends < 0) | (ends >= num_nodes)
    if off.any():
        row, edge = np.argwhere(off)[0]
        node = ends[row, edge]
        why = "nodes count from 0" if node < 0 else f"there are {num_nodes:,} nodes (0 to {num_nodes - 1})"
        raise SemblanceError(
            f"{what}: edge {edge} names node {node}, and {why}: correct the edge, or add the node's row"
        )
    return np.ascontiguousarray(ends)


def distinct(keys: np.ndarray) -> np.ndarray:
    """Ascending, each once. By sorting, which on tens of millions of numbers takes a tenth of np.unique's hashing."""
    ordered = np.sort(keys)
    return ordered[np.concatenate([np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]])]


def refuse_trivial(num_nodes: int, num_edges: int, what: str) -> None:
    """No nodes, one node or no edges: nothing is related to anything."""
    if num_nodes < 2:
        held = "no nodes" if num_nodes == 0 else "one node"
        raise SemblanceError(
            f"{what} has {held}, so nothing is related to anything: give at least two nodes and an edge"
        )
    if num_edges == 0:
        raise SemblanceError(
            f"{what} has {num_nodes:,} nodes and no edges: give the edges, or the features alone by --domain vectors"
        )


def _floats(values: Any, count: int, name: str, what: str) -> np.ndarray | None:
    if values is None:
        return None
    column = np.asarray(values)
    if column.dtype.kind not in "iufb" or column.shape != (count,):
        raise SemblanceError(
            f"{what} has {name} {list(column.shape)} of {column.dtype} for {count:,} edges: give one number per edge"
        )
    column = column.astype(np.float32)
    if not np.isfinite(column).all():
        edge = int(np.flatnonzero(~np.isfinite(column))[0])
        raise SemblanceError(
            f"{what}: edge {edge} has {name} {column[edge]}: give every edge a finite number, or drop it"
        )
    return column


def _times(values: Any, count: int, what: str) -> np.ndarray | None:
    if values is None:
        return None
    column = np.asarray(values)
    if column.dtype.kind == "M":  # seconds since 1970, to the millisecond
        if np.isnat(column).any():
            raise SemblanceError(
                f"{what}: edge {int(np.flatnonzero(np.isnat(column))[0])} has no time: fill it in or drop it"
            )
        column = column.astype("datetime64[ms]").astype(np.int64) / 1000
    if column.dtype.kind in "ui":
        column = column.astype(np.int64)
    elif column.dtype.kind == "f" and np.isfinite(column).all():
        whole = (column == np.floor(column)).all() and (np.abs(column) < 2**53).all()
        column = column.astype(np.int64 if whole else np.float64)
    else:
        bad = np.flatnonzero(~np.isfinite(column)) if column.dtype.kind == "f" else np.zeros(1, np.int64)
        raise SemblanceError(f"{what}: edge {bad[0]} has time {column[bad[0]]}: give every edge a number or a date")
    if column.shape != (count,):
        raise SemblanceError(f"{what} has {len(column):,} times for {count:,} edges: give one per edge")
    return column


def _signed(
    weight: np.ndarray | None, sign: np.ndarray | None, what: str
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Magnitudes and signs (-1 or 1). Of a weight that falls below 0 the sign is taken apart."""
    if sign is not None:
        if (sign == 0).any():
            edge = int(np.flatnonzero(sign == 0)[0])
            raise SemblanceError(
                f"{what}: edge {edge} has sign 0: give a positive or a negative number, or drop the edge"
            )
        weight = np.abs(sign) if weight is None and (np.abs(sign) != 1).any() else weight
        return None if weight is None else np.abs(weight), np.sign(sign)
    if weight is not None and (weight < 0).any():
        return np.abs(weight), np.where(weight < 0, np.float32(-1), np.float32(1))
    return weight, None


@njit(cache=True, nogil=True)
def _answered(start, index, other_start, other_index):  # type: ignore[no-untyped-def]
    """How many pairs of different nodes have an edge each way: sources and targets of every node ascend and are merged."""
    count = 0
    for v in range(len(start) - 1):
        p, q = start[v], other_start[v]
        while p < start[v + 1] and q < other_start[v + 1]:
            if index[p] < other_index[q]:
                p += 1
            elif index[p] > other_index[q]:
                q += 1
            else:
                u = index[p]
                count += u < v
                while p < start[v + 1] and index[p] == u:
                    p += 1
                while q < other_start[v + 1] and other_index[q] == u:
                    q += 1
    return count
