"""Graphs drawn by rules, whose targets are computed exactly: what a network on graphs can and cannot see.

multitask            ten families; distances, eccentricity, Laplacian of a feature; connected, diameter, spectral radius
dictionary_lookup    nodes that know a key ask nodes that hold pairs of a key and a value
heterophily          how many edges join nodes of different classes
random_pairs         pairs of small graphs, some of them the same graph numbered otherwise
inseparable_pairs    pairs that differ and that colour refinement cannot tell apart

Graphs whose nodes have targets of their own are `NodeTargets`. References: Corso et al. 2020, arXiv:2004.05718 (multitask);
Brody et al. 2022, arXiv:2105.14491 (dictionary lookup); Lim et al. 2024, arXiv:2403.12529 (heterophily).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import shortest_path

from semblance.contracts import Batch
from semblance.data.graph_families import FAMILIES, toggled
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph, joined

TASKS = ("distance", "eccentricity", "laplacian", "connected", "diameter", "radius")


@dataclass(frozen=True)
class NodeTargets(RelationalDataset):
    """Graphs whose nodes have targets too: named columns [V, ...], handed out with every batch under their names."""

    node_targets: Mapping[str, np.ndarray] = field(default_factory=dict)

    def read(self, index: np.ndarray) -> Batch:
        """The graphs at these positions, with their nodes' targets."""
        nodes = self.graph.take(np.asarray(index))[1]
        return super().read(index) | {name: column[nodes] for name, column in self.node_targets.items()}

    def subset(self, index: np.ndarray) -> NodeTargets:
        """The graphs at these positions."""
        nodes = self.graph.take(np.asarray(index))[1]
        part = super().subset(index)
        assert isinstance(part, NodeTargets)
        return replace(part, node_targets={name: column[nodes] for name, column in self.node_targets.items()})


def multitask(
    counts: Mapping[str, int], sizes: Mapping[str, tuple[int, int]] | None = None, seed: int = 0
) -> NodeTargets:
    """counts: graphs of every split; sizes: their least and largest number of nodes, 15 and 24 unless given.

    x [V, 2]: a uniform draw and whether the node is the source. `node_labels` [V, 3]: distance from the source, greatest
    distance, Laplacian (D - A) of the draw. labels [graphs, 3]: connected, diameter, greatest eigenvalue of A. Distances
    count reachable nodes only. All are divided by the largest magnitude in `train`.
    """
    rng = np.random.default_rng(seed)
    graphs, x, of_nodes, of_graphs = [], [], [], []
    for part, count in counts.items():
        low, high = (sizes or {}).get(part, (15, 24))
        for number in range(count):
            nodes = int(rng.integers(low, high + 1))
            adjacency = toggled(FAMILIES[number % len(FAMILIES)](nodes, rng), rng)
            drawn, source = rng.random(nodes), int(rng.integers(nodes))
            graphs.append(of_adjacency(adjacency))
            x.append(np.stack([drawn, np.arange(nodes) == source], 1))
            node, whole = answers(adjacency, drawn, source)
            of_nodes.append(node)
            of_graphs.append(whole)
    splits = consecutive(counts)
    member = np.repeat(np.arange(len(graphs)), [g.num_nodes for g in graphs])
    node_labels, labels = np.concatenate(of_nodes), np.stack(of_graphs)
    seen = np.isin(member, splits["train"])
    node_labels /= np.abs(node_labels[seen]).max(0)
    labels /= np.maximum(np.abs(labels[splits["train"]]).max(0), 1e-9)
    return related(graphs, np.concatenate(x), splits, "multitask", node_labels.astype(np.float32), labels)


