"""One layer again and again: all steps lead to one state, its gradient is that of the steps, units are as written."""

import pytest
import torch

from semblance.encoders.graphs.recurrent import FixedPoint, Gated, SteadyState
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def some(nodes=9, edges=24, seed=0):
    torch.manual_seed(seed)
    return torch.randn(nodes, 4, dtype=torch.float64), Graph(
        torch.randint(0, nodes - 1, (2, edges)), nodes, directed=True
    )


def mean_matrix(graph):
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a.index_put_((graph.edge_index[1], graph.edge_index[0]), torch.ones((), dtype=torch.float64), accumulate=True)
    return a / a.sum(1, keepdim=True).clamp(min=1)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_wherever_it_starts_the_state_is_the_same_and_solves_the_equation(scale):
    x, graph = some()
    layer = FixedPoint(4, 6, tolerance=1e-12).double()
    layer.around.weight.data *= scale  # beyond the bound the map is shortened
    found, mean = layer(x, graph), mean_matrix(graph)
    for start in (torch.zeros(9, 6), 50 * torch.randn(9, 6)):
        state = start.double()
        for _ in range(400):
            state = torch.tanh(mean @ state @ layer.weight().T + layer.itself(x))
        assert torch.allclose(found, state, atol=1e-9)
    assert torch.linalg.matrix_norm(layer.weight(), 2) <= 0.9 + 1e-9


def test_the_gradient_of_the_equation_is_that_of_many_steps():
    x, graph = some()
    layer = FixedPoint(4, 6, tolerance=1e-13).double()
    x.requires_grad_()
    direction = torch.randn(9, 6, dtype=torch.float64)
    inputs = [x, *layer.parameters()]
    found = torch.autograd.grad((layer(x, graph) * direction).sum(), inputs)
    state, mean = torch.zeros(9, 6, dtype=torch.float64), mean_matrix(graph)
    for _ in range(300):
        state = torch.tanh(mean @ state @ layer.weight().T + layer.itself(x))
    for one, other in zip(found, torch.autograd.grad((state * direction).sum(), inputs), strict=True):
        assert torch.allclose(one, other, atol=1e-8)


def test_a_step_of_the_gated_unit_hears_the_sum_of_the_neighbours():
    x, graph = some()
    layer = Gated(4, 2).double()
    state = x
    for _ in range(2):
        heard = torch.zeros_like(state)
        for u, v in graph.edge_index.T.tolist():
            heard[v] += layer.message.weight @ state[u]
        heard += layer.message(torch.zeros(4, dtype=torch.float64))
        state = layer.cell(heard, state)
    assert torch.allclose(layer(x, graph), state)


def test_in_training_a_step_renews_a_share_of_the_nodes_and_otherwise_all():
    x, graph = some()
    layer, mean = SteadyState(4, 5, steps=1, share=0.5).double(), mean_matrix(graph)
    heard = torch.cat([x, mean @ x, torch.zeros(9, 5, dtype=torch.float64)], 1)
    wanted = 0.5 * layer.outer(torch.relu(layer.inner(heard)))
    assert torch.allclose(layer.eval()(x, graph), wanted)
    torch.manual_seed(1)
    found = layer.train()(x, graph)
    renewed = (found != 0).any(1)
    assert 0 < int(renewed.sum()) < 9 and torch.allclose(found[renewed], wanted[renewed])


def test_steps_that_need_not_settle_are_refused():
    with pytest.raises(SemblanceError, match=r"bound is 1\.0"):
        FixedPoint(3, 3, 1.0)
    with pytest.raises(SemblanceError, match="0 steps"):
        Gated(3, 0)
    with pytest.raises(SemblanceError, match="share 0"):
        SteadyState(3, 3, share=0)
