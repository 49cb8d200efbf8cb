"""Attacks on a graph before anything is learned from it."""

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.learning.attacks import _Unrolled, meta_flips, random_edges


def two_groups(nodes=60, seed=0):
    """Two groups of nodes, linked within, whose features tell a little of the group."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.arange(nodes) % 2
    ends = torch.randint(0, nodes, (2, 4 * nodes), generator=generator)
    inside = (side[ends[0]] == side[ends[1]]) & (ends[0] != ends[1])
    graph = Graph(ends[:, inside], nodes, directed=True).undirected()
    x = side[:, None] * 0.8 - 0.4 + torch.randn(nodes, 8, generator=generator)
    return graph, x, side


def pairs(graph):
    return {(min(i, j), max(i, j)) for i, j in graph.edge_index.T.tolist()}


def test_the_gradient_by_the_matrix_is_that_of_the_dense_computation():
    torch.manual_seed(0)
    nodes, steps, lr = 12, 4, 2.0
    adjacency = (torch.rand(nodes, nodes) < 0.4).float().triu(1)
    adjacency = adjacency + adjacency.T
    x, train = torch.rand(nodes, 5), torch.arange(5)
    wanted = torch.nn.functional.one_hot(torch.arange(5) % 3, 3).float()
    unrolled = _Unrolled(adjacency)
    scores = unrolled.scores(x, train, wanted, steps, lr)
    scores[5:].square().sum().backward()

    held = adjacency.clone().requires_grad_()
    loops = held + torch.eye(nodes)
    s = loops / loops.sum(1).sqrt() / loops.sum(1).sqrt()[:, None]
    weight = speed = torch.zeros(5, 3)
    for _ in range(steps):
        error = torch.zeros(nodes, 3).index_put((train,), ((s @ s @ x @ weight)[train].softmax(1) - wanted) / 5)
        speed = 0.9 * speed + x.T @ s.T @ s.T @ error
        weight = weight - lr * speed
    torch.testing.assert_close(scores.detach(), (s @ s @ x @ weight).detach())
    (plain,) = torch.autograd.grad((s @ s @ x @ weight)[5:].square().sum(), held)
    found = unrolled.gradient()
    torch.testing.assert_close(found + found.T, plain + plain.T, rtol=1e-3, atol=1e-5)


def test_flips_hurt_more_than_as_many_random_edges():
    graph, x, side = two_groups(seed=1)
    train = torch.arange(12)
    count = 40

    def right(held):
        degree = torch.bincount(held.edge_index[1], minlength=60) + 1.0
        a = torch.zeros(60, 60)
        a[held.edge_index[1], held.edge_index[0]] = 1
        a = (a + torch.eye(60)) / degree.sqrt() / degree.sqrt()[:, None]
        h = a @ a @ x
        weight = torch.zeros(8, 2, requires_grad=True)
        for _ in range(200):
            loss = torch.nn.functional.cross_entropy(h[train] @ weight, side[train])
            (gradient,) = torch.autograd.grad(loss, weight)
            weight = (weight - gradient).detach().requires_grad_()
        return float(((h @ weight).argmax(1) == side)[12:].float().mean())

    attacked = meta_flips(graph, x, side, train, count, batch=5, lr=0.3)
    drawn = random_edges(graph, count, np.random.default_rng(0))
    assert right(attacked) < right(drawn) - 0.05 < right(drawn) < right(graph)
    assert len(pairs(attacked) ^ pairs(graph)) == count
    assert int(torch.bincount(attacked.edge_index[1], minlength=60).min()) >= 1
    across = [side[i] != side[j] for i, j in pairs(attacked) - pairs(graph)]
    assert sum(across) > 0.6 * len(across)  # most of what is added joins what differs


def test_the_attack_reads_no_label_outside_training():
    graph, x, side = two_groups()
    other = side.clone()
    other[12:] = 1 - other[12:]
    one, two = (meta_flips(graph, x, y, torch.arange(12), 5) for y in (side, other))
    assert pairs(one) == pairs(two)


def test_random_edges_are_new_and_as_many_as_asked():
    graph, _, _ = two_groups()
    found = random_edges(graph, 30, np.random.default_rng(1))
    assert len(pairs(found) - pairs(graph)) == 30 and pairs(graph) <= pairs(found)
    assert found.is_symmetric()
    assert pairs(found) == pairs(random_edges(graph, 30, np.random.default_rng(1)))
    with pytest.raises(SemblanceError, match="has no room"):
        random_edges(Graph(torch.tensor([[0, 1], [1, 0]]), 3), 3, np.random.default_rng(0))
