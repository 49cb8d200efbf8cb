from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.edges import build_graph, distinct
from semblance.data.graph_facts import described, facts, properties
from semblance.data.incidence import build_hypergraph
from semblance.data.load import load
from semblance.errors import SemblanceError


def pairs(graph):
    return sorted(map(tuple, graph.edge_index.T.tolist()))


def of(ends, **more):
    return {"edge_index": np.array(ends), **more}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_an_undirected_graph_stands_in_both_directions_whatever_it_was_given(edges):
    ends = np.array(edges).T
    graph, notes = build_graph(ends, 6)
    assert graph.is_symmetric() and not graph.directed
    assert set(pairs(graph)) == {p for a, b in edges for p in ((a, b), (b, a))}
    named = set(edges)
    both = sum((b, a) in named for a, b in named if a < b)
    ordered = sorted(edges)
    symmetric = ordered == sorted((b, a) for a, b in edges)
    assert [f"{both:,} pairs are named in both directions" in note for note in notes] == [True] * (
        both > 0 and not symmetric
    )


def test_repeats_are_kept_and_counted_and_each_self_loop_stands_once():
    graph, _ = build_graph([[0, 0, 1, 2], [1, 1, 2, 2]], 4)
    assert pairs(graph) == [(0, 1), (0, 1), (1, 0), (1, 0), (1, 2), (2, 1), (2, 2)]
    data = load(of([[0, 0, 1, 2], [1, 1, 2, 2]], num_nodes=np.array(4)))
    held = {name: facts(data)[name] for name in ("nodes", "edges", "loops", "repeats", "isolated", "components")}
    assert held == {"nodes": 4, "edges": 4, "loops": 1, "repeats": 1, "isolated": 1, "components": 2}
    assert described(data) == "4 nodes, 4 undirected edges; 2 components, 1 isolated, 1 self-loop, 1 repeated edge"


def test_the_words_for_a_graph_say_what_it_has():
    def words(**columns):
        return properties(build_graph([[0, 1, 2], [1, 2, 0]], 3, **columns).graph)

    assert words() == frozenset() and words(directed=True) == {"directed"}
    assert words(weight=[2, 2, 2]) == frozenset() and words(weight=[1, 2, 2]) == {"weighted"}
    assert words(weight=[1, -1, 1]) == {"signed"} and words(sign=[1, -1, 1]) == {"signed"}
    assert words(time=[1, 2, 3]) == {"timed"} and words(kind=[0, 0, 1]) == {"typed"}
    assert properties(build_graph([[0, 1, 0], [1, 1, 1]], 2, directed=True).graph) == {"directed", "loops", "multi"}


def test_a_repeat_is_told_from_the_same_neighbour_of_the_next_node():
    star = build_graph([[2, 2], [0, 1]], 3, directed=True).graph  # rows 0 and 1 both hold node 2, once
    assert "multi" not in properties(star)


def test_negative_weights_come_apart_into_signs_and_magnitudes():
    graph, _ = build_graph([[0, 1], [1, 2]], 3, weight=[-3, 2], directed=True)
    assert graph.weight.tolist() == [3, 2] and graph.sign.tolist() == [-1, 1]
    graph, _ = build_graph([[0, 1], [1, 2]], 3, weight=[-3, 2], sign=[-3, 2], directed=True)
    assert graph.weight.tolist() == [3, 2] and graph.sign.tolist() == [-1, 1]


