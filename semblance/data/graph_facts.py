"""What a graph is like: facts that are counted once and told in a line, and properties that a method can be held to.

directed    an edge and its reverse differ
weighted    edges have different weights
signed      some edges are negative
loops       an edge leads from a node to itself
multi       a pair of nodes has several edges
timed       edges have a time
typed       edges are of several kinds
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semblance.geometry.cells import CellComplex
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph

CELLS = {"vertices": "vertex", "edges": "edge", "faces": "face", "solids": "solid"}
PROPERTIES = ("directed", "weighted", "signed", "loops", "multi", "timed", "typed")


def properties(structure: Any) -> frozenset[str]:
    """The words of `PROPERTIES` that hold of a graph; of a hypergraph weighted, timed and multi (a hyperedge repeats)."""
    if isinstance(structure, Graph):
        return structure.once("properties", lambda: _of_graph(structure))
    if isinstance(structure, Hypergraph):
        return structure.once("properties", lambda: _of_hypergraph(structure))
    return frozenset()


def facts(dataset: Any) -> dict[str, int]:
    """Counts of a relational dataset: nodes, edges (an undirected one counts once), features, classes, and of one graph
    components, isolated nodes, loops and repeats (edges beyond the first of a pair)."""
    structure = dataset.graph
    x = dataset.x
    told: dict[str, int] = {}
    if isinstance(structure, Graph):
        told |= structure.once("facts", lambda: _counted(structure))
    elif isinstance(structure, Hypergraph):
        told |= structure.once("facts", lambda: _of_hyperedges(structure))
    elif isinstance(structure, CellComplex):
        told |= dict(zip(CELLS, structure.num_cells, strict=False))
    told["features"] = 0 if x is None or isinstance(x, list) else int(x.shape[1])
    told["classes"] = len(dataset.classes)
    return told


def described(dataset: Any) -> str:
    """The facts in a line: "2,708 nodes, 5,278 undirected edges, 1,433 features (sparse), 7 classes; 78 components"."""
    held = facts(dataset)
    structure = dataset.graph
    first = [_several(held["graphs"], "graph")] if held.get("graphs", 1) > 1 else []
    if "nodes" in held:
        first.append(_several(held["nodes"], "node"))
    if isinstance(structure, Graph):
        way = "directed" if structure.directed else "undirected"
        kinds = [word for word in ("weighted", "signed", "timed", "typed") if word in properties(structure)]
        first.append(_several(held["edges"], " ".join([way, *kinds, "edge"])))
    elif isinstance(structure, Hypergraph):
        first.append(_several(held["hyperedges"], "timed hyperedge" if structure.time is not None else "hyperedge"))
    else:
        first += [f"{held[kind]:,} {kind if held[kind] != 1 else one}" for kind, one in CELLS.items() if kind in held]
    if held["features"]:
        first.append(_several(held["features"], "feature") + ("" if isinstance(dataset.x, np.ndarray) else " (sparse)"))
    if held["classes"]:
        first.append(_several(held["classes"], "class"))
    rest = []
    if held.get("components", 1) > 1 and held.get("graphs", 1) == 1:
        rest.append(_several(held["components"], "component"))
    rest += [f"{held[name]:,} isolated" for name in ("isolated",) if held.get(name)]
    rest += [_several(held["loops"], "self-loop")] if held.get("loops") else []
    rest += [_several(held["repeats"], "repeated edge")] if held.get("repeats") else []
    return ", ".join(first) + (f"; {', '.join(rest)}" if rest else "")


def _several(count: int, word: str) -> str:
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count:,} {word if count == 1 else plural}"


def _repeats(graph: Graph) -> int:
    rows = graph.rows()
    same = rows.index[1:] == rows.index[:-1]
    starts = rows.start[1:-1]
    same[starts[(starts > 0) & (starts < len(rows.index))] - 1] = False  # neighbours across the border of two rows
    return int(same.sum())


def _of_graph(graph: Graph) -> frozenset[str]:
    ends = graph.edge_index
    held = {
        "directed": graph.directed,
        "weighted": graph.weight is not None and bool((graph.weight != graph.weight[:1]).any()),
        "signed": graph.sign is not None and bool((graph.sign < 0).any()),
        "loops": bool((ends[0] == ends[1]).any()),
        "multi": _repeats(graph) > 0,
        "timed": graph.time is not None,
        "typed": graph.kind is not None and bool((graph.kind != graph.kind[:1]).any()),
    }
    return frozenset(word for word, holds in held.items() if holds)


def _of_hypergraph(hypergraph: Hypergraph) -> frozenset[str]:
    weight = hypergraph.weight
    held = {
        "weighted": weight is not None and bool((weight != weight[:1]).any()),
        "timed": hypergraph.time is not None,
    }
    return frozenset(word for word, holds in held.items() if holds)


def _counted(graph: Graph) -> dict[str, int]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows = graph.rows()
    loops = int((graph.edge_index[0] == graph.edge_index[1]).sum())
    repeats = _repeats(graph)
    degree = rows.degree + graph.columns().degree
    near = csr_array((np.ones(len(rows.index), np.int8), rows.index, rows.start), shape=(graph.num_nodes,) * 2)
    return {
        "nodes": graph.num_nodes,
        "edges": graph.num_edges if graph.directed else (graph.num_edges - loops) // 2 + loops,
        "graphs": graph.num_graphs,
        "components": int(connected_components(near, directed=graph.directed, connection="weak")[0]),
        "isolated": int((degree == 0).sum()),
        "loops": loops,
        "repeats": repeats if graph.directed else (repeats + 1) // 2,
    }


def _of_hyperedges(hypergraph: Hypergraph) -> dict[str, int]:
    return {
        "nodes": hypergraph.num_nodes,
        "hyperedges": hypergraph.num_edges,
        "isolated": int((hypergraph.by_node().degree == 0).sum()),
    }
