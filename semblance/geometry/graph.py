"""A graph: who is related to whom, how strongly, when; the structure alone, without features.

    edge_index [2, E]   source and target of every directed edge; an undirected edge stands there in both directions
    rows()              the edges grouped by target:  sources of v = index[start[v] : start[v + 1]], in ascending order
    columns()           the same of the reversed graph: grouped by source

Everything that passes over edges reads `Rows`, and what is computed of a graph is computed once and kept with it. Several
graphs are one graph whose nodes know by `member` where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.kept import Keeps


@dataclass(frozen=True, eq=False)
class Rows:
    """Edges grouped by one end, as compressed sparse rows, ready for compiled code.

    start: int64 [V + 1]; index: int32 [E], the other end, ascending within a row; order: int64 [E], the position in
    `edge_index` that stands here.
    """

    start: np.ndarray
    index: np.ndarray
    order: np.ndarray

    @property
    def degree(self) -> np.ndarray:
        """int64 [V], edges in every row."""
        return np.diff(self.start)


@dataclass(frozen=True, eq=False)
class Graph(Keeps):
    """V nodes, E directed edges.

    weight, sign, time: [E] or None; kind: int64 [E] or None (the type of a relation); edge_x: [E, f] or None;
    directed: whether an edge and its reverse differ. member: int64 [V], the graph of every node, where there are several
    (`num_graphs`), ascending.
    """

    edge_index: Tensor
    num_nodes: int
    directed: bool = False
    weight: Tensor | None = None
    sign: Tensor | None = None
    time: Tensor | None = None
    kind: Tensor | None = None
    edge_x: Tensor | None = None
    member: Tensor | None = None
    num_graphs: int = 1

    def __post_init__(self) -> None:
        if self.edge_index.ndim != 2 or self.edge_index.shape[0] != 2:
            wide = tuple(self.edge_index.shape)
            hint = ": it is transposed, give edge_index.T" if self.edge_index.ndim == 2 and wide[1] == 2 else ""
            raise SemblanceError(f"edge_index is {list(wide)}, but it is [2, E]: sources and targets{hint}")

    @property
    def num_edges(self) -> int:
        """Directed edges."""
        return self.edge_index.shape[1]

    def rows(self) -> Rows:
        """Edges by target: row v lists the sources of v."""
        return self.once("rows", lambda: grouped(self.edge_index[0], self.edge_index[1], self.num_nodes))

    def columns(self) -> Rows:
        """Edges by source: row v lists the targets of v."""
        return self.once("columns", lambda: grouped(self.edge_index[1], self.edge_index[0], self.num_nodes))

    def is_symmetric(self) -> bool:
        """Whether every edge has its reverse, as often and with the same weight and sign."""

        def look() -> bool:
            rows, columns = self.rows(), self.columns()
            if not (np.array_equal(rows.start, columns.start) and np.array_equal(rows.index, columns.index)):
                return False
            values = [v.detach().cpu().numpy() for v in (self.weight, self.sign) if v is not None]
            return all(np.array_equal(v[rows.order], v[columns.order]) for v in values)

        return self.once("symmetric", look)

    def reverse_positions(self) -> np.ndarray:
        """int32 [E]: for every place in `rows()`, the place of the reverse edge. Only of a symmetric graph."""
        assert self.is_symmetric(), "a directed graph has no reverse edges"
        rows = self.rows()
        return self.once("reverse", lambda: _reverses(rows.start, rows.index))

    def to(self, device: Any) -> Graph:
        """On another device. Compiled passes run on the CPU; what is kept stays here."""
        moved = {name: value.to(device) for name, value in self._tensors().items() if value is not None}
        same = all(value is getattr(self, name) for name, value in moved.items())
        return self if same else self._with(**moved)

    def part(self, nodes: Tensor) -> Graph:
        """The subgraph between these nodes (int64 [n], distinct), which are renumbered in their order."""
        position = torch.full((self.num_nodes,), -1, dtype=torch.int64)
        position[nodes] = torch.arange(len(nodes))
        ends = position[self.edge_index]
        inside = (ends >= 0).all(0)
        return self._with(
            edge_index=ends[:, inside],
            num_nodes=len(nodes),
            member=None if self.member is None else self.member[nodes],
            **{name: value[inside] for name, value in self._of_edges().items() if value is not None},
        )

    def take(self, numbers: np.ndarray) -> tuple[Graph, np.ndarray]:
        """The graphs of these numbers [n], joined in this order, and the positions of their nodes here."""
        first, edges, order = self.once("graphs", self._of_graphs)
        nodes, sizes = ranges(first, numbers)
        taken, counts = ranges(edges, numbers)
        at = torch.from_numpy(order[taken])
        shift = np.repeat(np.cumsum(sizes) - sizes - first[numbers], counts)
        part = self._with(
            edge_index=self.edge_index[:, at] + torch.from_numpy(shift),
            num_nodes=len(nodes),
            num_graphs=len(numbers),
            member=torch.from_numpy(np.repeat(np.arange(len(numbers)), sizes)),
            **{name: value[at] for name, value in self._of_edges().items() if value is not None},
        )
        return part, nodes

    def _of_graphs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each graph's nodes begin, where its edges do, and the edges in the order of their graphs."""
        member = np.zeros(self.num_nodes, np.int64) if self.member is None else self.member.numpy()
        first = np.searchsorted(member, np.arange(self.num_graphs + 1))
        owner = member[self.edge_index[1].numpy()]
        order = np.argsort(owner, kind="stable")
        return first, np.searchsorted(owner[order], np.arange(self.num_graphs + 1)), order

    def with_edges(self, at: Tensor) -> Graph:
        """The same nodes and, of the edges, those at these positions, in this order, or under this mask [E]."""
        held = {name: value[at] for name, value in self._of_edges().items() if value is not None}
        return self._with(edge_index=self.edge_index[:, at], **held)

    def without_weights(self) -> Graph:
        """The same edges, none stronger than another."""
        return self if self.weight is None else self.once("without weights", lambda: self._with(weight=None))

    def without_loops(self) -> Graph:
        """Self-loops dropped."""
        stay = self.edge_index[0] != self.edge_index[1]
        return self if bool(stay.all()) else self.with_edges(stay)

    def undirected(self) -> Graph:
        """Both directions of every edge, each pair once; weights, signs, times and kinds of its first mention stay. A
        symmetric graph keeps all its edges."""
        if self.is_symmetric():
            return self._with(directed=False) if self.directed else self
        low, high = self.edge_index.min(0).values, self.edge_index.max(0).values
        _, first = np.unique((low * self.num_nodes + high).numpy(), return_index=True)
        take = torch.from_numpy(np.sort(first))
        ends = self.edge_index[:, take]
        apart = ends[0] != ends[1]
        twice = {n: torch.cat([v[take], v[take][apart]]) for n, v in self._of_edges().items() if v is not None}
        return self._with(edge_index=torch.cat([ends, ends[:, apart].flip(0)], 1), directed=False, **twice)

    def _of_edges(self) -> dict[str, Tensor | None]:
        return {name: getattr(self, name) for name in ("weight", "sign", "time", "kind", "edge_x")}

    def _tensors(self) -> dict[str, Tensor | None]:
        return {"edge_index": self.edge_index, "member": self.member, **self._of_edges()}

    def _with(self, **changes: Any) -> Graph:
        """A copy with changes, which keeps nothing that was computed."""
        same = {"num_nodes": self.num_nodes, "directed": self.directed, "num_graphs": self.num_graphs}
        return Graph(**{**self._tensors(), **same, **changes})