def test_edges_out_of_time_order_are_sorted_with_their_columns_and_that_is_said():
    graph, notes = build_graph([[0, 1, 2], [1, 2, 0]], 3, time=[5, 9, 1], weight=[1, 2, 3], directed=True)
    assert (
        graph.time.tolist() == [1, 5, 9]
        and graph.weight.tolist() == [3, 1, 2]
        and graph.edge_index[0].tolist() == [2, 0, 1]
    )
    assert notes == ("1 timestamps were out of order: the edges are sorted by time",)
    both, _ = build_graph([[0, 1], [1, 2]], 3, time=[5, 1])
    assert both.time.tolist() == [1, 1, 5, 5]
    dates = np.array(["2020-01-01", "2020-01-02"], "datetime64[s]")
    assert np.diff(build_graph([[0, 1], [1, 2]], 3, time=dates, directed=True).graph.time).tolist() == [86400]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (of([[0, 1], [1, 2], [2, 0]]), r"edge_index \[3, 2\].* so it is transposed: give edge_index\.T"),
        (of([[0, -1], [1, 2]]), "edge 1 names node -1, and nodes count from 0"),
        (of([[0, 1.5], [1, 2]]), r"edge 1 names node 1\.5, not a whole number"),
        (of([[0, np.nan], [1, 2]]), "edge 1 names node nan"),
        (of([["a"], ["b"]]), "edge_index of type <U1"),
        (of([[0, 1], [1, 2]], x=np.eye(2)), r"edge 1 names node 2, and there are 2 nodes \(0 to 1\)"),
        (of([[0, 1], [1, 2]], x=np.eye(3), num_nodes=5), "features for 3 nodes, and 5 nodes"),
        (of([[0, 1], [1, 2]], x=np.array([[0, 1], [np.nan, 0], [1, 1]])), "feature 0 of node 1 is missing"),
        (of([[0, 1], [1, 2]], x=np.array([[0, 1], [1, 1e39], [1, 1]])), "feature 1 of node 1 is infinite or too large"),
        (of([[0, 1], [1, 2]], x=np.array([["a"], ["b"], ["c"]])), r"features \[3, 1\] of <U1"),
        (of(np.empty((2, 0), int)), "has no nodes, so nothing is related"),
        (of(np.empty((2, 0), int), x=np.eye(1)), "has one node, so nothing is related"),
        (of([[0], [0]]), "has one node, so nothing is related"),
        (of(np.empty((2, 0), int), x=np.eye(3)), "3 nodes and no edges: give the edges, or the features alone"),
        (of([[0, 1], [1, 2]], x=np.eye(3), y=np.array([0, 1])), r"different numbers of nodes \(x 3, y 2\)"),
        (of([[0, 1], [1, 2]], weight=np.array([1.0])), r"weight \[1\] of float64 for 2 edges"),
        (of([[0, 1], [1, 2]], weight=np.array([1.0, np.inf])), "edge 1 has weight inf"),
        (of([[0, 1], [1, 2]], sign=np.array([1, 0])), "edge 1 has sign 0"),
        (of([[0, 1], [1, 2]], time=np.array([1, np.nan])), "edge 1 has time nan"),
        (of([[0, 1], [1, 2]], names=np.array(["a", "b", "c"]), label="z"), None),
    ],
)
def test_wrong_edges_are_answered_in_one_line_with_the_value_and_the_remedy(arrays, told):
    if told is None:
        with pytest.raises(SemblanceError, match="no array 'z' among edge_index, names"):
            load({k: v for k, v in arrays.items() if k != "label"}, label="z", domain="graph")
        return
    with pytest.raises(SemblanceError, match=told) as error:
        load(arrays)
    assert "\n" not in str(error.value)


def test_whole_numbers_in_floats_are_positions_and_a_class_in_no_part_is_told():
    data = load(
        of(
            [[0.0, 1.0], [1.0, 2.0]],
            y=np.array([0, 1, 1]),
            train_mask=np.eye(3, dtype=bool)[0],
            test_mask=np.eye(3, dtype=bool)[2],
        )
    )
    assert data.graph.num_edges == 4
    assert "1 of 2 classes stand in test and not in train: they cannot be learned" in data.notes
    assert "1 of 3 labels stand in no part of the split and are not used" in data.notes


@pytest.mark.parametrize(
    ("node", "edge", "nodes", "edges", "more", "told"),
    [
        ([0, 1, 1], [0, 0, 2], 2, 3, {}, "1 hyperedges without nodes, first hyperedge 1: drop them"),
        ([0, 3], [0, 0], 3, 5, {}, "names node 3, and there are 3 nodes"),
        ([0], [0], 1, 1, {}, "1 nodes, so nothing is related"),
        ([], [], 3, 0, {}, "no memberships"),
        ([0, 1], [0, 0], 2, 1, {"time": [1, 2]}, "2 times for 1 hyperedges"),
    ],
)
def test_wrong_memberships_are_answered_in_one_line(node, edge, nodes, edges, more, told):
    with pytest.raises(SemblanceError, match=told):
        build_hypergraph(np.array(node, int), np.array(edge, int), nodes, edges, **more)


def test_memberships_count_once_and_hyperedges_are_sorted_by_time():
    found, notes = build_hypergraph([0, 1, 1, 2, 1], [0, 0, 0, 1, 1], 3, 2, time=[9, 4], weight=[1.0, 2.0])
    assert (
        found.by_edge().index.tolist() == [1, 2, 0, 1]
        and found.time.tolist() == [4, 9]
        and found.weight.tolist() == [2, 1]
    )
    assert len(notes) == 2 and "1 memberships are named more than once" in notes[1]


@given(st.lists(st.integers(-3, 3), max_size=20))
def test_distinct_numbers_ascend(numbers):
    assert distinct(np.array(numbers, int)).tolist() == sorted(set(numbers))


def test_features_stay_sparse_where_they_are_wide_and_mostly_zero():
    from scipy import sparse

    def x_of(width, share):
        x = (np.random.default_rng(0).random((50, width)) < share).astype(np.uint8)
        return x, load(of([[0, 48], [1, 49]], x=x)).x

    given_, held = x_of(100, 0.05)
    assert sparse.issparse(held) and held.dtype == np.float32 and (held.toarray() == given_).all()
    for width, share in ((100, 0.2), (60, 0.05)):
        given_, held = x_of(width, share)
        assert isinstance(held, np.ndarray) and held.dtype == np.float32 and (held == given_).all()
    assert torch.equal(load(of([[0], [1]], x=np.eye(2))).features, torch.eye(2))
