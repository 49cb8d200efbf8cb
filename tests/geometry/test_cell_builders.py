"""Builders of cell complexes, against networkx and plain counts."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import grid, of_cliques, of_graph, of_polygons, of_simplices
from semblance.geometry.graph import Graph


@st.composite
def graphs(draw):
    nodes = draw(st.integers(1, 9))
    pair = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1))
    pairs = draw(st.lists(pair, max_size=26))
    return Graph(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T, nodes, directed=True)


def plain(graph):
    found = nx.Graph()
    found.add_nodes_from(range(graph.num_nodes))
    found.add_edges_from((s, t) for s, t in graph.edge_index.T.tolist() if s != t)
    return found


def vertices_of(complex_, k):
    """The vertex set of every k-cell."""
    inside = abs(complex_.matrix(1))
    for j in range(2, k + 1):
        inside = inside @ abs(complex_.matrix(j))
    return [frozenset(np.flatnonzero(column)) for column in inside.toarray().T]


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(3, 7))
def test_faces_are_the_chordless_cycles_of_at_most_the_given_length(graph, longest):
    complex_ = of_graph(graph, longest)
    expected = {frozenset(cycle) for cycle in nx.chordless_cycles(plain(graph), length_bound=longest) if len(cycle) > 2}
    found = vertices_of(complex_, 2)
    assert len(found) == len(expected)
    assert set(found) == expected
    assert complex_.num_cells[:2] == (graph.num_nodes, plain(graph).number_of_edges())


@settings(max_examples=80, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_every_clique_is_a_simplex(graph, top):
    complex_ = of_cliques(graph, top)
    cliques = list(nx.enumerate_all_cliques(plain(graph)))
    assert complex_.num_cells[:1] == (graph.num_nodes,)
    for k in range(1, top + 1):
        expected = [frozenset(c) for c in cliques if len(c) == k + 1]
        assert complex_.size(k) == len(expected)
        if k <= complex_.dim:
            assert set(vertices_of(complex_, k)) == set(expected)


def test_the_order_of_vertices_is_the_orientation():
    one, other = of_simplices([[[0, 1, 2]]]), of_simplices([[[1, 0, 2]]])
    assert np.array_equal(one.matrix(2).toarray(), -other.matrix(2).toarray())
    assert one.matrix(1).toarray().T.tolist() == [[-1, 1, 0], [-1, 0, 1], [0, -1, 1]]
    turned = of_simplices([[[0, 1, 2]], [[2, 1], [0, 1], [0, 2]]])
    assert turned.matrix(1).toarray().T.tolist() == [[0, 1, -1], [-1, 1, 0], [-1, 0, 1]]
    assert turned.matrix(2).toarray().ravel().tolist() == [-1, 1, -1]


def test_an_edge_runs_from_its_first_to_its_second_vertex():
    line = of_simplices([[[3, 1]]])
    assert line.matrix(1).toarray().ravel().tolist() == [0, 1, 0, -1]


def test_simplices_of_several_dimensions_share_their_faces():
    mixed = of_simplices([[[0, 1, 2, 3]], [[2, 3, 4]], [[4, 5]]], num_nodes=7)
    assert mixed.num_cells == (7, 9, 5, 1)
    assert mixed.betti().tolist() == [[2, 0, 0, 0]]


def test_nothing_but_vertices_is_a_complex_too():
    assert of_simplices([], num_nodes=4).num_cells == (4,)
    assert of_graph(Graph(torch.empty(2, 0, dtype=torch.int64), 4)).num_cells == (4, 0, 0)
    assert of_polygons([], num_nodes=2).betti().tolist() == [[2, 0, 0]]


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: of_polygons([[0, 1]]), r"polygon 0 is \[0, 1\]"),
        (lambda: of_polygons([[0, 1, 1]]), r"polygon 0 is \[0, 1, 1\]"),
        (lambda: of_polygons([[0, 1, 7]], num_nodes=3), "names vertex 7, but there are 3"),
        (lambda: of_polygons([[0, 1, -2]]), "number -2: vertices count from 0"),
        (lambda: of_simplices([[[0, 0, 1]]]), "different vertices"),
        (lambda: of_graph(Graph(torch.tensor([[0], [1]]), 2), longest=2), "longest is 2"),
        (lambda: grid((0, 2)), r"shape \(0, 2\)"),
        (lambda: grid((2, 2), (True,)), "one flag an axis"),
    ],
)
def test_what_is_no_complex_is_refused_in_one_line(build, text):
    with pytest.raises(SemblanceError, match=text):
        build()
