"""Orbit adjacencies: how often two nodes sit together in a small induced subgraph, told apart by where in it they sit.

    A_name[u, v] = number of induced graphlets in which u sits on the first orbit of the name and v on the second

For the 9 connected graphlets of 2 to 4 nodes there are 28 of them (`NAMES`): 1 for the edge, 3 for the path of 3, 1 for the
triangle, 6 for the path of 4 (an end meets a middle near or far), 3 for the claw, 2 for the cycle (adjacent, opposite), 7
for the paw (a triangle with a tail), 4 for the diamond, 1 for the clique. A_ij is the transpose of A_ji.

Read is the simple undirected graph under the edges: directions, weights, repeats and self-loops do not count; negative
signs are refused.

Reference: Graphlets correct for the topological information missed by random walks, 2024; orbits: Przulj 2007, Biological
network comparison using graphlet degree distribution.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from semblance.encoders.graphs.graphlet_counts import ON_EDGES, TWO_APART, rows_of_counts
from semblance.errors import unknown
from semblance.geometry.graph import Graph
from semblance.geometry.walks import refuse_signs, share_out

Array = NDArray[Any]
ROWS = 512

NAMES = (
    "edge",
    "path3-end-end",
    "path3-end-middle",
    "path3-middle-end",
    "triangle",
    "path4-end-end",
    "path4-end-near",
    "path4-near-end",
    "path4-end-far",
    "path4-far-end",
    "path4-middle-middle",
    "claw-leaf-leaf",
    "claw-leaf-centre",
    "claw-centre-leaf",
    "cycle-adjacent",
    "cycle-opposite",
    "paw-tail-centre",
    "paw-centre-tail",
    "paw-tail-base",
    "paw-base-tail",
    "paw-base-base",
    "paw-base-centre",
    "paw-centre-base",
    "diamond-tip-tip",
    "diamond-tip-hub",
    "diamond-hub-tip",
    "diamond-hub-hub",
    "clique",
)

# One graphlet of each kind: its edges, the orbit of every node, and whether pairs of it are told apart by distance.
GRAPHLETS: dict[str, tuple[tuple[tuple[int, int], ...], tuple[str, ...]]] = {
    "edge": (((0, 1),), ("", "")),
    "path3": (((0, 1), (1, 2)), ("end", "middle", "end")),
    "triangle": (((0, 1), (1, 2), (0, 2)), ("", "", "")),
    "path4": (((0, 1), (1, 2), (2, 3)), ("end", "middle", "middle", "end")),
    "claw": (((0, 1), (0, 2), (0, 3)), ("centre", "leaf", "leaf", "leaf")),
    "cycle": (((0, 1), (1, 2), (2, 3), (0, 3)), ("", "", "", "")),
    "paw": (((0, 1), (1, 2), (1, 3), (2, 3)), ("tail", "centre", "base", "base")),
    "diamond": (((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)), ("tip", "hub", "hub", "tip")),
    "clique": (((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)), ("", "", "", "")),
}


def name_of(graphlet: str, first: str, second: str, adjacent: bool) -> str:
    """The name of the orbit adjacency to which a pair of nodes of a graphlet adds."""
    if graphlet == "cycle":
        return "cycle-adjacent" if adjacent else "cycle-opposite"
    if graphlet == "path4" and {first, second} == {"end", "middle"}:
        middle = "near" if adjacent else "far"
        first, second = (middle if orbit == "middle" else orbit for orbit in (first, second))
    return "-".join(part for part in (graphlet, first, second) if part)


def orbit_adjacencies(graph: Graph) -> dict[str, sparse.csr_array]:
    """All 28, int64 [V, V] each, zeros left out; computed once for a graph, on as many threads as torch has."""
    return graph.once("orbit adjacencies", partial(_counted, graph))


def orbit_adjacency(name: str, graph: Graph) -> sparse.csr_array:
    """The one of this name, or the `sum` of all."""
    if name == "sum":
        every = orbit_adjacencies(graph)
        return sum((every[n] for n in NAMES[1:]), start=every[NAMES[0]])
    if name not in NAMES:
        raise unknown("orbit adjacency", name, (*NAMES, "sum"))
    return orbit_adjacencies(graph)[name]


def _counted(graph: Graph) -> dict[str, sparse.csr_array]:
    simple = _simple(graph)
    rows, reverse = simple.rows(), simple.reverse_positions()
    start, index, count = rows.start, rows.index, graph.num_nodes
    edge = np.zeros((len(ON_EDGES), len(index)), np.int64)
    parts: dict[int, Any] = {}

    def work(low: int, high: int) -> None:
        for first in range(low, high, ROWS):
            parts[first] = rows_of_counts(start, index, first, min(first + ROWS, high), edge)

    share_out(work, count, ROWS)
    blocks = [parts[first] for first in sorted(parts)]
    found = {
        name: _matrix(values, index, start) for name, values in _on_edges(edge, rows.degree, start, index, reverse)
    }
    lengths, columns, apart = _joined([two for two, _ in blocks], (len(TWO_APART), 0))
    two = {name: _matrix(apart[k], columns, lengths) for k, name in enumerate(TWO_APART)}
    lengths, columns, ends = _joined([three for _, three in blocks], (0,))
    found |= {
        "path3-end-end": two["common"],
        "path4-end-far": two["far"],
        "path4-far-end": sparse.csr_array(two["far"].T),
        "path4-end-end": _matrix(ends, columns, lengths),
        "claw-leaf-leaf": two["leaf-leaf"],
        "cycle-opposite": two["opposite"],
        "paw-tail-base": two["tail-base"],
        "paw-base-tail": sparse.csr_array(two["tail-base"].T),
        "diamond-tip-tip": two["tip-tip"],
    }
    return {name: found[name] for name in NAMES}


def _on_edges(edge: Array, degree: Array, start: Array, index: Array, reverse: Array) -> list[tuple[str, Array]]:
    """What edges u-v hold: counted, turned round, or left of all sets of a kind when those with more edges are gone."""
    u, v = np.repeat(degree, np.diff(start)) - 1, degree[index] - 1  # other neighbours of both ends
    triangle, near, tail_centre, adjacent, base_base, base_centre, tip_hub, clique = edge
    centre_tail, centre_base, hub_tip = tail_centre[reverse], base_centre[reverse], tip_hub[reverse]
    hub_hub = triangle * (triangle - 1) // 2 - clique
    more = base_centre + centre_base + tip_hub + hub_tip + 2 * hub_hub + 2 * clique
    claw = u * (u - 1) // 2 - centre_tail - centre_base - hub_hub - hub_tip - clique
    return [
        ("edge", np.ones_like(triangle)),
        ("path3-end-middle", v - triangle),
        ("path3-middle-end", u - triangle),
        ("triangle", triangle),
        ("path4-end-near", near),
        ("path4-near-end", near[reverse]),
        ("path4-middle-middle", u * v - triangle - adjacent - more),
        ("claw-centre-leaf", claw),
        ("claw-leaf-centre", claw[reverse]),
        ("cycle-adjacent", adjacent),
        ("paw-tail-centre", tail_centre),
        ("paw-centre-tail", centre_tail),
        ("paw-base-base", base_base),
        ("paw-base-centre", base_centre),
        ("paw-centre-base", centre_base),
        ("diamond-tip-hub", tip_hub),
        ("diamond-hub-tip", hub_tip),
        ("diamond-hub-hub", hub_hub),
        ("clique", clique),
    ]


def _simple(graph: Graph) -> Graph:
    """Each pair of different nodes that an edge joins, both ways, once."""
    refuse_signs(graph)
    a, b = graph.edge_index.cpu().numpy()
    keys = np.unique(np.concatenate([a * graph.num_nodes + b, b * graph.num_nodes + a])[np.tile(a != b, 2)])
    return Graph(torch.from_numpy(np.stack(np.divmod(keys, max(graph.num_nodes, 1)))), graph.num_nodes)


def _joined(blocks: list[tuple[Array, Array, Array]], empty: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Row starts, columns and counts of blocks of rows, one after the other."""
    lengths = np.concatenate([np.zeros(1, np.int64), *(block[0] for block in blocks)])
    columns = np.concatenate([np.empty(0, np.int32), *(block[1] for block in blocks)])
    return np.cumsum(lengths), columns, np.concatenate([np.empty(empty, np.int64), *(b[2] for b in blocks)], -1)


