"""The first state of a node."""

from __future__ import annotations

import torch

from semblance.data.dataset import Shape
from semblance.encoders.graphs.entrance import Entrance
from semblance.geometry.graph import Graph


def test_sparse_and_dense_features_enter_alike():
    x = torch.rand(5, 7) * (torch.rand(5, 7) < 0.4)
    entrance = Entrance(Shape("graph", (7,), 2, 5), 3)
    states = entrance({"x": x})
    torch.testing.assert_close(states, x @ entrance.map.weight.T + entrance.map.bias)
    torch.testing.assert_close(entrance({"x": x.to_sparse_csr()}), states)
    torch.testing.assert_close(entrance.double()({"x": x.to_sparse_csr().double()}).float(), states)


def test_without_features_equal_degrees_give_equal_states():
    graph = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 4)
    states = Entrance(Shape("graph", (0,), 2, 4), 3)({"graph": graph})
    assert torch.equal(states[0], states[2]) and not torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[3])
