from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.walks import alias_of, moves, moves_between, sample, starts


def a_graph(seed: int = 0, directed: bool = False, weighted: bool = False, nodes: int = 9) -> Graph:
    """Every node has a way out; loops and repeated edges come along."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(nodes, size=(2, 3 * nodes))
    ends = np.concatenate([ends, [np.arange(nodes), (np.arange(nodes) + 1) % nodes]], 1)
    weight = rng.choice([0.2, 1.0, 3.0], ends.shape[1]).astype(np.float32)
    if not directed:
        ends, weight = np.concatenate([ends, ends[::-1]], 1), np.concatenate([weight, weight])
    return Graph(
        torch.from_numpy(ends), nodes, directed=directed, weight=torch.from_numpy(weight) if weighted else None
    )


def matrix(graph: Graph) -> np.ndarray:
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    weight = np.ones(graph.num_edges) if graph.weight is None else graph.weight.numpy()
    np.add.at(a, (graph.edge_index[0].numpy(), graph.edge_index[1].numpy()), weight)
    return a


def law(a: np.ndarray, t: int, v: int, p: float, q: float) -> np.ndarray:
    bias = np.where(a[t] > 0, 1.0, 1 / q)
    bias[t] = 1 / p
    return a[v] * bias / (a[v] * bias).sum()


# A multinomial's chi-square has mean k - 1; this bound is exceeded with probability below e^-12 each (Laurent & Massart).
def bound(k: int) -> float:
    return (k - 1) + 2 * math.sqrt((k - 1) * 12) + 24


@pytest.mark.parametrize("p, q", [(1, 1), (0.25, 4), (4, 0.25), (100, 1), (0.01, 0.5)])
@pytest.mark.parametrize("directed, weighted", [(False, False), (False, True), (True, False), (True, True)])
def test_steps_follow_the_second_order_law(p: float, q: float, directed: bool, weighted: bool) -> None:
    graph = a_graph(3, directed, weighted)
    a, states = matrix(graph), moves(graph)
    walked = sample(states, starts(states, 900, "each", np.random.default_rng(0)), 60, seed=5, p=p, q=q)
    seen = np.zeros((9, 9, 9))
    np.add.at(seen, (walked[:, :-2].ravel(), walked[:, 1:-1].ravel(), walked[:, 2:].ravel()), 1)
    tested = 0
    for t in range(9):
        for v in range(9):
            n = seen[t, v].sum()
            if a[t, v] == 0 or n < 500:
                assert a[t, v] > 0 or n == 0
                continue
            expected = n * law(a, t, v, p, q)
            assert not seen[t, v][expected == 0].any()
            likely = expected > 0
            chi = ((seen[t, v] - expected)[likely] ** 2 / expected[likely]).sum()
            # Rare cells (expected below 1) have heavier tails: they are allowed their variance over their mean.
            assert chi <= bound(int(likely.sum())) + (1 / expected[likely]).sum(), (t, v, chi)
            tested += 1
    assert tested >= 15


def test_the_law_check_can_fail() -> None:
    graph = a_graph(3)
    a, states = matrix(graph), moves(graph)
    walked = sample(states, starts(states, 900, "each", np.random.default_rng(0)), 60, seed=5, p=0.5, q=1)
    seen = np.zeros((9, 9, 9))
    np.add.at(seen, (walked[:, :-2].ravel(), walked[:, 1:-1].ravel(), walked[:, 2:].ravel()), 1)
    t, v = np.unravel_index(seen.sum(2).argmax(), (9, 9))
    expected = seen[t, v].sum() * law(a, int(t), int(v), 1, 1)
    likely = expected > 0
    assert ((seen[t, v] - expected)[likely] ** 2 / expected[likely]).sum() > bound(int(likely.sum()))


def test_a_step_that_is_hardly_ever_accepted_is_drawn_from_its_whole_row() -> None:
    # From 0 one goes to 1; there only going back or far on is possible, both a million times less likely than the rest.
    graph = Graph(torch.tensor([[0, 1, 1, 1], [1, 0, 2, 3]]), 4, directed=True)
    walked = sample(moves(graph), np.zeros(4000, np.int32), 3, seed=0, p=1e6, q=5e5)
    share = np.bincount(walked[:, 2], minlength=4) / 4000
    np.testing.assert_allclose(share, [0.2, 0, 0.4, 0.4], atol=0.04)


def test_walks_do_not_depend_on_threads_or_blocks() -> None:
    states = moves(a_graph(1, weighted=True))
    begin = starts(states, 100, "uniform", np.random.default_rng(0))
    whole = sample(states, begin, 20, seed=9, p=0.5, q=2)
    parts = [sample(states, begin[i : i + 300], 20, seed=9, p=0.5, q=2, first=i) for i in range(0, 900, 300)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        np.testing.assert_array_equal(sample(states, begin, 20, seed=9, p=0.5, q=2), whole)
    finally:
        torch.set_num_threads(before)
    assert (sample(states, begin, 20, seed=10, p=0.5, q=2) != whole).any()


def test_a_walk_ends_where_there_is_no_way_on() -> None:
    graph = Graph(torch.tensor([[0, 1, 2], [1, 2, 3]]), 5, directed=True, weight=torch.tensor([1.0, 2.0, 0.0]))
    walked = sample(moves(graph), np.array([0, 4]), 4, seed=0)
    np.testing.assert_array_equal(walked, [[0, 1, 2, -1], [4, -1, -1, -1]])


def test_equal_weights_are_no_weights() -> None:
    graph = a_graph(2)
    twice = Graph(graph.edge_index, 9, weight=torch.full((graph.num_edges,), 2.0))
    begin = np.arange(9)
    np.testing.assert_array_equal(sample(moves(graph), begin, 30, seed=1), sample(moves(twice), begin, 30, seed=1))


def test_starts_follow_their_law() -> None:
    states = moves(Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 4))
    each = starts(states, 50, "each", np.random.default_rng(0))
    assert each.shape == (200,) and (np.bincount(each) == 50).all()
    by_degree = np.bincount(starts(states, 5000, "degree", np.random.default_rng(0)), minlength=4) / 20000
    np.testing.assert_allclose(by_degree, [0.25, 0.5, 0.25, 0], atol=0.02)
    uniform = np.bincount(starts(states, 5000, "uniform", np.random.default_rng(0)), minlength=4) / 20000
    np.testing.assert_allclose(uniform, 0.25, atol=0.02)


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=30).filter(lambda w: sum(w) > 1e-3))
@settings(max_examples=40, deadline=None)
def test_an_alias_table_holds_the_weights(weight: list[float]) -> None:
    share, other = alias_of(np.array(weight))
    held = np.zeros(len(weight))
    np.add.at(held, np.arange(len(weight)), np.clip(share, 0, 1))
    np.add.at(held, other, 1 - np.clip(share, 0, 1))
    w = np.array(weight, np.float32).astype(float)
    np.testing.assert_allclose(held / len(weight), w / w.sum(), atol=1e-5)


def test_what_a_walk_cannot_use_is_refused() -> None:
    states = moves_between(np.array([0, 1]), np.array([0]))
    for wrong, said in (({"p": 0.0}, "p is 0"), ({"q": math.inf}, "q is inf")):
        with pytest.raises(SemblanceError, match=said):
            sample(states, np.array([0]), 2, seed=0, **wrong)
    with pytest.raises(SemblanceError, match="states long"):
        sample(states, np.array([0]), 0, seed=0)
    with pytest.raises(SemblanceError, match="states are 0 to 0"):
        sample(states, np.array([1]), 2, seed=0)
    with pytest.raises(SemblanceError, match="weight -1"):
        moves_between(np.array([0, 2]), np.array([0, 0]), np.array([1.0, -1.0]))
    with pytest.raises(SemblanceError, match="did you mean each"):
        starts(states, 1, "eech", np.random.default_rng(0))
    with pytest.raises(SemblanceError, match="no state has a move"):
        starts(moves_between(np.array([0, 0]), np.array([], int)), 1, "degree", np.random.default_rng(0))


def test_a_negative_sign_is_refused_as_no_nearness() -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 2, sign=torch.tensor([1.0, -1.0]))
    with pytest.raises(SemblanceError, match="1 of 2 edges have a negative sign"):
        moves(graph)
    assert moves(Graph(graph.edge_index, 2, sign=torch.ones(2))).num_states == 2
