"""Descent of a hypergraph's energy: the formulas member by member, where it ends, and that the energy falls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from semblance.encoders.topology.energies import EnergyDescent, scales_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph


def drawn(seed=0, nodes=14, edges=9, weighted=False):
    rng = np.random.default_rng(seed)
    members = [rng.choice(nodes, rng.integers(2, 6), replace=False) for _ in range(edges)]
    edge = torch.from_numpy(np.repeat(np.arange(edges), [len(m) for m in members]))
    node = torch.from_numpy(np.concatenate(members))
    if not weighted:
        return Hypergraph(node, edge, nodes, edges)
    weight = torch.from_numpy(rng.uniform(0.5, 2, edges))
    return Hypergraph(
        node, edge, nodes, edges, weight=weight, membership=torch.from_numpy(rng.uniform(0.3, 1, len(node)))
    )


def states(width, nodes=14, seed=0, dtype=torch.float64):
    return torch.randn(nodes, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def matrices(held):
    """A_C, D_C, A_S, D_S as dense matrices, from loops."""
    nodes = held.num_nodes
    b = torch.zeros(nodes, held.num_edges, dtype=torch.float64)
    b[held.node, held.edge] = 1 if held.membership is None else held.membership
    w = torch.ones(held.num_edges, dtype=torch.float64) if held.weight is None else held.weight
    near, shared = torch.zeros(nodes, nodes, dtype=torch.float64), torch.zeros(nodes, nodes, dtype=torch.float64)
    for e in range(held.num_edges):
        for i in range(nodes):
            for j in range(nodes):
                near[i, j] += w[e] * b[i, e] * b[j, e] * (i != j)
                shared[i, j] += w[e] * b[i, e] * b[j, e] / b[:, e].sum()
    return near, torch.diag(near.sum(1)), shared, torch.diag(shared.sum(1))


@pytest.mark.parametrize("weighted", [False, True])
def test_degrees_are_the_row_sums_of_what_is_never_formed(weighted):
    held = drawn(1, weighted=weighted)
    _, of_clique, _, of_star = matrices(held)
    scales = scales_of(held, torch.float64)
    torch.testing.assert_close(scales.clique, of_clique.diagonal())
    torch.testing.assert_close(scales.star, of_star.diagonal())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_step_is_the_formula(mixed, weighted):
    torch.manual_seed(0)
    held, x = drawn(2, weighted=weighted), states(3)
    layer = EnergyDescent(3, 0.7, 1.9, 2, mixed, step=0.3).double()
    near, degree, shared, size = matrices(held)
    h0, h1 = (layer.of_clique, layer.of_star) if mixed else (torch.eye(3, dtype=torch.float64),) * 2
    q = torch.diag(1 / (0.7 * degree + 1.9 * size).diagonal().add(1))
    y = x.relu()
    for _ in range(2):
        if mixed:
            pull = 0.7 * (near @ y @ (h0 + h0.T) - degree @ y @ h0 @ h0.T)
            pull = pull + 1.9 * ((size - shared) @ y + shared @ y @ (h1 + h1.T) - size @ y @ h1 @ h1.T)
        else:
            pull = 0.7 * near @ y + 1.9 * shared @ y
        y = (0.7 * y + 0.3 * q @ (x + pull)).relu()
    torch.testing.assert_close(layer(x, held), y)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_energy_is_its_sum_over_pairs_and_members(mixed):
    torch.manual_seed(1)
    held, x, y = drawn(3), states(3), states(3, seed=5)
    layer = EnergyDescent(3, 0.7, 1.9, 1, mixed).double()
    h0, h1 = (layer.of_clique, layer.of_star) if mixed else (torch.eye(3, dtype=torch.float64),) * 2
    total = (y - x).square().sum()
    for e in range(held.num_edges):
        members = held.node[held.edge == e].tolist()
        for i in members:
            others = members if mixed else [j for j in members if j > i]
            total = total + sum(0.7 * (y[i] @ h0 - y[j]).square().sum() for j in others if i != j)
            total = total + 1.9 * (y[i] @ h1 - y[members].mean(0)).square().sum()
    torch.testing.assert_close(layer.energy(x, y, held), total)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_step_descends_half_the_gradient_of_the_energy_under_q(mixed):
    torch.manual_seed(2)
    held, x = drawn(4), states(3)
    layer = EnergyDescent(3, 0.4, 0.8, 1, mixed, step=0.05, positive="never").double()
    y = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(layer.energy(x, y, held), y)
    scales = scales_of(held, torch.float64)
    q = 1 + 0.4 * scales.clique + 0.8 * scales.star
    torch.testing.assert_close(layer(x, held), x - 0.05 * slope / 2 / q[:, None])


@pytest.mark.parametrize("positive", ["every", "never"])
def test_the_energy_of_plain_descent_never_rises_and_it_ends_in_the_solution(positive):
    held, x = drawn(5), states(4)
    layer = EnergyDescent(4, 1.0, 1.0, 600, positive=positive)
    found = layer.energies(x, held)
    assert len(found) == 601 and all(b <= a + 1e-9 * abs(a) for a, b in pairwise(found))
    near, degree, shared, size = matrices(held)
    least = torch.linalg.solve(torch.eye(14, dtype=torch.float64) + degree - near + size - shared, x)
    gap = (layer(x, held) - least).abs().max()
    assert gap < 1e-6 if positive == "never" else gap > 0.01


def test_a_step_that_is_too_long_makes_the_energy_rise():
    held, x = drawn(5), states(4)
    found = EnergyDescent(4, 1.0, 1.0, 30, step=2.5, positive="never").energies(x, held)
    assert found[-1] > found[0]


def test_the_projection_stands_where_it_is_asked_for():
    held, x = drawn(6), states(3)
    last, never = (EnergyDescent(3, steps=5, positive=p)(x, held) for p in ("last", "never"))
    torch.testing.assert_close(last, never.relu())
    assert EnergyDescent(3, steps=5)(x, held).min() >= 0 > never.min()


def test_gradients_reach_the_input_and_the_matrices():
    torch.manual_seed(3)
    held = drawn(7, nodes=6, edges=4)
    layer = EnergyDescent(2, 0.5, 0.5, 3, True, positive="never").double()
    x = states(2, 6).requires_grad_()
    assert gradcheck(lambda x, *_: layer(x, held), (x, layer.of_clique, layer.of_star))


def test_float32_agrees_with_float64_and_a_graph_is_its_neighbourhoods():
    ends = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    graph = Graph(ends, 5)
    x = states(3, 5)
    layer = EnergyDescent(3)
    torch.testing.assert_close(layer(x.float(), graph).double(), layer(x, graph), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(x, graph), layer(x, Hypergraph.of_neighbourhoods(graph)))


def test_wrong_settings_are_refused():
    with pytest.raises(SemblanceError, match="projection"):
        EnergyDescent(3, positive="always")
    with pytest.raises(SemblanceError, match="0 or more"):
        EnergyDescent(3, clique=-1.0)