def _matrix(values: Array, columns: Array, starts: Array) -> sparse.csr_array:
    """Compressed rows of what is not 0; columns ascend."""
    count = len(starts) - 1
    held = values != 0
    kept = np.concatenate([[0], np.cumsum(held)])[starts]
    matrix = sparse.csr_array((values[held], columns[held], kept), shape=(count, count))
    matrix.sort_indices()
    return matrix


def seen_by_walks(positions: int = 4, ends: bool = False, revisits: bool = False) -> tuple[str, ...]:
    """The orbit adjacencies whose pairs co-occur on a walk of at most so many positions that visits all nodes of a
    graphlet, each once (or, with `revisits`, more often): anywhere on it, or as its first and last node (`ends`)."""
    seen = set()
    for graphlet, (edges, orbits) in GRAPHLETS.items():
        joined = {pair for a, b in edges for pair in ((a, b), (b, a))}
        nodes = range(len(orbits))
        for length in range(len(nodes), (positions if revisits else min(positions, len(nodes))) + 1):
            for walk in product(nodes, repeat=length):
                if set(walk) != set(nodes) or any(step not in joined for step in pairwise(walk)):
                    continue
                met = [(walk[0], walk[-1])] if ends else permutations(nodes, 2)
                seen |= {name_of(graphlet, orbits[a], orbits[b], (a, b) in joined) for a, b in met if a != b}
    return tuple(name for name in NAMES if name in seen)
