"""Recommendation over a sheaf: its limits are graph convolution and matrix factorisation; its maps are the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.graphs.layered import Layered
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter, Weights
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.pairs import pairs_of
from semblance.recipes.recommender_sheaf import sheaf4rec, sheaf_step

USERS, ITEMS = 12, 9


def bipartite(seed=0, ratings=40):
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, USERS * ITEMS, ratings))
    ends = torch.from_numpy(np.stack([pairs // ITEMS, USERS + pairs % ITEMS]))
    return Graph(torch.cat([ends, ends.flip(0)], 1), USERS + ITEMS)


def draws(width, seed=0, dtype=torch.float64):
    return torch.randn(USERS + ITEMS, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def trivial(layer):
    """Every map 1 whatever the states."""
    with torch.no_grad():
        layer.operator.linear.weight.zero_()
        layer.operator.linear.bias.copy_(40 * torch.eye(layer.d).flatten())
    return layer


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_with_maps_of_one_a_step_is_graph_convolution_s_operator(dtype):
    graph, x = bipartite(), draws(8, dtype=dtype)
    wanted = operator_of(graph, "symmetric-loops")(x)
    for stalk in (1, 2):
        layer = trivial(sheaf_step(8, stalk)).to(dtype)
        if stalk > 1:  # tanh of 0 off the diagonal: matrices that are the identity
            assert torch.equal(layer.operator.restrictions(x, pairs_of(graph))[0][0], torch.eye(2, dtype=dtype))
        torch.testing.assert_close(layer(x, graph), wanted, rtol=0, atol=1e-6)


def test_a_step_the_other_way_is_not_that_operator():
    graph, x = bipartite(), draws(8)
    other = trivial(sheaf_step(8, step=-1.0)).double()(x, graph)
    assert (other - operator_of(graph, "symmetric-loops")(x)).abs().max() > 0.1


def test_the_maps_and_the_laplacian_are_the_formula_edge_by_edge():
    graph, x = bipartite(1), draws(4, 1)
    torch.manual_seed(0)
    layer = sheaf_step(4).double()
    torch.nn.init.normal_(layer.right)
    weight, bias = layer.operator.linear.weight[0], layer.operator.linear.bias[0]
    size = USERS + ITEMS
    laplacian = torch.zeros(size, size, dtype=torch.float64)
    for u, v in graph.edge_index.t().tolist():
        mine = torch.tanh(weight @ torch.cat([x[u], x[v]]) + bias)
        theirs = torch.tanh(weight @ torch.cat([x[v], x[u]]) + bias)
        laplacian[u, u] += mine**2
        laplacian[u, v] -= mine * theirs
    root = (laplacian.diagonal() + 1) ** -0.5
    wanted = x - (root[:, None] * laplacian * root) @ (x @ layer.right.t())
    torch.testing.assert_close(layer(x, graph), wanted)


def test_layers_that_propagate_and_equal_weights_are_lightgcn():
    graph, x = bipartite(2), draws(5, 2)
    mean = [0.25] * 4
    layers = [Filter(1, Weights([0.0, 1.0]), operator="symmetric") for _ in range(3)]
    torch.testing.assert_close(
        Layered(layers, Weights(mean))(x, graph), Filter(3, Weights(mean), None, "symmetric")(x, graph)
    )


def test_without_a_step_it_starts_as_matrix_factorisation():
    shape = Shape("interactions", (0,), 0, 40, facts={"nodes": float(USERS + ITEMS), "users": float(USERS)})
    still, moving = (sheaf4rec(dim=8, step=step).encoder(shape) for step in (0.0, 1.0))
    torch.testing.assert_close(still({"graph": bipartite()}), still.own)
    assert (moving({"graph": bipartite()}) - moving.own).abs().max() > 0.01


def test_a_stalk_that_does_not_divide_the_width_is_refused():
    with pytest.raises(SemblanceError, match="vectors of 64 numbers are no stalks of 5"):
        sheaf_step(64, 5)
