"""Small data sets whose units are related, to try things on: a second or two is enough to train on any of them.

graph           60 nodes in 3 groups, most edges within a group; a few nodes have none
events          the same edges one after the other
hypergraph      the same nodes, 40 sets of nodes drawn mostly from one group
interactions    20 users and 15 items, each user with items of one half or the other
graphs          60 graphs of 6 to 9 nodes, rings or paths, with a few chords
complex         a triangulated grid of 30 vertices, whose left and right side are two classes

What a unit is follows from what it is related to and, but for its noise, from its features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from semblance.data.cells import from_mesh
from semblance.data.edges import build_graph
from semblance.data.incidence import build_hypergraph
from semblance.data.interactions import bipartite
from semblance.data.relate import relate
from semblance.data.relational import RelationalDataset
from semblance.geometry.cells import Boundary, CellComplex
from semblance.geometry.graph import Graph, joined
from semblance.geometry.hypergraph import Hypergraph

NODES, GROUPS = 60, 3
SPLITS = "random:0.5/0.25/0.25"


def graph(domain: str = "graph") -> RelationalDataset:
    """Nodes in groups; edges with times for the domain events."""
    rng = np.random.default_rng(0)
    ends = rng.integers(0, NODES - 1, (2, 400))
    chance = np.where(ends[0] % GROUPS == ends[1] % GROUPS, 0.6, 0.05)
    ends = np.unique(np.sort(ends[:, (rng.random(400) < chance) & (ends[0] != ends[1])], 0), axis=1)
    ends = ends[:, rng.permutation(ends.shape[1])]
    time = np.arange(ends.shape[1]) if domain == "events" else None
    return of_groups(domain, build_graph(ends, NODES, time=time).graph)


def hypergraph() -> RelationalDataset:
    """The same nodes; hyperedges of 2 to 5 of them."""
    rng = np.random.default_rng(1)
    node, edge = [], []
    for number in range(40):
        pool = np.arange(number % GROUPS, NODES, GROUPS) if number % 5 else np.arange(NODES)
        members = rng.choice(pool, 2 + number % 4, replace=False)
        node += members.tolist()
        edge += [number] * len(members)
    return of_groups("hypergraph", build_hypergraph(node, edge, NODES, 40).hypergraph)


def of_groups(domain: str, structure: object) -> RelationalDataset:
    """Nodes with noisy features of their group, which is the label."""
    label = np.arange(NODES) % GROUPS
    x = np.eye(GROUPS)[label].repeat(2, 1) + np.random.default_rng(2).normal(scale=0.7, size=(NODES, 2 * GROUPS))
    classes = ("a", "b", "c")
    return relate(domain, structure, x=x, labels=label, classes=classes, split=SPLITS, name=f"small {domain}")


def interactions() -> RelationalDataset:
    """Users of two tastes."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(20), 6)
    item = np.concatenate([np.sort(rng.choice(np.arange(u % 2, 15, 2), 6, replace=False)) for u in range(20)])
    return bipartite(user, item, name="small interactions")


def graphs() -> RelationalDataset:
    """Rings and paths with chords; features tell a node's place by its parity."""
    rng = np.random.default_rng(4)
    made, x = [], []
    for number in range(60):
        size = 6 + number % 4
        line = np.stack([np.arange(size), (np.arange(size) + 1) % size])[:, : size - number % 2]
        chords = np.stack([np.arange(2), np.arange(2) + 3])[:, : number % 3]
        made.append(build_graph(np.concatenate([line, chords], 1), size).graph)
        x.append(np.eye(2)[np.arange(size) % 2] + rng.normal(scale=0.1, size=(size, 2)))
    labels = np.arange(60) % 2
    return relate(
        "graphs",
        joined(made),
        x=np.concatenate(x),
        labels=labels,
        classes=("ring", "path"),
        split=SPLITS,
        units="graph",
        count=60,
        name="small graphs",
    )


def complex_() -> RelationalDataset:
    """A mesh of 6 by 5 vertices."""
    place = np.stack(np.meshgrid(np.arange(6), np.arange(5), indexing="ij"), 2).reshape(-1, 2)
    corner = (5 * np.arange(5)[:, None] + np.arange(4)).ravel()
    faces = np.concatenate([corner[:, None] + np.array(of) for of in ([0, 5, 1], [5, 6, 1])])
    labels = (place[:, 0] > 2).astype(np.int64)
    known: dict[str, Any] = {"labels": labels, "classes": ("left", "right"), "split": SPLITS, "name": "small complex"}
    return from_mesh(np.concatenate([place, 0 * place[:, :1]], 1), faces, **known)


SMALL: dict[str, Callable[[], RelationalDataset]] = {
    "graph": graph,
    "events": lambda: graph("events"),
    "hypergraph": hypergraph,
    "interactions": interactions,
    "graphs": graphs,
    "complex": complex_,
}


def renumbered(dataset: RelationalDataset, seed: int = 0) -> tuple[RelationalDataset, np.ndarray]:
    """The same data with its nodes in another order, and the unit here that each unit there is. Nodes stay within their
    graph, users before items."""
    structure = dataset.graph
    nodes = structure.num_cells[0] if isinstance(structure, CellComplex) else structure.num_nodes
    side: Any = np.arange(nodes) >= int(dataset.options.get("users", 0) or 0)  # type: ignore[call-overload]
    if isinstance(structure, Graph) and structure.member is not None:
        side = structure.member.numpy()
    order = np.lexsort([np.random.default_rng(seed).random(nodes), side])
    place = torch.empty(nodes, dtype=torch.int64)
    place[torch.from_numpy(order)] = torch.arange(nodes)
    x = dataset.x
    moved = [None if x[0] is None else x[0][order], *x[1:]] if isinstance(x, list) else None if x is None else x[order]
    made = replace(dataset, graph=moved_structure(structure, place), x=moved)
    return made, order if dataset.whole else np.arange(len(dataset))


def moved_structure(structure: Any, place: torch.Tensor) -> Any:
    """The structure whose node i is node place[i]; what was computed of it is left behind."""
    if isinstance(structure, Graph):
        return replace(structure, edge_index=place[structure.edge_index], kept={})
    if isinstance(structure, Hypergraph):
        return replace(structure, node=place[structure.node], kept={})
    first = structure.boundaries[0]
    edges = Boundary(place[first.face], first.cell, first.sign)
    return replace(structure, boundaries=(edges, *structure.boundaries[1:]), kept={})
