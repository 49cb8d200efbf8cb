"""Trees of graphs."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.trees import Tree, lengths_of, spanning_tree


def graph_of(pairs, nodes, weight=None):
    ends = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return Graph(ends, nodes, weight=None if weight is None else torch.tensor(weight))


def random_tree(nodes, seed):
    rng = np.random.default_rng(seed)
    parent = np.array([-1, *(rng.integers(0, i) for i in range(1, nodes))])
    return Tree(parent, np.where(parent >= 0, rng.uniform(0.5, 2, nodes), 0))


@given(nodes=st.integers(2, 20), seed=st.integers(0, 99), kind=st.sampled_from(["breadth", "minimum"]))
def test_the_spanning_tree_of_a_tree_has_its_distances(nodes, seed, kind):
    tree = random_tree(nodes, seed)
    below = np.flatnonzero(tree.parent >= 0)
    graph = graph_of(np.stack([below, tree.parent[below]], 1), nodes, tree.length[below])
    found = spanning_tree(lengths_of(graph, weighted=True), kind)
    np.testing.assert_allclose(found.distances(), tree.distances())


def test_a_minimum_tree_is_no_longer_than_any_other():
    rng = np.random.default_rng(0)
    pairs = [(i, j) for i in range(9) for j in range(i)]
    weight = rng.uniform(1, 9, len(pairs)).tolist()
    lengths = lengths_of(graph_of(pairs, 9, weight), weighted=True)
    plain = nx.Graph([(i, j, {"weight": w}) for (i, j), w in zip(pairs, weight, strict=True)])
    least = nx.minimum_spanning_tree(plain).size("weight")
    assert spanning_tree(lengths, "minimum").length.sum() == pytest.approx(least)
    assert spanning_tree(lengths, "breadth").length.sum() >= least


def test_breadth_first_paths_from_the_root_are_shortest_and_the_root_is_in_the_middle():
    cycle = [(i, (i + 1) % 8) for i in range(8)]
    tree = spanning_tree(lengths_of(graph_of(cycle, 8)))
    assert tree.reach().max() == 4
    path = spanning_tree(lengths_of(graph_of([(i, i + 1) for i in range(8)], 9)))
    assert path.parent[4] == -1 and path.reach().max() == 4


def test_components_hang_on_a_hidden_root_as_far_as_the_deepest_reaches():
    tree = spanning_tree(lengths_of(graph_of([(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)], 8)))
    assert tree.nodes == 8 and len(tree.parent) == 9
    far = tree.distances()
    assert far.shape == (8, 8) and far[0, 4] == 4 and far[5, 6] == 1
    assert far[2, 7] == 4 == 2 * tree.reach()[7]


def test_the_shortest_of_several_edges_counts_and_loops_do_not():
    graph = graph_of([(0, 1), (0, 1), (1, 0), (1, 1)], 2, [3.0, 2.0, 5.0, 0.1])
    np.testing.assert_array_equal(lengths_of(graph, weighted=True).toarray(), [[0, 2], [2, 0]])
    np.testing.assert_array_equal(lengths_of(graph).toarray(), [[0, 1], [1, 0]])


def test_levels_are_depths_and_siblings_stand_side_by_side():
    tree = Tree(np.array([1, -1, 1, 0, 2, 0]), np.array([1.0, 0, 1, 1, 1, 1]))
    assert [level.tolist() for level in tree.levels()] == [[1], [0, 2], [3, 5, 4]]
    assert tree.degree().tolist() == [3, 2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("parent", "length", "words"),
    [([-1, -1], [0, 0], "one root"), ([-1, 0], [0, 0], "0 long: give more than 0"), ([0, 0], [1, 1], "this has 0")],
)
def test_what_is_no_tree_is_refused(parent, length, words):
    with pytest.raises(SemblanceError, match=words):
        Tree(np.array(parent), np.array(length, float))


def test_a_tree_of_no_node_and_a_kind_that_is_not_are_refused():
    with pytest.raises(SemblanceError, match="has no node"):
        spanning_tree(lengths_of(graph_of([], 0)))
    with pytest.raises(SemblanceError, match="breadth"):
        spanning_tree(lengths_of(graph_of([(0, 1)], 2)), "bredth")
    with pytest.raises(SemblanceError, match="above 0"):
        lengths_of(graph_of([(0, 1)], 2, [-1.0]), weighted=True)
