"""Lazy propagation: its memories run to the personalised PageRank and to the true gradient, and blocks are the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semblance.encoders.graphs.inputs import InputLinear
from semblance.encoders.graphs.lazy import Lazy, LazyPropagation, between, surroundings
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter, Weights, geometric
from semblance.errors import SemblanceError
from tests.encoders.graphs.test_propagate import NODES, features, random_graph, words


def resolvent(graph, restart: float = 0.1) -> torch.Tensor:
    s = torch.from_numpy(operator_of(graph).matrix().toarray())
    return restart * torch.linalg.inv(torch.eye(NODES) - (1 - restart) * s)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_with_frozen_weights_both_memories_run_to_the_resolvent(directed: bool, steps: int) -> None:
    graph, x, grad = random_graph(1, directed), features(), features(7)
    layer = Lazy(NODES, 5, steps, renew=0.0, renew_gradient=0.0).double()
    for _ in range(300):
        given = x.clone().requires_grad_()
        z = layer(given, graph)
        z.backward(grad)
    r = resolvent(graph)
    torch.testing.assert_close(z.detach(), r @ x, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(given.grad, r.T @ grad, rtol=1e-6, atol=1e-8)


def test_an_iteration_is_its_formula_forward_and_backward() -> None:
    graph, restart, beta, gamma = random_graph(2, directed=True), 0.2, 0.3, 0.6
    s = torch.from_numpy(operator_of(graph).matrix().toarray())
    layer = Lazy(NODES, 5, 2, restart, beta, gamma).double()
    m_z = m_g = None
    for turn in range(3):
        x, grad = features(turn).requires_grad_(), features(10 + turn)
        layer(x, graph).backward(grad)
        z = x.detach() if m_z is None else (1 - beta) * m_z + beta * x.detach()
        g = grad if m_g is None else (1 - gamma) * m_g + gamma * grad
        for _ in range(2):
            z = (1 - restart) * s @ z + restart * x.detach()
            g = (1 - restart) * s.T @ g + restart * grad
        m_z, m_g = z, g
        torch.testing.assert_close(layer.states.rows, z)
        torch.testing.assert_close(layer.gradients.rows, g)
        torch.testing.assert_close(x.grad, g)


def test_the_first_iteration_of_many_steps_is_that_of_the_unrolled_filter_with_its_gradient() -> None:
    graph, x = random_graph(3), features(dtype=torch.float32)
    answers = []
    for layer in (Lazy(NODES, 5, 10), Filter(10, Weights(geometric(10, 0.1)))):
        given = x.clone().requires_grad_()
        layer(given, graph).square().sum().backward()
        answers.append((layer(x, graph).detach() if isinstance(layer, Filter) else layer.states.rows, given.grad))
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-5)


def test_in_eval_mode_nothing_is_remembered_and_all_steps_are_made() -> None:
    graph, x = random_graph(4), features(dtype=torch.float32)
    layer = Lazy(NODES, 5)
    layer(x.requires_grad_(), graph)
    held = layer.states.rows.clone()
    full = Filter(10, Weights(geometric(10, 0.1)))(x, graph)
    with torch.no_grad():
        torch.testing.assert_close(layer(x + 1, graph), Filter(10, Weights(geometric(10, 0.1)))(x + 1, graph))
    torch.testing.assert_close(layer.eval()(x, graph), full)
    assert torch.equal(layer.states.rows, held) and not layer.gradients.written.any()


def test_the_memory_survives_save_and_load() -> None:
    graph = random_graph(5)
    layer, again = Lazy(NODES, 5), Lazy(NODES, 5)
    layer(features(1, dtype=torch.float32).requires_grad_(), graph).sum().backward()
    again.load_state_dict(layer.state_dict())
    x = features(2, dtype=torch.float32).requires_grad_()
    assert torch.equal(again(x, graph), layer(x, graph))
    assert not torch.equal(Lazy(NODES, 5)(x, graph), layer(x, graph))


def encoder(width: int = 5) -> LazyPropagation:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = nn.Sequential(InputLinear(width, 4), nn.ReLU())
    return LazyPropagation(Lazy(NODES, 4), 4, before).train()


@pytest.mark.parametrize("sparse", [False, True])
def test_one_block_of_all_nodes_is_the_full_batch_to_a_millionth(sparse: bool) -> None:
    graph, x = random_graph(6), words(width=5)
    batch = {"x": x.to_sparse_csr() if sparse else x, "graph": graph, "nodes": torch.tensor([2, 11, 5])}
    found = []
    for extra in ({}, {"block": torch.arange(NODES)}):
        net = encoder()
        for _ in range(4):
            net.zero_grad()
            z = net.embed(batch | extra)
            z.square().sum().backward()
        found.append((z.detach(), net.before[0].weight.grad, net.filter.states.rows, net.filter.gradients.rows))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)


def test_a_block_reads_the_memory_of_its_neighbours_and_writes_only_its_own() -> None:
    graph, x, block = random_graph(7), features(dtype=torch.float32), torch.tensor([0, 3, 8, 9])
    net = encoder()
    net.embed({"x": x, "graph": graph, "nodes": block}).sum().backward()
    layer = net.filter
    held = {name: getattr(layer, name).rows.clone() for name in ("states", "gradients")}
    given = net.before(x).detach()
    net.embed({"x": 2 * x, "graph": graph, "nodes": block[1:3], "block": block}).sum().backward()
    outside = torch.ones(NODES, dtype=torch.bool)
    outside[block] = False
    for name, rows in held.items():
        now = getattr(layer, name).rows
        assert torch.equal(now[outside], rows[outside]) and not torch.equal(now[block], rows[block])
    s = torch.from_numpy(operator_of(graph).matrix().toarray()).float()
    began = 0.5 * held["states"] + 0.5 * net.before(2 * x).detach()
    told = 0.9 * s @ began + 0.1 * net.before(2 * x).detach()
    torch.testing.assert_close(layer.states.rows[block], told[block])
    assert not torch.allclose(given, net.before(2 * x).detach())


def test_a_part_of_an_operator_keeps_the_factors_of_the_whole() -> None:
    graph, block = random_graph(8, directed=True, weighted=True), torch.tensor([4, 1, 20])
    operator = operator_of(graph)
    place = surroundings(operator, block)
    s = torch.from_numpy(operator.matrix().toarray())
    assert place[:3].tolist() == block.tolist() and not s[block].index_fill(1, place, 0).any()
    x = features()[place]
    part = between(operator, place)
    torch.testing.assert_close(part(x), s[place][:, place] @ x)
    torch.testing.assert_close(part.T(x), s[place][:, place].T @ x)


def test_another_graph_than_the_memorys_is_embedded_but_not_learned_from() -> None:
    net, larger, x = encoder(), random_graph(9, nodes=NODES + 3), features(nodes=NODES + 3, dtype=torch.float32)
    batch = {"x": x, "graph": larger}
    assert net.eval().embed(batch).shape == (NODES + 3, 4)
    with pytest.raises(SemblanceError, match="one for each node"):
        net.train().embed(batch)


@pytest.mark.parametrize("wrong", [{"renew": 1.5}, {"renew_gradient": -0.1}, {"steps": 0}])
def test_shares_and_steps_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SemblanceError, match=next(iter(wrong))):
        Lazy(3, 2, **wrong)