def answers(adjacency: np.ndarray, drawn: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets of the nodes [n, 3] and of the graph [3], unscaled; adjacency: bool [n, n]."""
    far = shortest_path(adjacency.astype(float), unweighted=True)
    reached = np.where(np.isfinite(far), far, 0.0)
    eccentricity = reached.max(1)
    laplacian = adjacency.sum(1) * drawn - adjacency @ drawn
    radius = float(np.abs(np.linalg.eigvalsh(adjacency.astype(float))).max())
    whole = np.array([float(np.isfinite(far).all()), eccentricity.max(), radius])
    return np.stack([reached[source], eccentricity, laplacian], 1), whole


def dictionary_lookup(counts: Mapping[str, int], keys: int = 10, seed: int = 0) -> NodeTargets:
    """Graphs of `keys` nodes that hold a key and a value each, every value once, and as many nodes that ask for the value
    of a key; every asking node hears every holding one.

    x [V, 2 keys]: one-hot key, one-hot value (zeros in those that ask). `node_labels` int64 [V]: the value, -1 in those
    that hold.
    """
    rng = np.random.default_rng(seed)
    total = sum(counts.values())
    value = rng.permuted(np.tile(np.arange(keys), (total, 1)), axis=1)  # of key k in every graph
    x = np.zeros((total, 2, keys, 2 * keys), np.float32)  # those that hold, then those that ask
    x[..., :keys] = np.eye(keys)
    x[:, 0, :, keys:] = np.eye(keys)[value]
    labels = np.stack([np.full_like(value, -1), value], 1)
    hold, ask = np.meshgrid(np.arange(keys), keys + np.arange(keys))
    one = Graph(torch.from_numpy(np.stack([hold.ravel(), ask.ravel()])), 2 * keys, directed=True)
    return related(
        [one] * total, x.reshape(-1, 2 * keys), consecutive(counts), "dictionary lookup", labels.reshape(-1), None
    )


def heterophily(
    counts: Mapping[str, int], classes: int = 4, sizes: tuple[int, int] = (5, 30), seed: int = 0
) -> RelationalDataset:
    """Random graphs (each with an edge density of its own) whose nodes have a class; x: one-hot class; the label is the
    number of edges between different classes."""
    rng = np.random.default_rng(seed)
    graphs, x, labels = [], [], []
    for _ in range(sum(counts.values())):
        nodes = int(rng.integers(sizes[0], sizes[1] + 1))
        adjacency, kind = FAMILIES[0](nodes, rng), rng.integers(0, classes, nodes)
        graphs.append(of_adjacency(adjacency))
        x.append(np.eye(classes)[kind])
        labels.append(float((adjacency & (kind[:, None] != kind)).sum() / 2))
    return related(graphs, np.concatenate(x), consecutive(counts), "heterophily", None, np.array(labels))


def random_pairs(count: int, nodes: int = 8, seed: int = 0) -> list[tuple[Graph, Graph]]:
    """Pairs of graphs with equally many edges; in every fifth pair the second is the first, numbered otherwise."""
    rng = np.random.default_rng(seed)
    low, high = np.triu_indices(nodes, 1)
    pairs = []
    for number in range(count):
        edges = int(rng.integers(nodes - 2, 2 * nodes + 1))
        one, other = (rng.permutation(len(low))[:edges] for _ in range(2))
        order = rng.permutation(nodes)
        first = np.stack([low[one], high[one]])
        second = order[first] if number % 5 == 0 else np.stack([low[other], high[other]])
        pairs.append((both_ways(first, nodes), both_ways(second, nodes)))
    return pairs


def inseparable_pairs() -> dict[str, tuple[Graph, Graph]]:
    """Five pairs of graphs that are not the same and whose colour refinements are."""
    prism = lambda n: [*ring(range(n)), *ring(range(n, 2 * n)), *((i, n + i) for i in range(n))]  # noqa: E731
    star = [*ring(range(5)), *((5 + i, 5 + (i + 2) % 5) for i in range(5)), *((i, 5 + i) for i in range(5))]
    complete = [(i, 3 + j) for i in range(3) for j in range(3)]
    fused = [*ring(range(10)), (0, 5)]  # two rings of six that share an edge
    bridged = [*ring(range(5)), *ring(range(5, 10)), (0, 5)]  # two rings of five with an edge between
    drawn = {
        "hexagon and two triangles": (6, ring(range(6)), [*ring(range(3)), *ring(range(3, 6))]),
        "heptagon, and triangle with square": (7, ring(range(7)), [*ring(range(3)), *ring(range(3, 7))]),
        "prism and complete bipartite graph": (6, prism(3), complete),
        "Petersen graph and prism of pentagons": (10, star, prism(5)),
        "decalin and bicyclopentyl": (10, fused, bridged),
    }
    return {
        name: (both_ways(np.array(a).T, nodes), both_ways(np.array(b).T, nodes))
        for name, (nodes, a, b) in drawn.items()
    }


def ring(nodes: Sequence[int]) -> list[tuple[int, int]]:
    """The edges of a cycle through these nodes."""
    return [(nodes[i], nodes[(i + 1) % len(nodes)]) for i in range(len(nodes))]


def both_ways(edges: np.ndarray, nodes: int) -> Graph:
    """[2, E], one direction of every edge -> an undirected graph."""
    return Graph(torch.from_numpy(np.concatenate([edges, edges[::-1]], 1).astype(np.int64)), nodes)


def of_adjacency(adjacency: np.ndarray) -> Graph:
    """A symmetric bool [n, n] -> an undirected graph."""
    return Graph(torch.from_numpy(np.stack(np.nonzero(adjacency))), len(adjacency))


def consecutive(counts: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Parts of these sizes, one after the other."""
    ends = np.cumsum(list(counts.values()))
    return {name: np.arange(end - count, end) for (name, count), end in zip(counts.items(), ends, strict=True)}


def related(
    graphs: Sequence[Graph],
    x: np.ndarray,
    splits: Mapping[str, np.ndarray],
    name: str,
    node_labels: np.ndarray | None,
    labels: np.ndarray | None,
) -> Any:
    """The graphs as a dataset, with the targets of nodes where there are some."""
    made = relate(
        "graphs",
        joined(graphs),
        x=x,
        labels=labels,
        given_splits=[splits],
        units="graph",
        count=len(graphs),
        name=name,
        what=name,
    )
    if node_labels is None:
        return made
    held = {f.name: getattr(made, f.name) for f in fields(RelationalDataset)}
    return NodeTargets(**held, node_targets={"node_labels": node_labels})
