"""Hypergraph convolution against its equation in dense matrices, PyTorch Geometric's layer, and finite differences."""

import pytest
import torch
from torch_geometric.nn import HypergraphConv

from semblance.encoders.topology.hypergraph import HypergraphConvolution, as_hypergraph, to_hyperedges, to_nodes
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.laplacians import hypergraph_laplacian


def drawn(seed=0, nodes=12, edges=7, weighted=False, shared=False, isolated=True):
    """A random hypergraph; its last node lies in no hyperedge where `isolated`."""
    rng = torch.Generator().manual_seed(seed)
    inside = torch.rand(nodes, edges, generator=rng) < 0.4
    inside[-1] = not isolated
    node, edge = inside.nonzero().T
    shuffled = torch.randperm(len(node), generator=rng)
    return Hypergraph(
        node[shuffled],
        edge[shuffled],
        nodes,
        edges,
        weight=torch.rand(edges, generator=rng) + 0.5 if weighted else None,
        membership=torch.rand(len(node), generator=rng) + 0.1 if shared else None,
    )


def dense(hypergraph, learned=None):
    """H and W in float64."""
    incidence = torch.zeros(hypergraph.num_nodes, hypergraph.num_edges, dtype=torch.float64)
    share = torch.ones(len(hypergraph.node)) if hypergraph.membership is None else hypergraph.membership
    incidence[hypergraph.node, hypergraph.edge] = share.double()
    weight = torch.ones(hypergraph.num_edges) if hypergraph.weight is None else hypergraph.weight
    return incidence, weight.double() * (1 if learned is None else learned)


def plain(hypergraph, normalise, learned=None):
    """Theta_H by dense matrices, nodes in no hyperedge kept."""
    h, w = dense(hypergraph, learned)
    inverse = torch.where(h.sum(0) > 0, 1 / h.sum(0), 0)
    degree = h @ w
    linked = degree > 0
    power = torch.where(linked, degree.clamp(min=1e-9) ** (-0.5 if normalise == "symmetric" else -1), 0)
    theta = power[:, None] * (h @ torch.diag(w * inverse) @ h.T)
    return (theta * power if normalise == "symmetric" else theta) + torch.diag((~linked).double())


@pytest.mark.parametrize("normalise", ["symmetric", "mean"])
@pytest.mark.parametrize(
    "kind", [{}, {"weighted": True}, {"shared": True}, {"weighted": True, "shared": True}], ids=str
)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3)])
def test_the_layer_is_its_equation(normalise, kind, inputs, outputs):
    hypergraph = drawn(**kind)
    layer = HypergraphConvolution(inputs, outputs, normalise).double()
    x = torch.randn(12, inputs, dtype=torch.float64)
    expected = plain(hypergraph, normalise) @ x @ layer.map.weight.T + layer.map.bias
    torch.testing.assert_close(layer(x, hypergraph), expected)
    torch.testing.assert_close(layer.float()(x.float(), hypergraph), expected.float(), atol=1e-5, rtol=1e-4)


def test_learned_weights_start_as_ones_and_enter_as_factors():
    hypergraph = drawn(weighted=True)
    layer = HypergraphConvolution(3, 3, learn_weights=7).double()
    x = torch.randn(12, 3, dtype=torch.float64)
    fixed = HypergraphConvolution(3, 3).double()
    fixed.map.load_state_dict(layer.map.state_dict())
    torch.testing.assert_close(layer(x, hypergraph), fixed(x, hypergraph))
    torch.nn.init.normal_(layer.log_weight)
    expected = plain(hypergraph, "symmetric", layer.log_weight.exp()) @ x @ layer.map.weight.T
    torch.testing.assert_close(layer(x, hypergraph), expected)
    with pytest.raises(SemblanceError, match="weights of 7 hyperedges were learned, and there are 5"):
        layer(x, drawn(edges=5))


def test_gradients_agree_with_finite_differences():
    hypergraph = drawn(shared=True)
    layer = HypergraphConvolution(3, 2, learn_weights=7).double()
    x = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)

    def run(x, weight, log_weight):
        values = {"map.weight": weight, "map.bias": layer.map.bias, "log_weight": log_weight}
        return torch.func.functional_call(layer, values, (x, hypergraph))

    weights = [p.detach().clone().requires_grad_() for p in (layer.map.weight, layer.log_weight)]
    assert torch.autograd.gradcheck(run, (x, *weights))


def test_on_a_graph_as_a_2_uniform_hypergraph_it_is_half_of_identity_and_neighbours():
    rng = torch.Generator().manual_seed(1)
    upper = torch.triu(torch.rand(20, 20, generator=rng) < 0.3, 1)
    pairs = upper.nonzero()
    hypergraph = Hypergraph(pairs.flatten(), torch.arange(len(pairs)).repeat_interleave(2), 20, len(pairs))
    adjacency = (upper | upper.T).double()
    root = adjacency.sum(1).rsqrt()
    expected = (torch.eye(20) + root[:, None] * adjacency * root) / 2
    layer = HypergraphConvolution(20, 20, bias=False).double()
    torch.testing.assert_close(layer.smooth(torch.eye(20, dtype=torch.float64), hypergraph), expected)
    theta = torch.eye(20) - torch.from_numpy(hypergraph_laplacian(hypergraph).matrix.toarray())
    torch.testing.assert_close(theta, expected)


