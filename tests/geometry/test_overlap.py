"""Neighbour sets of pairs, against sets of Python, and their sums against a loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.geometry.graph import Graph
from semblance.geometry.overlap import BOTH, FIRST, SECOND, neighbours_of, overlap

NODES = 9


def a_graph(seed, directed=False, edges=20):
    """With self-loops and repeated edges."""
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, NODES, (2, edges)))
    return Graph(ends if directed else torch.cat([ends, ends.flip(0)], 1), NODES, directed=directed)


def plainly(graph):
    near = [set() for _ in range(NODES)]
    for i, j in graph.edge_index.T.tolist():
        if i != j:
            near[i].add(j)
            near[j].add(i)
    return near


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_the_sets_are_those_that_python_finds(seed, directed, union):
    graph = a_graph(seed, directed)
    near, rng = plainly(graph), np.random.default_rng(seed)
    one, two = torch.from_numpy(rng.integers(0, NODES, (2, 15)))
    sets = overlap(neighbours_of(graph), one, two, union)
    for p, (i, j) in enumerate(zip(one.tolist(), two.tolist(), strict=True)):
        at = slice(sets.start[p], sets.start[p + 1])
        wanted = (near[i] | near[j] if union else near[i] & near[j]) - {i, j}
        assert sets.node[at].tolist() == sorted(wanted)
        where = {(True, True): BOTH, (True, False): FIRST, (False, True): SECOND}
        assert sets.side[at].tolist() == [where[u in near[i], u in near[j]] for u in sorted(wanted)]
    assert sets.owner().tolist() == np.repeat(np.arange(15), np.diff(sets.start)).tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_over_the_sets_and_its_gradients_are_those_of_a_loop(dtype):
    graph, rng = a_graph(3), np.random.default_rng(0)
    one, two = torch.from_numpy(rng.integers(0, NODES, (2, 12)))
    sets = overlap(neighbours_of(graph), one, two, union=True)
    x = torch.from_numpy(rng.normal(size=(NODES, 3))).to(dtype).requires_grad_()
    weight = torch.from_numpy(rng.random(len(sets.node))).to(dtype).requires_grad_()
    slope = torch.from_numpy(rng.normal(size=(12, 3))).to(dtype)
    slow = x.new_zeros(12, 3).index_add(0, sets.owner(), weight[:, None] * x[torch.from_numpy(sets.node).long()])
    fast = sets.summed(x, weight)
    torch.testing.assert_close(fast, slow)
    for found, wanted in zip(
        torch.autograd.grad((fast * slope).sum(), (x, weight)),
        torch.autograd.grad((slow * slope).sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


def test_no_pairs_and_no_edges_give_empty_sets():
    nobody = torch.empty(0, dtype=torch.int64)
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), NODES)
    assert overlap(neighbours_of(a_graph(0)), nobody, nobody).start.tolist() == [0]
    alone = overlap(neighbours_of(empty), torch.tensor([0, 1]), torch.tensor([2, 3]), union=True)
    assert alone.start.tolist() == [0, 0, 0]
    assert alone.summed(torch.ones(NODES, 2)).tolist() == [[0, 0], [0, 0]]
