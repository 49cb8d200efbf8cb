"""How hyperedges are made and put together, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.hypergraph import Hypergraph, side_by_side
from semblance.geometry.laplacians import hypergraph_laplacian


@st.composite
def hypergraphs(draw, nodes=None):
    nodes = nodes or draw(st.integers(1, 7))
    edges = draw(st.integers(0, 5))
    pairs = [(v, e) for e in range(edges) for v in sorted(draw(st.sets(st.integers(0, nodes - 1), max_size=nodes)))]
    node, edge = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return Hypergraph(node, edge, nodes, edges)


def dense(hypergraph):
    incidence = np.zeros((hypergraph.num_nodes, hypergraph.num_edges))
    share = np.ones(len(hypergraph.node)) if hypergraph.membership is None else hypergraph.membership.numpy()
    incidence[hypergraph.node.numpy(), hypergraph.edge.numpy()] = share
    return incidence


@pytest.mark.parametrize("membership", ["whole", "by-distance"])
def test_a_hyperedge_holds_an_item_and_its_nearest(membership):
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    incidence = dense(Hypergraph.of_nearest(x, 5, membership))
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    order = np.argsort(distance, 1)[:, :6]
    scale = np.mean([distance[i, order[i, 1:]] for i in range(30)])
    for i in range(30):
        expected = np.zeros(30)
        expected[order[i]] = 1 if membership == "whole" else np.exp(-((distance[i, order[i]] / scale) ** 2))
        np.testing.assert_allclose(incidence[:, i], expected, atol=1e-5)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(1, 6))
def test_side_by_side_is_the_concatenation_of_the_incidence_matrices(data, nodes):
    parts = data.draw(st.lists(hypergraphs(nodes), min_size=1, max_size=3))
    assert np.array_equal(dense(side_by_side(parts)), np.concatenate([dense(p) for p in parts], 1))


def test_side_by_side_fills_in_what_only_some_have():
    one = Hypergraph(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 1)
    two = Hypergraph(
        torch.tensor([0]), torch.tensor([0]), 2, 1, torch.tensor([3.0]), torch.tensor([9.0]), torch.tensor([0.5])
    )
    both = side_by_side([one, two])
    assert both.weight.tolist() == [1, 3]
    assert both.membership.tolist() == [1, 1, 0.5]
    assert both.time is None
    with pytest.raises(SemblanceError, match=r"over \[2, 3\] nodes"):
        side_by_side([one, Hypergraph(torch.tensor([0]), torch.tensor([0]), 3, 1)])


@settings(max_examples=80, deadline=None)
@given(hypergraphs(), st.randoms(use_true_random=False))
def test_a_part_is_the_rows_of_its_nodes(hypergraph, random):
    nodes = random.sample(range(hypergraph.num_nodes), random.randint(0, hypergraph.num_nodes))
    part = hypergraph.part(torch.tensor(nodes, dtype=torch.int64))
    assert np.array_equal(dense(part), dense(hypergraph)[nodes])


def test_appended_nodes_are_new_rows():
    base = Hypergraph(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2, 2)
    more = base.appended(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1]), 2)
    assert dense(more).tolist() == [[1, 0], [1, 1], [0, 1], [1, 1]]
    shared = base.appended(torch.tensor([0]), torch.tensor([1]), 1, membership=torch.tensor([0.25]))
    assert dense(shared).tolist() == [[1, 0], [1, 1], [0, 0.25]]
    with pytest.raises(SemblanceError, match=r"names hyperedge 2, and there are 2 \(from 0\)"):
        base.appended(torch.tensor([0]), torch.tensor([2]), 1)


def test_neighbourhoods_hold_a_node_and_its_neighbours():
    from semblance.geometry.graph import Graph

    path = Graph(torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]]), 4)
    expected = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert dense(Hypergraph.of_neighbourhoods(path)).tolist() == expected


def test_the_second_eigenvector_of_a_hypergraph_parts_its_two_halves():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (25, 3)), rng.normal(4, 1, (25, 3))]).astype(np.float32)
    values, vectors = hypergraph_laplacian(Hypergraph.of_nearest(x, 8)).spectrum(2)
    side = vectors[:, 1] > np.median(vectors[:, 1])
    assert abs(values[0]) < 1e-9
    assert side[:25].all() != side[25:].all()
    assert side[:25].sum() in (0, 25)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((5,), "k is 5, but an item has 1 to 4"), ((0,), "k is 0"), ((2, "soft"), "no membership 'soft'")],
)
def test_wrong_neighbourhoods_are_refused(arguments, text):
    with pytest.raises(SemblanceError, match=text):
        Hypergraph.of_nearest(np.zeros((5, 2), np.float32), *arguments)
