"""Path networks: a node takes in the paths that start at it, each read as a sequence from its far end.

    round k = 1 .. K:   x_v <- x_v + BN( sum over paths (v, u_1, ..., u_k) of LSTM( x_{u_k}, ..., x_{u_1}, x_v ) )
                        x_v <- MLP( x_v || that sum )                                                  update "perceptron"

    shortest       one shortest path from v to every node reached
    all-shortest   every shortest path
    simple         every path that meets no node twice; beside a node its distance from v can be read, embedded

The states of round k hold the rounds before it. A path is a node in front of a shorter path of the same kind, so paths are
kept as a tree, a node and the place of the rest, and where nothing is read but states, what the LSTM makes of a rest is
computed once for all paths that end in it. What varies: the kind of paths, K, distances, an LSTM for every round or one for
all, the update, the most paths kept of a node and length. Michel et al. 2023, PathNN, arXiv:2306.05955.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import Tensor, nn

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph

KINDS = ("shortest", "all-shortest", "simple")
UPDATES = ("residual", "perceptron")


class Paths(NamedTuple):
    """The paths of one length k, in the order of their first nodes. first int64 [P]: the node where each starts; rest int64
    [P]: the place of its further nodes among the paths of length k - 1 (k = 1: of nodes); start [V + 1]: where the paths of
    each node begin."""

    first: np.ndarray
    rest: np.ndarray
    start: np.ndarray


def paths(graph: Graph, length: int, kind: str = "all-shortest", cap: int = 0) -> list[Paths]:
    """Of lengths 0 .. `length`, along the edges that lead to a node, each pair of nodes once and without loops. cap: the
    most that are kept of a node and a length, those over its first neighbours; 0: all."""
    if kind not in KINDS:
        raise unknown("kind of paths", kind, KINDS)
    if length < 1 or cap < 0:
        raise SemblanceError(f"paths of length {length}, at most {cap} of a node: give 1 or more, and 0 for all")

    def make() -> list[Paths]:
        rows = graph.rows()
        return [Paths(*level) for level in _paths(rows.start, rows.index, length, KINDS.index(kind), cap)]

    return graph.once(("paths", length, kind, cap), make)


def nodes_of(found: list[Paths], k: int) -> np.ndarray:
    """int64 [P, k + 1]: the nodes of the paths of length k, the first first."""
    at, columns = np.arange(len(found[k].first)), []
    for level in reversed(found[: k + 1]):
        columns.append(level.first[at])
        at = level.rest[at]
    return np.stack(columns, 1)


def distances(graph: Graph, nodes: np.ndarray) -> np.ndarray:
    """int64 [P, k + 1]: how far each node of a path is from its first one."""
    rows, out = graph.rows(), np.empty_like(nodes)
    _distances(rows.start, rows.index, nodes, out)
    return out


class PathLayer(nn.Module):
    """Rounds 1 .. `length` over the paths of a graph, of states of one width."""

    def __init__(
        self,
        width: int,
        length: int = 2,
        kind: str = "all-shortest",
        with_distances: bool | None = None,
        shared: bool = False,
        update: str = "residual",
        cap: int = 0,
    ):
        super().__init__()
        if kind not in KINDS:
            raise unknown("kind of paths", kind, KINDS)
        if update not in UPDATES:
            raise unknown("update", update, UPDATES)
        # On a shortest path the place of a node is its distance.
        self.with_distances = kind == "simple" if with_distances is None else with_distances
        self.length, self.kind, self.cap, self.dim = length, kind, cap, width
        self.lstms = nn.ModuleList(nn.LSTMCell(width, width) for _ in range(1 if shared else length))
        self.far = nn.Embedding(length + 1, width) if self.with_distances else None
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(length))
        self.maps = None
        if update == "perceptron":
            self.maps = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(length)
            )

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, width] -> [V, width]."""
        found = paths(graph, self.length, self.kind, self.cap)
        for k in range(1, self.length + 1):
            lstm = self.lstms[min(k, len(self.lstms)) - 1]
            last = self._one_by_one(lstm, x, graph, found, k) if self.with_distances else _by_rest(lstm, x, found, k)
            total = torch.zeros_like(x).index_add(0, torch.from_numpy(found[k].first), last)
            if self.maps is None:
                x = x + self.norms[k - 1](total)
            else:
                x = self.norms[k - 1](self.maps[k - 1](torch.cat([x, total], 1)))
        return x

    def _one_by_one(self, lstm: nn.LSTMCell, x: Tensor, graph: Graph, found: list[Paths], k: int) -> Tensor:
        """[P, width]: every path for itself, since a node's distance hangs on where the path starts."""
        assert self.far is not None

        def make() -> tuple[Tensor, Tensor]:
            nodes = nodes_of(found, k)
            return torch.from_numpy(nodes), torch.from_numpy(distances(graph, nodes))

        nodes, far = graph.once(("nodes of paths", self.length, self.kind, self.cap, k), make)
        # W [x || e] = W x + e': the product with W is made once for a node, the distances' share is a table.
        ready = F.linear(x, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
        table = F.linear(self.far.weight, lstm.weight_ih)
        hidden: Tensor | None = None
        cell: Tensor | None = None
        for place in range(k, -1, -1):
            hidden, cell = step(lstm, ready[nodes[:, place]] + table[far[:, place]], hidden, cell)
        assert hidden is not None
        return hidden


def _by_rest(lstm: nn.LSTMCell, x: Tensor, found: list[Paths], k: int) -> Tensor:
    """[P, width]: from paths of length 0 on, a step for every path of each length."""
    ready = F.linear(x, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
    hidden, cell = step(lstm, ready, None, None)
    for level in found[1 : k + 1]:
        rest = torch.from_numpy(level.rest)
        hidden, cell = step(lstm, ready[torch.from_numpy(level.first)], hidden[rest], cell[rest])
    return hidden


def step(lstm: nn.LSTMCell, ready: Tensor, hidden: Tensor | None, cell: Tensor | None) -> tuple[Tensor, Tensor]:
    """A step of an LSTM whose product with the input, with both biases, is `ready` [P, 4 width]."""
    if hidden is not None:
        ready = torch.addmm(ready, hidden, lstm.weight_hh.T)
    take, forget, new, show = ready.chunk(4, 1)
    found = torch.sigmoid(take) * torch.tanh(new)
    cell = found if cell is None else found + torch.sigmoid(forget) * cell
    return torch.sigmoid(show) * torch.tanh(cell), cell


@njit(cache=True, nogil=True)
def _paths(start, index, length, kind, cap):  # type: ignore[no-untyped-def]
    nodes = len(start) - 1
    every = np.arange(nodes + 1)
    found = [(every[:-1].copy(), np.full(nodes, -1, np.int64), every.copy())]
    far = every[:-1].copy()  # the last node of every path of the level before
    seen = np.full(nodes, -1, np.int64)  # nodes nearer than k, or reached, marked with the first node
    reached = [far]  # of every level so far
    for k in range(1, length + 1):
        before = found[k - 1][2]
        begin = np.zeros(nodes + 1, np.int64)
        size = 16
        first, rest, end = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
        filled = 0
        for v in range(nodes):
            if kind < 2:
                for level in range(k):
                    low, high = found[level][2][v], found[level][2][v + 1]
                    for p in range(low, high):
                        seen[reached[level][p]] = v
            mine = filled
            for e in range(start[v], start[v + 1]):
                u = index[e]
                if u == v or (e > start[v] and index[e - 1] == u):
                    continue
                for p in range(before[u], before[u + 1]):
                    if cap and filled - mine == cap:
                        break
                    last = far[p]
                    if kind < 2:
                        if seen[last] == v:
                            continue
                        if kind == 0:
                            seen[last] = v
                    else:
                        at, level, apart = p, k - 1, True
                        while level >= 0 and apart:
                            apart = found[level][0][at] != v
                            at = found[level][1][at]
                            level -= 1
                        if not apart:
                            continue
                    if filled == size:
                        size *= 2
                        first = np.concatenate((first, np.empty(size // 2, np.int64)))
                        rest = np.concatenate((rest, np.empty(size // 2, np.int64)))
                        end = np.concatenate((end, np.empty(size // 2, np.int64)))
                    first[filled], rest[filled], end[filled] = v, p, last
                    filled += 1
            begin[v + 1] = filled
        seen[:] = -1
        found.append((first[:filled].copy(), rest[:filled].copy(), begin))
        far = end[:filled].copy()
        reached.append(far)
    return found


@njit(cache=True, nogil=True)
def _distances(start, index, nodes, out):  # type: ignore[no-untyped-def]
    count, length = nodes.shape
    far, stamp = np.empty(len(start) - 1, np.int64), np.full(len(start) - 1, -1, np.int64)
    queue = np.empty(len(start) - 1, np.int64)
    now = -1
    for p in range(count):
        v = nodes[p, 0]
        if v != now:  # the paths of a node stand together: one breadth-first search for all
            now, head, tail = v, 0, 1
            queue[0], far[v], stamp[v] = v, 0, v
            while head < tail:
                a = queue[head]
                head += 1
                if far[a] + 1 >= length:
                    break
                for e in range(start[a], start[a + 1]):
                    if stamp[index[e]] != v:
                        stamp[index[e]], far[index[e]] = v, far[a] + 1
                        queue[tail] = index[e]
                        tail += 1
        for place in range(length):
            out[p, place] = far[nodes[p, place]]
