"""Batches of nodes with a part of their surroundings, for graphs whose states at all nodes do not fit into memory.

    NeighbourSamples   some units; of their in-edges at most fan_outs[0] each, of those their sources have at most
                       fan_outs[1], and so on, drawn uniformly without replacement    Hamilton et al. 2017, arXiv:1706.02216
    ClusterSamples     the units of some blocks of the graph, with all edges between the blocks' nodes
                                                                                     Chiang et al. 2019, arXiv:1905.07953

The part comes as a Graph of its own, `nodes` are the places of the units asked for in it. With fan-outs no smaller than the
degrees, one a layer, a layer that looks at in-edges only gives what it gives on the whole graph; one that also divides by
the degree of the source needs one fan-out more. PyG's loaders of these names need compiled extras, and give the same parts.

A sampler here has, beside `epoch`, `bind(dataset, rows)`, which gives a sampler that knows the graph, and that has
`read(dataset, rows, rng)`: the batch of these units. Memory: the batch, and 4 bytes a node of the whole graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numba import njit

from semblance.contracts import Batch
from semblance.data.relational import RelationalDataset, as_tensor
from semblance.data.samplers import Shuffled
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


@dataclass(frozen=True)
class NeighbourSamples:
    """`batch` units in random order with their sampled surroundings. A fan-out of -1 takes all in-edges."""

    fan_outs: tuple[int, ...] = (10, 10)
    batch: int = 512

    def __post_init__(self) -> None:
        if not self.fan_outs or min(self.fan_outs) < -1 or 0 in self.fan_outs:
            raise SemblanceError(
                f"fan_outs is {self.fan_outs}: give a number from 1 for each layer, or -1 for all in-edges"
            )

    def bind(self, dataset: RelationalDataset, rows: np.ndarray) -> NeighbourSamples:
        """Itself; an error where the data is no single graph."""
        check_whole(dataset)
        return self

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Every unit once, in random order."""
        return Shuffled(self.batch, drop_last=False).epoch(units, labels, rng)

    def read(self, dataset: RelationalDataset, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """Positions [n] -> their batch; what is drawn depends on rng alone."""
        rows = np.asarray(rows, np.int64)
        part, nodes = sampled(dataset.graph, rows, self.fan_outs, int(rng.integers(2**63)))
        return batch_of(dataset, part, nodes, rows, np.arange(len(rows)))


@dataclass(frozen=True)
class ClusterSamples:
    """Blocks of about `size` nodes that hang together, `together` of them in a batch, which others in every epoch."""

    size: int = 1000
    together: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.size, self.together) < 1:
            raise SemblanceError(f"size is {self.size} and together {self.together}: give numbers from 1")

    def bind(self, dataset: RelationalDataset, rows: np.ndarray) -> BoundClusters:
        """The sampler of this graph, whose blocks are cut once and kept with it."""
        check_whole(dataset)
        graph: Graph = dataset.graph
        count = max(1, round(graph.num_nodes / self.size))
        block = graph.once(("blocks", count, self.seed), lambda: blocks(graph, count, self.seed))
        return BoundClusters(block, block[rows], self.together)


@dataclass(frozen=True, eq=False)
class BoundClusters:
    """block: int64 [V]; own: that of every unit."""

    block: np.ndarray
    own: np.ndarray
    together: int

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Every unit once; units of `together` random blocks in each batch."""
        order = rng.permutation(np.unique(self.own))
        turn = np.full(len(self.block) + 1, -1)
        turn[order] = np.arange(len(order)) // self.together
        step = turn[self.own]
        by_step = np.argsort(step, kind="stable")
        return np.split(by_step, np.flatnonzero(np.diff(step[by_step])) + 1)

    def read(self, dataset: RelationalDataset, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """Positions [n] -> the batch of all nodes of their blocks; nothing is drawn."""
        rows = np.asarray(rows, np.int64)
        chosen = np.zeros(len(self.block), bool)
        chosen[np.unique(self.block[rows])] = True
        nodes = np.flatnonzero(chosen[self.block])
        grouped = dataset.graph.rows()
        ends, edges = _induced(grouped.start, grouped.index, grouped.order, nodes)
        part = _part(dataset.graph, ends, edges, len(nodes), directed=dataset.graph.directed)
        return batch_of(dataset, part, nodes, rows, np.searchsorted(nodes, rows))


def sampled(graph: Graph, seeds: np.ndarray, fan_outs: tuple[int, ...], seed: int) -> tuple[Graph, np.ndarray]:
    """The sampled part around distinct nodes [n], and the nodes of the whole graph that are in it [m], the seeds first.
    Every node's in-edges are drawn once, when it is met first. The part is directed: towards the seeds."""
    rows = graph.rows()
    fans = np.array(fan_outs, np.int64)
    nodes, ends, edges = _draw(rows.start, rows.index, rows.order, np.asarray(seeds, np.int64), fans, np.uint64(seed))
    return _part(graph, ends, edges, len(nodes), directed=True), nodes


