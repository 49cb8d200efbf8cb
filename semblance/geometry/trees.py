"""Trees that stand for a graph: who is whose parent, and how long the edge between them is.

    breadth    every node hangs where a breadth-first search from the middle meets it first
    minimum    a spanning tree of least total length

The root is the middle of a longest path, which keeps a drawing of the tree small. Several components hang on a hidden
root, as far from it as the deepest of them reaches; hidden nodes stand after the graph's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.kept import Keeps

KINDS = ("breadth", "minimum")


@dataclass(frozen=True, eq=False)
class Tree(Keeps):
    """parent: int64 [n], -1 at the one root; length: float64 [n], of the edge to the parent, above 0 (0 at the root);
    nodes: how many of them are not hidden, the first ones."""

    parent: NDArray[np.int64]
    length: NDArray[np.float64]
    nodes: int = -1

    def __post_init__(self) -> None:
        if (self.parent < 0).sum() != 1:
            raise SemblanceError(f"a tree has one root, and this has {(self.parent < 0).sum()}: mark it by -1")
        if self.nodes < 0:
            object.__setattr__(self, "nodes", len(self.parent))
        short = np.flatnonzero((self.length <= 0) & (self.parent >= 0))
        if len(short):
            raise SemblanceError(f"the edge above node {short[0]} is {self.length[short[0]]:g} long: give more than 0")

    def levels(self) -> list[NDArray[np.int64]]:
        """The nodes in 0, 1, 2, ... edges from the root."""

        def look() -> list[NDArray[np.int64]]:
            found = [np.flatnonzero(self.parent < 0)]
            order = np.argsort(self.parent, kind="stable")
            start = np.searchsorted(self.parent[order], np.arange(len(self.parent) + 1))
            while len(found[-1]):
                above = found[-1]
                sizes = start[above + 1] - start[above]
                within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                found.append(order[np.repeat(start[above], sizes) + within])
            return found[:-1]

        return self.once("levels", look)

    def reach(self) -> NDArray[np.float64]:
        """float64 [n]: the length of the path from the root."""
        far = np.zeros(len(self.parent))
        for level in self.levels()[1:]:
            far[level] = far[self.parent[level]] + self.length[level]
        return far

    def degree(self) -> NDArray[np.int64]:
        """int64 [n]: children, and the parent where there is one."""
        below = np.bincount(self.parent[self.parent >= 0], minlength=len(self.parent))
        return below + (self.parent >= 0)

    def distances(self) -> NDArray[np.float64]:
        """float64 [nodes, nodes]: the lengths of the paths between those that are not hidden."""
        child = np.flatnonzero(self.parent >= 0)
        size = len(self.parent)
        lengths = sparse.csr_array((self.length[child], (child, self.parent[child])), shape=(size, size))
        every = csgraph.shortest_path(lengths, directed=False, indices=np.arange(self.nodes))
        return np.asarray(every)[:, : self.nodes]


def lengths_of(graph: Graph, weighted: bool = False) -> sparse.csr_array:
    """Every edge of a graph as a length, float64 [V, V] in both directions: 1, or its weight."""
    graph = graph.without_loops()
    source, target = graph.edge_index.cpu().numpy()
    length = np.ones(len(source))
    if weighted and graph.weight is not None:
        length = graph.weight.double().cpu().numpy()
        if len(length) and length.min() <= 0:
            raise SemblanceError(f"an edge is {length.min():g} long: weights that are lengths are above 0")
    source, target = np.append(source, target), np.append(target, source)
    length = np.append(length, length)
    order = np.lexsort([length, target, source])  # of several edges between two nodes the shortest stays
    source, target, length = source[order], target[order], length[order]
    first = np.ones(len(source), bool)
    first[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    shape = (graph.num_nodes, graph.num_nodes)
    return sparse.csr_array((length[first], (source[first], target[first])), shape=shape)


def spanning_tree(lengths: sparse.csr_array, kind: str = "breadth", root: int | None = None) -> Tree:
    """The tree of a graph given by its lengths [V, V], both directions (`lengths_of`); root: None for the middle."""
    if kind not in KINDS:
        raise unknown("kind of spanning tree", kind, KINDS)
    nodes = lengths.shape[0]
    if not nodes:
        raise SemblanceError("the graph has no node: a tree needs one")
    if kind == "minimum":
        kept = csgraph.minimum_spanning_tree(lengths)
        lengths = sparse.csr_array(kept + kept.T)
    count, member = csgraph.connected_components(lengths, directed=False)
    parent, length = np.full(nodes, -1), np.zeros(nodes)
    roots = []
    for component in range(count):
        inside = np.flatnonzero(member == component)
        top = _middle(lengths, int(inside[0])) if root is None or member[root] != component else root
        order, above = csgraph.breadth_first_order(lengths, top, directed=False)
        below = order[1:]
        parent[below] = above[below]
        roots.append(top)
    below = np.flatnonzero(parent >= 0)
    length[below] = np.asarray(lengths[below, parent[below]]).ravel()
    if count == 1:
        return Tree(parent, length)
    parent[roots], length[roots] = nodes, 1.0
    hung = Tree(np.append(parent, -1), np.append(length, 0.0), nodes)
    length[roots] = max(hung.reach().max() - 1, 1.0)
    return replace(hung, length=np.append(length, 0.0), kept={})


def _middle(lengths: sparse.csr_array, start: int) -> int:
    """The middle of a longest path of edges through the breadth-first tree of a far node of `start`'s component."""
    far = csgraph.breadth_first_order(lengths, start, directed=False, return_predecessors=False)[-1]
    order, above = csgraph.breadth_first_order(lengths, far, directed=False)
    path = [int(order[-1])]
    while path[-1] != far:
        path.append(int(above[path[-1]]))
    return path[len(path) // 2]
