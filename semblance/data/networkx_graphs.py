"""Graphs of networkx, and the files it reads (.graphml, .gml) -> arrays by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semblance.errors import SemblanceError


def roles_of(held: Any, roles: Mapping[str, str]) -> dict[str, Any]:
    """A graph or a list of graphs -> arrays by role; "node:club" names an attribute of nodes, "edge:weight" one of edges.
    One with a `part` (node:bipartite) becomes a hypergraph: part 0 are its nodes, part 1 its hyperedges."""
    if isinstance(held, list):
        return _several(held)
    nodes = list(held.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    if "part" in roles:
        return _hyperedges(held, nodes, roles["part"].partition(":")[2])
    edges = list(held.edges(data=True))
    ends = np.array([(place[a], place[b]) for a, b, _ in edges], np.int64).reshape(-1, 2).T
    found: dict[str, Any] = {
        "edge_index_directed" if held.is_directed() else "edge_index": ends,
        "names": np.array([str(n) for n in nodes]),
    }
    for role, where in roles.items():
        of, _, key = where.partition(":")
        data = [held.nodes[node].get(key) for node in nodes] if of == "node" else [d.get(key) for _, _, d in edges]
        found[role] = np.array(data)
    return found


def _hyperedges(held: Any, nodes: list[Any], part: str) -> dict[str, Any]:
    sides = [[node for node in nodes if held.nodes[node][part] == side] for side in (0, 1)]
    place = {node: i for i, node in enumerate(sides[0])}
    members = [[place[node] for node in held.neighbors(edge)] for edge in sides[1]]
    return {
        "names": np.array([str(node) for node in sides[0]]),
        "hyperedge_ptr": np.cumsum([0, *map(len, members)]),
        "hyperedge_nodes": np.concatenate([np.array(m, np.int64) for m in members]),
    }


def _several(graphs: list[Any]) -> dict[str, Any]:
    sizes = np.array([graph.number_of_nodes() for graph in graphs])
    first = np.concatenate([[0], np.cumsum(sizes)])
    ends = []
    for graph, start in zip(graphs, first, strict=False):
        place = {node: int(start) + i for i, node in enumerate(graph.nodes)}
        ends += [(place[a], place[b]) for a, b in graph.edges]
    counts = np.array([graph.number_of_edges() for graph in graphs])
    return {
        "node_ptr": first,
        "edge_ptr": np.concatenate([[0], np.cumsum(counts)]),
        "edge_index": np.array(ends, np.int64).reshape(-1, 2).T,
    }


def library() -> Any:
    """networkx, which torch brings along."""
    try:
        import networkx
    except ImportError:
        raise SemblanceError(
            "graphs in .graphml and .gml are read by networkx, which is missing: pip install networkx"
        ) from None
    return networkx
