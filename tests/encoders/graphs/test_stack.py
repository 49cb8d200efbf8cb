"""Stacks of layers: joins, initial features, read-outs, and what a batch of nodes or graphs gets."""

import pytest
import torch
from torch import nn

from semblance.encoders.graphs import Convolution, Initial, Stack, Sum, pool
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ring(nodes):
    at = torch.arange(nodes)
    ends = torch.stack([at, (at + 1) % nodes])
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


@pytest.mark.parametrize("norm", [None, "batch"])
def test_activation_by_the_layer_or_after_it_is_the_same(norm):
    layers = [Convolution(3, 4), Convolution(4, 2)]
    net = Stack(layers, norm=norm).eval()
    batch = {"x": draw(6, 3), "graph": ring(6)}
    assert [layer.activation for layer in layers] == ([None] * 2 if norm else ["relu"] * 2)
    x = batch["x"]
    for i, layer in enumerate(layers):
        layer.activation = None
        x = net.norms[i](layer(x, batch["graph"])).relu()
    for layer in layers:
        layer.activation = None if norm else "relu"
    torch.testing.assert_close(net(batch), x)


def test_the_last_layer_stays_bare_when_asked():
    net = Stack([Convolution(3, 4), Convolution(4, 2)], activate_last=False)
    assert net.layers[0].activation == "relu" and net.layers[1].activation is None
    assert bool((net({"x": draw(6, 3), "graph": ring(6)}) < 0).any())


def test_layers_are_joined_as_the_jump_says():
    batch = {"x": draw(6, 4), "graph": ring(6)}
    layers = [Convolution(4, 4), Convolution(4, 4)]
    first = layers[0](batch["x"], batch["graph"]).relu()
    second = layers[1](first, batch["graph"]).relu()
    wanted = {
        "last": second,
        "concatenation": torch.cat([first, second], 1),
        "sum": first + second,
        "max": torch.maximum(first, second),
    }
    for jump, value in wanted.items():
        net = Stack(layers, jump=jump)
        torch.testing.assert_close(net(batch), value)
        assert net.dim == value.shape[1]
    net = Stack(layers, jump="concatenation", include_input=True, inputs=4)
    torch.testing.assert_close(net(batch), torch.cat([batch["x"], first, second], 1))
    assert net.dim == 12
    residual = Stack(layers[:1], residual=True)
    torch.testing.assert_close(residual(batch), first + batch["x"])


def test_one_linear_map_a_round_summed_is_a_linear_map_of_the_concatenation():
    batch = {"x": draw(7, 4), "graph": joined([ring(3), ring(4)])}
    net = Stack([Sum(nn.Linear(4, 4)), Sum(nn.Linear(4, 4))], jump="concatenation", include_input=True, inputs=4)
    maps = [nn.Linear(4, 2, bias=False) for _ in range(3)]
    states = net(batch).split(4, 1)
    by_round = sum(m(pool(s, batch["graph"].member, 2)) for m, s in zip(maps, states, strict=True))
    whole = torch.cat([m.weight for m in maps], 1)
    torch.testing.assert_close(net.embed(batch) @ whole.T, by_round)


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_graphs_are_pooled_over_their_own_nodes_and_an_empty_one_is_zero(how):
    states = draw(5, 3) - 5
    member = torch.tensor([0, 0, 2, 2, 2])
    found = pool(states, member, 4, how)
    reduce = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[how]
    for graph, rows in ((0, states[:2]), (2, states[2:])):
        torch.testing.assert_close(found[graph], reduce(rows, 0))
    assert not found[1].any() and not found[3].any()


def test_a_graphs_vector_does_not_depend_on_its_companions():
    net = Stack([Convolution(3, 4), Convolution(4, 2)], readout="mean")
    one, other = ring(3), ring(5)
    x, y = draw(3, 3), draw(5, 3, seed=1)
    both = net.embed({"x": torch.cat([x, y]), "graph": joined([one, other])})
    torch.testing.assert_close(both[0], net.embed({"x": x, "graph": joined([one])})[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(both[1], net.embed({"x": y, "graph": joined([other])})[0], atol=1e-6, rtol=1e-5)


def test_nodes_asked_for_are_answered_in_their_order():
    net, batch = Stack([Convolution(3, 4)]), {"x": draw(6, 3), "graph": ring(6)}
    states = net(batch)
    assert torch.equal(net.embed(batch), states)
    nodes = torch.tensor([5, 0, 5])
    assert torch.equal(net.embed({**batch, "nodes": nodes}), states[nodes])


def test_initial_features():
    graph = Graph(torch.tensor([[0, 1, 2, 0], [1, 2, 1, 1]]), 4, directed=True)
    batch = {"graph": graph}
    assert Initial("constant", 3)(batch).tolist() == [[1.0] * 3] * 4
    assert Initial("degree", 3)(batch).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]  # 3 counts as 2
    drawn = Initial("random", 5, torch.Generator().manual_seed(0))
    one, two = drawn(batch), drawn(batch)
    assert one.shape == (4, 5) and not torch.equal(one, two)
    x = draw(4, 2)
    assert torch.equal(Initial("random", 5)({"x": x, **batch})[:, :2], x)
    assert torch.equal(Initial()({"x": x, **batch}), x)
    with pytest.raises(SemblanceError, match="the nodes have no features"):
        Initial()(batch)


def test_dropout_falls_on_input_and_layers_only_in_training():
    batch = {"x": torch.ones(200, 3), "graph": ring(200)}
    net = Stack([Convolution(3, 50)], activation=None, dropout=0.5, input_dropout=0.5)
    torch.manual_seed(0)
    share = float((net.train()(batch) == 0).float().mean())
    assert 0.4 < share < 0.7
    assert torch.equal(net.eval()(batch), net(batch))
    sparse = torch.eye(200).to_sparse_csr()
    net = Stack([Convolution(200, 3)], input_dropout=0.5)
    assert net({"x": sparse, "graph": ring(200)}).shape == (200, 3)


def test_mistakes_are_said_with_their_remedy():
    with pytest.raises(SemblanceError, match="there is no jump 'concat'"):
        Stack([Convolution(3, 4)], jump="concat")
    with pytest.raises(SemblanceError, match="make them equal"):
        Stack([Convolution(3, 4), Convolution(4, 2)], jump="sum")
    with pytest.raises(SemblanceError, match="give inputs="):
        Stack([Convolution(3, 4)], include_input=True)
    with pytest.raises(SemblanceError, match="there is no readout 'meen'"):
        pool(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), 1, "meen")