def joined(graphs: Sequence[Graph]) -> Graph:
    """Several graphs as one: nodes one after the other, `member` says whose they are."""
    sizes = [graph.num_nodes for graph in graphs]
    first = np.concatenate([[0], np.cumsum(sizes)])
    columns: dict[str, Any] = {}
    for name in ("weight", "sign", "time", "kind", "edge_x"):
        given = [getattr(graph, name) for graph in graphs]
        columns[name] = torch.cat(given) if given and all(value is not None for value in given) else None
    shifted = [graph.edge_index + int(start) for graph, start in zip(graphs, first, strict=False)]
    return Graph(
        edge_index=torch.cat(shifted, 1) if shifted else torch.empty(2, 0, dtype=torch.int64),
        num_nodes=int(first[-1]),
        directed=any(graph.directed for graph in graphs),
        member=torch.repeat_interleave(torch.arange(len(graphs)), torch.tensor(sizes, dtype=torch.int64)),
        num_graphs=len(graphs),
        **columns,
    )


def ranges(start: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """start [n + 1], numbers [m] -> the positions start[i] .. start[i + 1] - 1 of every i one after the other, and how many
    each has [m]."""
    sizes = start[numbers + 1] - start[numbers]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(start[numbers], sizes) + within, sizes


def grouped(other: Tensor, by: Tensor, count: int) -> Rows:
    """Pairs (other, by), int64 [E] each, grouped by the second, which lies in 0 .. count - 1, the first ascending within a
    group: two stable counting sorts, so repeated pairs keep their order."""
    high = int(other.max()) + 1 if len(other) else 0
    return Rows(*_group(other.cpu().numpy(), by.cpu().numpy(), count, high))


@njit(cache=True, nogil=True)
def _group(other, by, count, high):  # type: ignore[no-untyped-def]
    edges = len(by)
    first = np.empty(edges, np.int64)
    seen = np.zeros(high + 1, np.int64)
    for e in range(edges):
        seen[other[e] + 1] += 1
    for i in range(high):
        seen[i + 1] += seen[i]
    for e in range(edges):
        first[seen[other[e]]] = e
        seen[other[e]] += 1
    start = np.zeros(count + 1, np.int64)
    for e in range(edges):
        start[by[e] + 1] += 1
    for i in range(count):
        start[i + 1] += start[i]
    place = start[:-1].copy()
    index, order = np.empty(edges, np.int32), np.empty(edges, np.int64)
    for at in range(edges):
        e = first[at]
        p = place[by[e]]
        index[p], order[p] = other[e], e
        place[by[e]] = p + 1
    return start, index, order


@njit(cache=True, nogil=True)
def _reverses(start, index):  # type: ignore[no-untyped-def]
    # Sources ascend in every row, so row by row the edge (i <- j) is the next unread one of row j: no search.
    reverse = np.empty(len(index), np.int32)
    place = start[:-1].copy()
    for i in range(len(start) - 1):
        for p in range(start[i], start[i + 1]):
            reverse[p] = place[index[p]]
            place[index[p]] += 1
    return reverse
