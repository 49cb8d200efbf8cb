"""Convolutions of the surveys, against their equations as loops; samples of layers."""

import numpy as np
import pytest
import torch

from semblance.data.layer_samples import LayerSamples, importance
from semblance.encoders.graphs.eigenbasis import Bumps, smoothest
from semblance.encoders.graphs.hops import Beside, Hearing
from semblance.encoders.graphs.in_turn import InTurn
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.mixture import Mixture
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter
from semblance.encoders.graphs.residual_graph import ResidualGraph
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.testing.related import graph as small_graph
from semblance.testing.related import graphs


def some(nodes=10, edges=22, seed=0):
    torch.manual_seed(seed)
    one = torch.randint(0, nodes - 1, (2, edges))
    return torch.randn(nodes, 4, dtype=torch.float64), Graph(torch.cat([one, one.flip(0)], 1), nodes).without_loops()


def test_bumps_over_the_spectrum_add_up_to_all_of_it():
    x, graph = some()
    operator = operator_of(graph, "symmetric-loops")
    terms = torch.stack(list(Bumps(10).terms(operator, x, 3)))
    assert torch.allclose(terms.sum(0), x)
    vectors, rank = smoothest(operator, 4)
    part = torch.stack(list(Bumps(4).terms(operator, x, 2))).sum(0)
    assert torch.allclose(part, torch.from_numpy(vectors @ vectors.T) @ x)
    values = (vectors * (operator.matrix() @ vectors)).sum(0)
    assert (np.diff(values) < 1e-9).all() and (np.diff(rank) >= 0).all()


def test_what_is_learned_over_the_spectrum_does_not_depend_on_the_basis_of_an_eigenspace():
    ring = torch.arange(8)
    ends = torch.stack([ring, (ring + 1) % 8])  # every eigenvalue but two of a ring stands twice
    graph = Graph(torch.cat([ends, ends.flip(0)], 1), 8)
    shift = torch.roll(torch.eye(8, dtype=torch.float64), 1, 0)
    for term in Bumps(8).terms(operator_of(graph, "symmetric"), torch.eye(8, dtype=torch.float64), 3):
        assert torch.allclose(term @ shift, shift @ term, atol=1e-9)  # it commutes with turning the ring


def test_a_mixture_weighs_neighbours_by_where_they_lie():
    x, graph = some()
    layer = Mixture(4, 3, bumps=2).double()
    degree = torch.from_numpy(graph.rows().degree).clamp(min=1).double()
    maps = layer.map.weight.view(2, 3, 4)
    wanted = layer.itself(x)
    for u, v in graph.edge_index.T.tolist():
        where = torch.stack([degree[u], degree[v]]).rsqrt()
        for k in range(2):
            weight = (-((where - layer.mean[k]) ** 2 * layer.log_strength[k].exp()).sum() / 2).exp()
            wanted[v] = wanted[v] + weight * maps[k] @ x[u] / degree[v]
    assert torch.allclose(layer(x, graph), wanted)


def test_a_residual_graph_of_share_zero_is_convolution_and_stays_within_its_graphs():
    x, graph = some()
    layer = ResidualGraph(4, 3).double()
    plain = Convolution(4, 3).double()
    plain.map.load_state_dict(layer.map.state_dict())
    assert torch.allclose(layer(x, graph), plain(x, graph))
    place = x @ layer.metric.weight.T
    assert torch.allclose(layer.residual(x, graph), (-(torch.cdist(place, place) ** 2)).softmax(1))
    layer.share.data.fill_(0.5)
    y = x @ layer.map.weight.T
    assert torch.allclose(layer(x, graph), plain(x, graph) + 0.5 * layer.residual(x, graph) @ y)
    several = graphs().read(np.arange(3))["graph"]
    found = ResidualGraph(2, 3).residual(torch.randn(several.num_nodes, 2), several)
    assert (found[several.member[:, None] != several.member] == 0).all()


def test_hops_stand_side_by_side():
    x, graph = some()
    operator = operator_of(graph, "row")
    mix = Beside(4, 2).double()
    torch.nn.init.normal_(mix.weight)
    found = Filter(2, mix, operator="row")(x, graph)
    powers = [x, operator(x), operator(operator(x))]
    assert torch.allclose(found, torch.cat([w * p for w, p in zip(mix.weight, powers, strict=True)], 1))


def test_every_layer_hears_the_states_of_all_layers_before():
    x, graph = some()
    layer = Hearing(4, 3, layers=2).double()
    mean = operator_of(graph, "row")
    first = torch.tanh(layer.own[0](x) + mean(layer.others[0](x)))
    second = torch.tanh(layer.own[1](x) + mean(layer.others[1](torch.cat([x, first], 1))))
    assert torch.allclose(layer(x, graph), torch.cat([first, second], 1))


def test_neighbours_are_read_one_after_the_other():
    x, graph = some()
    layer = InTurn(4, 3, most=3).double().eval()
    found = layer(x, graph)
    assert torch.equal(found, layer(x, graph))
    rows = graph.rows()
    for v in range(10):
        sources = rows.index[rows.start[v] : rows.start[v + 1]].tolist()
        possible = [()] if not sources else _orders(sources, min(3, len(sources)))
        answers = []
        for order in possible:
            state = layer.read(x[list(order)][None])[1][0][0, 0] if order else torch.zeros(3, dtype=torch.float64)
            answers.append(layer.neighbours(state) + layer.itself(x[v]))
        assert min(float((a - found[v]).detach().abs().max()) for a in answers) < 1e-9
    torch.manual_seed(0)
    assert (layer.train()(x, graph) != layer(x, graph)).any()


def _orders(items, count):
    if count == 0:
        return [()]
    return [(item, *rest) for i, item in enumerate(items) for rest in _orders(items[:i] + items[i + 1 :], count - 1)]


class Drawn:
    """A generator that draws what it is told."""

    def __init__(self, source):
        self.source = source

    def choice(self, *given, **more):
        return np.array([self.source])


def test_on_average_a_layer_sample_tells_what_all_neighbours_tell():
    data = small_graph()
    graph, x = data.graph, torch.from_numpy(data.x).double()
    wanted = operator_of(graph, "adjacency")(x)
    chance = importance(graph)
    assert abs(chance.sum() - 1) < 1e-9
    total, rows = torch.zeros_like(wanted), np.arange(60)
    for source in np.flatnonzero(chance):
        part = LayerSamples(sources=1, batch=60).read(data, rows, Drawn(source))["graph"]
        # The units come first, so that node i of the part is node i.
        told = part.weight[:, None].double() * x[part.edge_index[0]]
        total.index_add_(0, part.edge_index[1], chance[source] * told)
    assert torch.allclose(total, wanted, atol=1e-5)
    rng = np.random.default_rng(0)
    batch = LayerSamples(sources=10**6).read(data, np.arange(5), rng)
    told = np.flatnonzero(chance)
    assert set(batch["nodes"].tolist()) == set(range(5)) and batch["graph"].num_nodes == len(set(told) | set(range(5)))


def test_what_cannot_be_read_or_sampled_is_refused():
    with pytest.raises(SemblanceError, match="0 neighbours"):
        InTurn(3, 3, 0)
    with pytest.raises(SemblanceError, match="0 sources"):
        LayerSamples(0)
    with pytest.raises(SemblanceError, match="0 eigenvectors"):
        Bumps(0)
    with pytest.raises(SemblanceError, match="one graph"):
        LayerSamples().bind(graphs(), np.arange(3))
