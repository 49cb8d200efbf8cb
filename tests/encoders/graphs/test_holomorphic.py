"""Filters along the edges of a directed graph and against them, and functions of operators that are not normal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.encoders.graphs.holomorphic import DAMPINGS, BothWays, calculus
from semblance.encoders.graphs.operators import operator_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from tests.encoders.graphs.test_propagate import NODES, features, random_graph, words


def matrices(graph: Graph, basis: str, depth: int, exponent: float = 0.25) -> list[torch.Tensor]:
    """p_0(T) .. p_K(T), dense."""
    kind = "two-way" if basis == "power" else "in-laplacian"
    t = torch.from_numpy(operator_of(graph, kind, (exponent, exponent)).matrix().toarray())
    step = t if basis == "power" else torch.linalg.inv(torch.eye(NODES) + t)
    return [torch.linalg.matrix_power(step, k) for k in range(depth + 1)]


@pytest.mark.parametrize("basis", ["power", "resolvent"])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("complex_weights", [False, True])
@pytest.mark.parametrize("damping", DAMPINGS)
def test_the_layer_is_its_formula(basis: str, constant: bool, complex_weights: bool, damping: str) -> None:
    graph, x = random_graph(1, directed=True, weighted=True), features()
    layer = BothWays(5, 3, 3, basis, 0.5, damping, constant, 0.3, complex_weights=complex_weights).double()
    with torch.no_grad():
        layer.bias.normal_(generator=torch.Generator().manual_seed(0))
    powers = matrices(graph, basis, 3, 0.5)
    weights = [layer.weight] if layer.imaginary is None else [layer.weight, layer.imaginary]
    streams = []
    for weight, bias in zip(weights, layer.bias.chunk(len(weights)), strict=True):
        y = bias.expand(NODES, 3)
        for at, k in enumerate(range(0 if constant else 1, 4)):
            damped = {"halving": 2.0**-k, "inverse": 1 / max(k, 1), "none": 1.0}[damping]
            y = y + damped * 0.3 * powers[k] @ x @ weight[0, at].T
            y = y + damped * 0.7 * powers[k].T @ x @ weight[1, at].T
        streams.append(y)
    expected = streams[0].abs() if len(streams) == 1 else torch.sqrt(streams[0] ** 2 + streams[1] ** 2)
    torch.testing.assert_close(layer(x, graph), expected)
    rows = BothWays(5, 3, 3, basis, 0.5, damping, constant, 0.3, complex_weights=complex_weights, unit_rows=True)
    rows.double().load_state_dict(layer.state_dict())
    torch.testing.assert_close(rows(x, graph), torch.nn.functional.normalize(expected, dim=1))


def test_turning_every_edge_turns_the_directions_and_an_undirected_graph_has_none() -> None:
    graph, x = random_graph(2, directed=True), features()
    layer, turned = (BothWays(5, 3, 2, balance=b).double() for b in (0.2, 0.8))
    with torch.no_grad():
        turned.weight.copy_(layer.weight.flip(0))
    other = Graph(graph.edge_index.flip(0), NODES, directed=True)
    torch.testing.assert_close(turned(x, other), layer(x, graph))
    assert not torch.allclose(layer(x, other), layer(x, graph))
    both = random_graph(2)
    same = Graph(both.edge_index.flip(0), NODES)
    torch.testing.assert_close(layer(x, same), layer(x, both))


@pytest.mark.parametrize("basis", ["power", "resolvent"])
def test_gradients_agree_with_finite_differences(basis: str) -> None:
    graph, x = random_graph(3, directed=True, nodes=8), features(width=3, nodes=8)
    layer = BothWays(3, 2, 2, basis, constant=True, learn_balance=True, complex_weights=True).double()
    with torch.no_grad():
        layer.bias.fill_(0.1)

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        named = dict(zip([n for n, _ in layer.named_parameters()], parameters, strict=True))
        return torch.func.functional_call(layer, named, (x, graph))

    inputs = [x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in layer.parameters())]
    assert torch.autograd.gradcheck(run, inputs)


def test_a_node_without_edges_has_finite_gradients() -> None:
    layer = BothWays(3, 2, 2, complex_weights=True, unit_rows=True)
    layer(torch.ones(4, 3), Graph(torch.tensor([[0], [1]]), 4, directed=True)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_bags_of_words_and_renumbered_nodes_give_the_same() -> None:
    graph, x = random_graph(4, directed=True), words()
    layer = BothWays(12, 3, 2)
    torch.testing.assert_close(layer(x.to_sparse_csr(), graph), layer(x, graph))
    order = torch.randperm(NODES, generator=torch.Generator().manual_seed(0))
    moved = Graph(torch.argsort(order)[graph.edge_index], NODES, directed=True)
    torch.testing.assert_close(layer(x[order], moved), layer(x, graph)[order])


def test_the_contour_gives_polynomials_resolvents_and_the_exponential_of_a_matrix_that_is_not_normal() -> None:
    graph = random_graph(5, directed=True)
    t = operator_of(graph, "in-laplacian").matrix().toarray()
    assert np.abs(t @ t.T - t.T @ t).max() > 1
    most = t.diagonal().max()
    around = {"centre": most, "radius": most + 0.5}
    np.testing.assert_allclose(calculus(t, lambda z: z**3, **around), np.linalg.matrix_power(t, 3), atol=1e-8)
    np.testing.assert_allclose(
        calculus(t, lambda z: 1 / (z + 1), **around), np.linalg.inv(t + np.eye(NODES)), atol=1e-8
    )
    exact = torch.linalg.matrix_exp(torch.from_numpy(-t)).numpy()
    np.testing.assert_allclose(calculus(t, lambda z: np.exp(-z), **around), exact, atol=1e-8)
    # A circle around a pole of the function adds its residue: the check can fail.
    wrong = calculus(t, lambda z: 1 / (z + 1), centre=most, radius=most + 2)
    assert np.abs(wrong - np.linalg.inv(t + np.eye(NODES))).max() > 1e-3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"depth": 0}, "1 step"),
        ({"basis": "faber"}, "power"),
        ({"damping": "half"}, "halving"),
        ({"balance": 2}, "0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        BothWays(3, 2, **wrong)
