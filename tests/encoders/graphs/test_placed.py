"""Nodes placed so that distances are kept."""

import networkx as nx
import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.graphs.placed import Placed
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.recipes.registry import build


def tree_graph(extra=0):
    pairs = np.array(nx.balanced_tree(3, 3).edges).T
    return Graph(torch.from_numpy(np.concatenate([pairs, pairs[::-1]], 1)), 40 + extra)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("hyperbolic-tree", {}, 0.9),
        ("hyperbolic-tree", {"tree": "minimum", "dim": 5}, 0.6),
        ("hyperbolic-tree", {"tree": "gromov"}, 0.9),
        ("h-mds", {"dim": 5}, 0.5),
        ("distance-points", {"dim": 5, "steps": 300}, 0.9),
    ],
)
def test_a_tree_keeps_its_neighbours_and_solve_tells_how_well(name, settings, least):
    graph = tree_graph()
    encoder: Placed = build(name, **settings).encoder(_shape(graph))
    told = encoder.solve({"graph": graph}, seed=0)
    assert told["map"] >= least and told["distortion"] < 0.3 and told["worst"] >= 1
    assert encoder.embed({"graph": graph, "nodes": torch.tensor([3, 5])}).shape == (2, encoder.dim)


def test_a_node_without_edges_is_at_zero_and_a_graph_without_any_is_answered():
    for graph in (tree_graph(extra=2), Graph(torch.empty(2, 0, dtype=torch.int64), 3)):
        for name in ("hyperbolic-tree", "h-mds", "distance-points"):
            encoder = build(name, **({"steps": 5} if name == "distance-points" else {})).encoder(_shape(graph))
            told = encoder.solve({"graph": graph}, seed=0)
            assert not encoder({"graph": graph})[-1].any()
            assert bool(told) == bool(graph.num_edges)


def test_weights_are_lengths_where_they_are_asked_for():
    graph = tree_graph()
    weight = torch.where(torch.arange(graph.num_edges) % (graph.num_edges // 2) == 0, 5.0, 1.0)
    weighted = Graph(graph.edge_index, 40, weight=weight)
    apart = {}
    for flag in (False, True):
        encoder = build("h-mds", weighted=flag).encoder(_shape(graph))
        encoder.solve({"graph": weighted}, seed=0)
        z = encoder({"graph": weighted}).numpy()
        far = encoder.geometry.distance(z, z)
        apart[flag] = far[0, 1] / far[0, 2]
    assert apart[True] > 3 > 1.2 > apart[False]


def test_what_a_solver_cannot_do_is_said():
    with pytest.raises(SemblanceError, match="take distance-points"):
        graph = Graph(torch.tensor([[0], [1]]), 7000)
        build("h-mds").encoder(_shape(graph)).solve({"graph": graph}, seed=0)
    with pytest.raises(SemblanceError, match="hyperbolic"):
        build("distance-points", space="hyperbole")


def _shape(graph):
    return Shape("graph", item=(0,), classes=0, units=graph.num_nodes, facts={"nodes": float(graph.num_nodes)})
