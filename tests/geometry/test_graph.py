"""Graphs and hypergraphs as structures, against plain loops over their edges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined
from semblance.geometry.hypergraph import Hypergraph


@st.composite
def graphs(draw, loops=True):
    nodes = draw(st.integers(1, 8))
    pairs = draw(st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=24))
    pairs = [p for p in pairs if loops or p[0] != p[1]]
    weight = torch.arange(1.0, len(pairs) + 1)
    return Graph(torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T, nodes, directed=True, weight=weight)


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_rows_list_the_sources_of_every_target_in_ascending_order(graph):
    rows, columns = graph.rows(), graph.columns()
    source, target = graph.edge_index.tolist()
    for v in range(graph.num_nodes):
        mine = slice(rows.start[v], rows.start[v + 1])
        assert rows.index[mine].tolist() == sorted(s for s, t in zip(source, target, strict=True) if t == v)
        assert all(source[e] == i and target[e] == v for e, i in zip(rows.order[mine], rows.index[mine], strict=True))
        theirs = columns.index[columns.start[v] : columns.start[v + 1]].tolist()
        assert theirs == sorted(t for s, t in zip(source, target, strict=True) if s == v)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_an_undirected_graph_is_symmetric_and_knows_the_reverse_of_every_edge(graph):
    both = graph.undirected()
    assert both.is_symmetric()
    rows, reverse = both.rows(), both.reverse_positions()
    target = np.repeat(np.arange(both.num_nodes), rows.degree)
    assert np.array_equal(rows.index[reverse], target)
    assert np.array_equal(target[reverse], rows.index)
    given_pairs = {tuple(sorted(p)) for p in graph.edge_index.T.tolist()}
    assert {tuple(sorted(p)) for p in both.edge_index.T.tolist()} == given_pairs
    assert not both.directed
    assert graph.is_symmetric() or len({tuple(p) for p in both.edge_index.T.tolist()}) == both.num_edges


def test_a_graph_of_unequal_weights_both_ways_is_not_symmetric():
    ends = torch.tensor([[0, 1], [1, 0]])
    assert Graph(ends, 2).is_symmetric()
    assert not Graph(ends, 2, weight=torch.tensor([1.0, 2.0])).is_symmetric()
    assert not Graph(ends[:, :1], 2).is_symmetric()


@settings(max_examples=100, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_a_part_keeps_the_edges_between_its_nodes_with_their_weights(graph, random):
    nodes = random.sample(range(graph.num_nodes), random.randint(0, graph.num_nodes))
    part = graph.part(torch.tensor(nodes, dtype=torch.int64))
    edges = zip(*graph.edge_index.tolist(), graph.weight.tolist(), strict=True)
    expected = [(nodes.index(s), nodes.index(t), w) for s, t, w in edges if s in nodes and t in nodes]
    assert list(zip(*part.edge_index.tolist(), part.weight.tolist(), strict=True)) == expected


def test_joined_graphs_stay_apart():
    one = Graph(torch.tensor([[0, 1], [1, 0]]), 3)
    both = joined([one, one])
    assert both.member.tolist() == [0, 0, 0, 1, 1, 1]
    assert both.edge_index.tolist() == [[0, 1, 3, 4], [1, 0, 4, 3]]
    assert both.part(torch.tensor([3, 4, 5])).edge_index.tolist() == one.edge_index.tolist()


def test_a_transposed_edge_index_is_recognised():
    with pytest.raises(SemblanceError, match=r"edge_index is \[5, 2\].*transposed"):
        Graph(torch.zeros(5, 2, dtype=torch.int64), 3)


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_one_hyperedge_a_neighbourhood_holds_the_node_and_its_neighbours(graph):
    graph = graph.undirected()
    hypergraph = Hypergraph.of_neighbourhoods(graph)
    near = {v: {v} for v in range(graph.num_nodes)}
    for s, t in graph.edge_index.T.tolist():
        near[t].add(s)
    sides = hypergraph.by_edge(), hypergraph.by_node()
    for v in range(graph.num_nodes):
        held = [side.index[side.start[v] : side.start[v + 1]].tolist() for side in sides]
        assert sorted(set(held[0])) == held[0] == sorted(near[v])
        assert held[1] == held[0]  # u lies in the neighbourhood of v exactly if v lies in that of u
