"""Graphs of communities: groups of nodes with many edges inside and few between.

community_graphs    graphs of one size and a label: how many communities they have
clustering          the mean over nodes of the share of its pairs of neighbours that are linked, of every graph
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from semblance.data.graph_generators import consecutive, of_adjacency
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.graph import Graph, joined


def community_graphs(
    counts: Mapping[str, int],
    nodes: int = 20,
    communities: Sequence[int] = (2,),
    inside: float = 0.7,
    across: float = 0.05,
    seed: int = 0,
) -> RelationalDataset:
    """counts: graphs of every split. Communities are of equal size, to one node; numbers are drawn."""
    rng = np.random.default_rng([67, seed])
    graphs, labels = [], []
    for number in range(sum(counts.values())):
        label = number % len(communities)
        group = rng.permutation(np.arange(nodes) % communities[label])
        chance = np.where(group[:, None] == group, inside, across)
        half = np.triu(rng.random((nodes, nodes)) < chance, 1)
        graphs.append(of_adjacency(half | half.T))
        labels.append(label)
    return relate(
        "graphs",
        joined(graphs),
        labels=np.array(labels),
        classes=tuple(map(str, communities)),
        given_splits=[consecutive(counts)],
        units="graph",
        count=len(graphs),
        name="communities",
        what="communities",
    )


def clustering(graphs: Sequence[Graph]) -> np.ndarray:
    """[n] mean clustering coefficients."""
    found = []
    for graph in graphs:
        a = np.zeros((graph.num_nodes, graph.num_nodes))
        a[tuple(graph.without_loops().edge_index.numpy())] = 1
        degree = a.sum(1)
        pairs = degree * (degree - 1)
        found.append(np.mean(np.divide((a @ a * a).sum(1), pairs, out=np.zeros_like(degree), where=pairs > 0)))
    return np.array(found)
