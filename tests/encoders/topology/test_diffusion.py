"""Diffusion layers and networks: limits, symmetries, gradients, and the compiled step against the composed one."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semblance.encoders.topology.diffusion import Diffusion, DiffusionNetwork
from semblance.encoders.topology.fused import KINDS
from semblance.encoders.topology.sheaf import GivenSheaf, LocalPCA, SheafLearner
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.sheaves import sheaf_laplacian


def a_graph(nodes=11, edges=40, seed=0, **more):
    ends = torch.randint(0, nodes, (2, edges), generator=torch.Generator().manual_seed(seed))
    return Graph(ends, nodes, directed=True, **more)


def states(nodes, width, seed=1, dtype=torch.float64):
    return torch.randn(nodes, width, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def a_layer(maps, d=3, f=4, dtype=torch.float64, seed=0, dropout=0.0, **more):
    torch.manual_seed(seed)
    layer = Diffusion(SheafLearner(d, f, maps, **more), d, f, dropout=dropout)
    with torch.no_grad():
        layer.left.add_(0.3 * torch.randn(d, d))
        layer.gain.normal_()
    return layer.to(dtype)


def plain(layer, x, graph):
    """The layer by its equation, dense, in float64."""
    d, f = layer.d, layer.f
    operator = layer.operator(x, graph).laplacian().matrix.toarray()
    mixed = torch.einsum("ab,nbc,kc->nak", layer.left, x.view(-1, d, f), layer.right)
    flow = torch.from_numpy(operator) @ mixed.reshape(-1, f)
    return ((1 + torch.tanh(layer.gain))[:, None] * x.view(-1, d, f) - F.elu(flow).view(-1, d, f)).flatten(1)


@pytest.mark.parametrize("maps", ["diagonal", "householder", "general"])
def test_a_residual_layer_is_its_equation(maps):
    layer, graph, x = a_layer(maps), a_graph(), states(11, 12)
    torch.testing.assert_close(layer(x, graph), plain(layer, x, graph))


@pytest.mark.parametrize("maps", KINDS)
@pytest.mark.parametrize(("how", "augmented"), [("none", False), ("block", True), ("entries", False)])
def test_the_compiled_step_agrees_with_the_composed_one_in_value_and_gradient(maps, how, augmented):
    graph, x, g = a_graph(nodes=40, edges=160), states(40, 12), states(40, 12, seed=2)
    found = []
    for dtype in (torch.float32, torch.float64):
        layer = a_layer(maps, dtype=dtype, normalisation=how, augmented=augmented, ridge=1e-3)
        given = x.to(dtype).requires_grad_()
        out = layer(given, graph)
        out.backward(g.to(dtype))
        found.append([out.double(), given.grad.double(), *(p.grad.double() for p in layer.parameters())])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("maps", ["diagonal", "cayley", "general"])
def test_gradients_are_those_of_finite_differences(maps):
    graph = a_graph(nodes=4, edges=5)
    layer = a_layer(maps, d=2, f=2)
    held = dict(layer.named_parameters())

    def applied(x, *values):
        return torch.func.functional_call(layer, dict(zip(held, values, strict=True)), (x, graph))

    x = states(4, 4).requires_grad_()
    assert torch.autograd.gradcheck(applied, (x, *held.values()))


@pytest.mark.parametrize("maps", KINDS)
def test_two_forwards_before_a_backward_keep_their_own_gradients(maps):
    graph = a_graph()
    inputs = [states(11, 12, seed, torch.float32) for seed in (1, 2)]

    def gradients(together):
        layer = a_layer(maps, dtype=torch.float32)
        found = []
        outs = [layer(x, graph) for x in inputs] if together else None
        for i, x in enumerate(inputs):
            layer.zero_grad()
            ((outs[i] if together else layer(x, graph)) ** 2).sum().backward()
            found.append([p.grad.clone() for p in layer.parameters()])
        return found

    for mine, theirs in zip(gradients(True), gradients(False), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_dropout_falls_on_what_flows_and_not_on_what_stays():
    graph, x = a_graph(), states(11, 12, dtype=torch.float32)
    layer = a_layer("diagonal", dtype=torch.float32, dropout=1.0 - 1e-7)
    torch.manual_seed(0)
    kept = (1 + torch.tanh(layer.gain))[:, None] * x.view(11, 3, 4)
    torch.testing.assert_close(layer(x, graph), kept.flatten(1))
    assert not torch.allclose(layer.eval()(x, graph), kept.flatten(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("maps", ["diagonal", "cayley", "general"])
def test_numbering_the_nodes_otherwise_numbers_the_outputs_otherwise(maps, dtype):
    graph, x = a_graph(), states(11, 12, dtype=dtype)
    layer = a_layer(maps, dtype=dtype)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    renamed = Graph(place[graph.edge_index], 11, directed=True)
    torch.testing.assert_close(layer(x[order], renamed), layer(x, graph)[order], atol=1e-4, rtol=1e-4)


def test_with_the_identity_sheaf_and_an_odd_activation_turning_all_stalks_turns_the_output():
    ends = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    rng = np.random.default_rng(0)
    bases = np.linalg.qr(rng.normal(size=(4, 3, 3)))[0]
    signs = rng.choice([-1.0, 1.0], (4, 3))
    maps = [rng.normal(size=(4, 3, 3)) for _ in range(2)]
    layer = Diffusion(None, 3, 5, form="convolution", activation="tanh", left=False).double()
    x = states(4, 15)
    for change, activation in ((bases, "none"), (np.stack([np.diag(s) for s in signs]), "tanh")):
        layer.activation = activation
        turned = [m @ change[side].transpose(0, 2, 1) for m, side in zip(maps, ends.numpy(), strict=True)]
        before, after = (sheaf_laplacian(ends, *m, np.full(4, 3), "block") for m in (maps, turned))
        turn = torch.from_numpy(change)
        moved = layer((turn @ x.view(4, 3, 5)).flatten(1), None, after)
        torch.testing.assert_close(moved, (turn @ layer(x, None, before).view(4, 3, 5)).flatten(1))


def test_the_constant_sheaf_is_graph_convolution_with_and_without_self_loops():
    from torch_geometric.nn import GCNConv

    ring = torch.stack(
        [torch.arange(30), (torch.arange(30) + 1) % 30]
    )  # no node is alone: there we keep it, GCN gives 0
    ends = torch.cat([a_graph(nodes=30, edges=90).edge_index, ring], 1)
    graph = Graph(ends, 30, directed=True).without_loops().undirected()
    x = states(30, 6)
    for augmented in (True, False):
        theirs = GCNConv(6, 4, add_self_loops=augmented, bias=False).double()
        layer = Diffusion(GivenSheaf(augmented=augmented), 1, 6, 4, form="convolution", activation="none", left=False)
        layer.double()
        with torch.no_grad():
            layer.right.copy_(theirs.lin.weight)
        torch.testing.assert_close(layer(x, graph), theirs(x, graph.edge_index), atol=1e-6, rtol=0)


def test_ragged_stalks_flow_without_mixing():
    ends, sizes = torch.tensor([[0, 1], [1, 2]]), np.array([1, 2, 3])
    rng = np.random.default_rng(0)
    source, target = ([rng.normal(size=(2, sizes[v])) for v in side.tolist()] for side in ends)
    operator = sheaf_laplacian(ends, source, target, sizes, "block")
    layer = Diffusion(None, 0, 4, form="convolution", activation="none", left=False).double()
    x = states(6, 4)
    mixed = x @ layer.right.t()
    torch.testing.assert_close(layer(x, None, operator), mixed - torch.from_numpy(operator.matrix.toarray()) @ mixed)
    with pytest.raises(SemblanceError, match="left=False"):
        Diffusion(None, 0, 4)


@pytest.mark.parametrize("ends", [[[], []], [[0, 0, 1], [0, 0, 1]], [[0, 1], [1, 0]], [[0, 0, 0], [1, 1, 1]]], ids=str)
@pytest.mark.parametrize("maps", ["diagonal", "general"])
def test_any_graph_is_answered_alike_in_both_precisions(ends, maps):
    graph = Graph(torch.tensor(ends, dtype=torch.int64), 3, directed=True)
    x = states(3, 12)
    found = [a_layer(maps, dtype=dtype)(x.to(dtype), graph).double() for dtype in (torch.float32, torch.float64)]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)
    assert torch.isfinite(found[0]).all()


def a_network(**more):
    torch.manual_seed(0)
    layers = [Diffusion(SheafLearner(2, 5, "general"), 2, 5) for _ in range(2)]
    return DiffusionNetwork(7, layers, **more)


def test_a_network_embeds_the_nodes_asked_for_and_pools_graphs():
    graph, x = a_graph(), states(11, 7, dtype=torch.float32)
    network = a_network().eval()
    whole = network({"x": x, "graph": graph})
    assert whole.shape == (11, 10)
    some = torch.tensor([3, 0])
    torch.testing.assert_close(network.embed({"x": x, "graph": graph, "nodes": some}), whole[some])
    member = torch.tensor([0] * 6 + [1] * 5)
    apart = graph.edge_index[:, member[graph.edge_index[0]] == member[graph.edge_index[1]]]
    two = Graph(apart, 11, directed=True, member=member, num_graphs=2)
    pooled = network.embed({"x": x, "graph": two})
    alone = network({"x": x[:6], "graph": two.part(torch.arange(6))})
    torch.testing.assert_close(pooled[0], alone.mean(0))


def test_bags_of_words_are_lifted_as_if_they_were_dense():
    x = states(11, 7, dtype=torch.float32).relu()
    network, graph = a_network().eval(), a_graph()
    torch.testing.assert_close(network({"x": x.to_sparse_csr(), "graph": graph}), network({"x": x, "graph": graph}))


def test_a_convolution_takes_bags_of_words_as_they_are():
    x = states(11, 7, dtype=torch.float32).relu()
    layer, graph = Diffusion(GivenSheaf(), 1, 7, 4, form="convolution", left=False, dropout=0.5).eval(), a_graph()
    torch.testing.assert_close(layer(x.to_sparse_csr(), graph), layer(x, graph))
    assert not torch.allclose(layer.train()(x.to_sparse_csr(), graph), layer.eval()(x, graph))


def test_one_operator_for_all_layers_is_found_once_from_the_lifted_states():
    torch.manual_seed(0)
    shared = SheafLearner(2, 5, "cayley")
    network = DiffusionNetwork(7, [Diffusion(None, 2, 5) for _ in range(3)], shared=shared)
    calls = []
    shared.register_forward_hook(lambda *_: calls.append(1))
    batch = {"x": states(11, 7, dtype=torch.float32), "graph": a_graph()}
    network(batch).sum().backward()
    assert len(calls) == 1
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_connection_is_read_off_the_features_and_every_weight_still_learns():
    torch.manual_seed(0)
    network = DiffusionNetwork(7, [Diffusion(None, 2, 5) for _ in range(2)], shared=LocalPCA(2))
    states_ = network.states({"x": states(11, 7, dtype=torch.float32), "graph": a_graph()})
    assert len(states_) == 3
    states_[-1].square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())


def test_wrong_settings_are_told_in_one_line():
    with pytest.raises(SemblanceError, match="no form of diffusion 'residuals': did you mean residual"):
        Diffusion(None, 2, 3, form="residuals")
    with pytest.raises(SemblanceError, match="4 channels cannot become 5"):
        Diffusion(None, 2, 4, 5)
    with pytest.raises(SemblanceError, match="rows of 7 numbers are no stalks of 2"):
        a_network().layers[0](states(11, 7), a_graph())
    with pytest.raises(SemblanceError, match="no operator of its own"):
        Diffusion(None, 2, 3)(states(11, 6), a_graph())


def test_a_fixed_operator_gives_the_same_in_one_step_and_composed():
    graph, x, features = a_graph(), states(11, 10), states(11, 6)
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        layer = Diffusion(None, 2, 5).to(dtype)
        given = x.to(dtype).requires_grad_()
        out = layer(given, graph, LocalPCA(2, augmented=True)(features.to(dtype), graph))
        (out**3).sum().backward()
        found.append([out.double(), given.grad.double(), *(p.grad.double() for p in layer.parameters())])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_the_constant_sheaf_flows_through_every_stalk_coordinate_alike():
    graph, x = a_graph(), states(11, 12)
    together = Diffusion(GivenSheaf(), 3, 4, form="convolution", activation="none", right=False).double()
    alone = Diffusion(GivenSheaf(), 1, 4, form="convolution", activation="none", left=False, right=False).double()
    expected = [alone(x.view(11, 3, 4)[:, a], graph) for a in range(3)]
    torch.testing.assert_close(together(x, graph), torch.cat(expected, 1))


def test_energies_are_those_of_the_operators_and_fall_where_the_graph_smooths():
    graph, x = a_graph(), states(11, 4)
    smooth = [Diffusion(None, 1, 4, form="convolution", activation="none", left=False, right=False) for _ in range(4)]
    shared = GivenSheaf(augmented=True)
    network = DiffusionNetwork(4, smooth, shared=shared, lift=False)
    found = network.energies({"x": x, "graph": graph})
    start = x.numpy()
    np.testing.assert_allclose(found[0], shared(None, graph).energy(start) / (start**2).sum(), rtol=1e-6)
    assert all(later < earlier for earlier, later in itertools.pairwise(found))
    learned = a_network().eval()
    batch = {"x": states(11, 7, dtype=torch.float32), "graph": graph}
    assert len(learned.energies(batch)) == 2 and all(0 <= e <= 2 for e in learned.energies(batch))