def blocks(graph: Graph, count: int, seed: int = 0) -> np.ndarray:
    """int64 [V]: a partition into `count` blocks that grow from random nodes over the edges, one node at a time in turn,
    to at most V / count nodes each, rounded up; what none of them reaches fills those that have room."""
    if not 1 <= count <= graph.num_nodes:
        raise SemblanceError(f"{count} blocks are asked for and there are {graph.num_nodes} nodes: give 1 to that many")
    alone = np.zeros(graph.num_nodes, np.int64)
    return grown(graph, np.random.default_rng(seed).permutation(graph.num_nodes)[:count], alone)


def grown(graph: Graph, first: np.ndarray, member: np.ndarray) -> np.ndarray:
    """int64 [V]: the partition whose block b grows from node first[b]; member [V] is the graph of every node, of which each
    has a first node, those of the first graph in front. A block of k in a graph of n nodes holds at most n / k."""
    sizes = np.bincount(member)
    most = -(-sizes // np.maximum(np.bincount(member[first], minlength=len(sizes)), 1))
    rows, columns = graph.rows(), graph.columns()
    return _grow(rows.start, rows.index, columns.start, columns.index, first, member, most)


def check_whole(dataset: Any) -> None:
    """An error where the data is no single graph."""
    if not isinstance(getattr(dataset, "graph", None), Graph) or not dataset.whole:
        raise SemblanceError(
            f"the data is {dataset.domain}, and neighbours are sampled of one graph: use another sampler"
        )


def _part(graph: Graph, ends: np.ndarray, edges: np.ndarray, size: int, directed: bool) -> Graph:
    """The graph of these edges (positions in edge_index) between renumbered nodes."""
    kept = graph.with_edges(torch.from_numpy(edges))
    return replace(
        kept, edge_index=torch.from_numpy(ends), num_nodes=size, directed=directed, member=None, num_graphs=1, kept={}
    )


def batch_of(dataset: RelationalDataset, part: Graph, nodes: np.ndarray, rows: np.ndarray, at: np.ndarray) -> Batch:
    """The batch of the units `rows`, which are nodes number `at` of a part with these nodes of the graph."""
    batch: Batch = {"index": rows, "graph": part, "nodes": torch.from_numpy(at.astype(np.int64))}
    if dataset.x is not None:
        batch["x"] = as_tensor(dataset.x[nodes])
    if "labels" in dataset.targets:
        batch["labels"] = dataset.targets["labels"][rows]
    return batch


@njit(cache=True, nogil=True)
def _next(state):  # type: ignore[no-untyped-def]
    # splitmix64 (Steele et al. 2014): one 64-bit number a call, from a state that counts.
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _below(state, bound):  # type: ignore[no-untyped-def]
    # 53 random bits: the bias is below bound / 2^53.
    return np.int64(np.float64(_next(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0) * bound)


@njit(cache=True, nogil=True)
def _draw(start, index, order, seeds, fans, seed):  # type: ignore[no-untyped-def]
    place = np.full(len(start) - 1, np.int32(-1))
    state = np.array([seed], np.uint64)
    nodes = np.empty(max(16, 2 * len(seeds)), np.int64)
    source, target, edges = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    count, used = 0, 0
    for v in seeds:
        nodes[count] = v
        place[v] = count
        count += 1
    begin = 0
    for hop in range(len(fans)):
        end = count
        for at in range(begin, end):
            v = nodes[at]
            low = start[v]
            degree = start[v + 1] - low
            take = degree if fans[hop] < 0 else min(fans[hop], degree)
            if used + take > len(edges):
                size = max(2 * len(edges), used + take)
                source, target, edges = _longer(source, size), _longer(target, size), _longer(edges, size)
            if count + take > len(nodes):
                nodes = _longer(nodes, max(2 * len(nodes), count + take))
            mine = used
            for j in range(degree - take, degree):
                # Floyd: the next of 0 .. j, or j itself where that one is taken; every subset is equally likely.
                p = j if take == degree else _below(state, j + 1)
                if take < degree:
                    for e in range(mine, used):
                        if edges[e] == low + p:
                            p = j
                            break
                edges[used] = low + p
                u = index[low + p]
                if place[u] < 0:
                    place[u] = count
                    nodes[count] = u
                    count += 1
                source[used], target[used] = place[u], at
                used += 1
            for e in range(mine, used):
                edges[e] = order[edges[e]]
        begin = end
    ends = np.empty((2, used), np.int64)
    ends[0], ends[1] = source[:used], target[:used]
    return nodes[:count].copy(), ends, edges[:used].copy()


@njit(cache=True, nogil=True)
def _longer(values, size):  # type: ignore[no-untyped-def]
    longer = np.empty(size, values.dtype)
    longer[: len(values)] = values
    return longer


@njit(cache=True, nogil=True)
def _induced(start, index, order, nodes):  # type: ignore[no-untyped-def]
    place = np.full(len(start) - 1, np.int32(-1))
    for i in range(len(nodes)):
        place[nodes[i]] = i
    used = 0
    for v in nodes:
        for p in range(start[v], start[v + 1]):
            used += place[index[p]] >= 0
    ends, edges = np.empty((2, used), np.int64), np.empty(used, np.int64)
    used = 0
    for i in range(len(nodes)):
        for p in range(start[nodes[i]], start[nodes[i] + 1]):
            if place[index[p]] >= 0:
                ends[0, used], ends[1, used], edges[used] = place[index[p]], i, order[p]
                used += 1
    return ends, edges


@njit(cache=True, nogil=True)
def _grow(start, index, other_start, other_index, first, member, most):  # type: ignore[no-untyped-def]
    size, count = len(start) - 1, len(first)
    block, filled = np.full(size, np.int64(-1)), np.ones(count, np.int64)
    queue, head = (
        np.zeros(count + 1, np.int64),
        np.zeros(count, np.int64),
    )  # where its nodes begin; which is looked at
    room, begin = (
        np.empty(count, np.int64),
        np.full(len(most), np.int64(count)),
    )  # of a block; of a graph, its first block
    for b in range(count):
        room[b] = most[member[first[b]]]
        queue[b + 1] = queue[b] + room[b]
        begin[member[first[b]]] = min(begin[member[first[b]]], b)
    held = np.empty(queue[count], np.int64)
    at = np.zeros(count, np.int64)  # how many neighbours of the head are seen
    for b in range(count):
        block[first[b]], held[queue[b]] = b, first[b]
    left, moved = size - count, True
    while left > 0 and moved:
        moved = False
        for b in range(count):
            while filled[b] < room[b] and head[b] < filled[b]:
                v = held[queue[b] + head[b]]
                into, out = start[v + 1] - start[v], other_start[v + 1] - other_start[v]
                if at[b] == into + out:
                    head[b] += 1
                    at[b] = 0
                    continue
                p = at[b]
                u = index[start[v] + p] if p < into else other_index[other_start[v] + p - into]
                at[b] += 1
                if block[u] < 0:
                    block[u], held[queue[b] + filled[b]] = b, u
                    filled[b] += 1
                    left -= 1
                    moved = True
                    break
    for v in range(size):
        if block[v] < 0:
            b = begin[member[v]]
            while filled[b] >= room[b]:
                b += 1
            begin[member[v]] = b
            block[v] = b
            filled[b] += 1
    return block