def test_the_operator_is_the_identity_less_the_laplacian():
    hypergraph = drawn(weighted=True, shared=True)
    eye = torch.eye(12, dtype=torch.float64)
    theta = HypergraphConvolution(12, 12).double().smooth(eye, hypergraph)
    torch.testing.assert_close(theta, eye - torch.from_numpy(hypergraph_laplacian(hypergraph).matrix.toarray()))


def test_pytorch_geometric_with_the_same_weights_gives_the_same_output():
    hypergraph = drawn()
    peer = HypergraphConv(5, 4)
    layer = HypergraphConvolution(5, 4, "mean", keep_isolated=False)
    with torch.no_grad():
        layer.map.weight.copy_(peer.lin.weight)
        layer.map.bias.copy_(peer.bias.normal_())
    x = torch.randn(12, 5)
    expected = peer(x, torch.stack([hypergraph.node, hypergraph.edge]), num_edges=hypergraph.num_edges)
    torch.testing.assert_close(layer(x, hypergraph), expected, atol=1e-5, rtol=1e-5)


def test_renumbering_nodes_and_hyperedges_renumbers_the_output():
    hypergraph = drawn(weighted=True, shared=True)
    nodes, edges = torch.randperm(12), torch.randperm(7)
    moved = Hypergraph(
        nodes[hypergraph.node],
        edges[hypergraph.edge],
        12,
        7,
        weight=hypergraph.weight[torch.argsort(edges)],
        membership=hypergraph.membership,
    )
    layer = HypergraphConvolution(4, 3).double()
    x = torch.randn(12, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x[torch.argsort(nodes)], moved)[nodes], layer(x, hypergraph))


def test_a_node_in_no_hyperedge_keeps_its_value_or_gets_nothing():
    hypergraph, x = drawn(), torch.randn(12, 4)
    kept, none = HypergraphConvolution(4, 4), HypergraphConvolution(4, 4, keep_isolated=False)
    torch.testing.assert_close(kept.smooth(x, hypergraph)[-1], x[-1])
    assert none.smooth(x, hypergraph)[-1].tolist() == [0] * 4
    assert HypergraphConvolution(4, 2)(x, Hypergraph(*torch.empty(2, 0, dtype=torch.int64), 12, 0)).isfinite().all()


def test_bags_of_words_give_what_dense_rows_give():
    hypergraph = drawn()
    x = (torch.rand(12, 9) < 0.3).float()
    for outputs in (4, 16):
        layer = HypergraphConvolution(9, outputs)
        torch.testing.assert_close(layer(x.to_sparse_csr(), hypergraph), layer(x, hypergraph))


def test_a_graph_is_read_as_its_neighbourhoods_which_are_made_once():
    graph = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 4)
    layer, x = HypergraphConvolution(3, 2), torch.randn(4, 3)
    torch.testing.assert_close(layer(x, graph), layer(x, Hypergraph.of_neighbourhoods(graph)))
    assert as_hypergraph(graph) is as_hypergraph(graph)


def test_the_two_stages_are_the_incidence_matrix_and_its_transpose():
    hypergraph = drawn(shared=True)
    h, _ = dense(hypergraph)
    x, states = torch.randn(12, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    torch.testing.assert_close(to_hyperedges(x, hypergraph), h.T @ x)
    torch.testing.assert_close(to_nodes(states, hypergraph), h @ states)


def test_new_nodes_are_answered_without_training_anew():
    hypergraph = drawn()
    layer, x = HypergraphConvolution(4, 3), torch.randn(14, 4)
    grown = hypergraph.appended(torch.tensor([0, 1, 1]), torch.tensor([0, 3, 4]), 2)
    assert layer(x, grown).shape == (14, 3)
    untouched = [v for v in range(12) if not {0, 3, 4} & set(hypergraph.edge[hypergraph.node == v].tolist())]
    torch.testing.assert_close(layer(x, grown)[untouched], layer(x[:12], hypergraph)[untouched])


def test_what_it_cannot_use_is_refused():
    with pytest.raises(SemblanceError, match="no normalisation 'rows'"):
        HypergraphConvolution(3, 2, "rows")
    negative = Hypergraph(torch.tensor([0]), torch.tensor([0]), 1, 1, weight=torch.tensor([-2.0]))
    with pytest.raises(SemblanceError, match="hyperedge 0 weighs -2"):
        HypergraphConvolution(3, 2)(torch.zeros(1, 3), negative)
