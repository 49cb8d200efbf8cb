"""Layers against PyTorch Geometric's with copied weights, on graphs with loops, repeated edges and lone nodes."""

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINConv, PNAConv, SAGEConv

from semblance.encoders.graphs import Aggregated, Attention, Convolution, Sage, Sum
from semblance.geometry.graph import Graph

NODES, WIDTH = 30, 6


def a_graph(directed=True, loops=True, dtype=torch.float64, nodes=NODES, edges=120, seed=0):
    chance = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, max(nodes - 3, 1), (2, edges), generator=chance)  # the last three have no edges
    if not loops:
        ends = ends[:, ends[0] != ends[1]]
    elif edges:
        # PyTorch Geometric's repeated self-loops have no defined weight: one each
        first = torch.unique(ends[0][ends[0] == ends[1]])
        ends = torch.cat([ends[:, ends[0] != ends[1]], first.expand(2, -1)], 1)
    if not directed:
        ends = torch.cat([ends, ends.flip(0)[:, ends[0] != ends[1]]], 1)
    weight = torch.rand(ends.shape[1], generator=chance, dtype=dtype) + 0.1
    return Graph(ends, nodes, directed=directed, weight=weight)


def features(graph, width=WIDTH, dtype=torch.float64, seed=1):
    return torch.randn(graph.num_nodes, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def copied(ours, pairs):
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.copy_(theirs.reshape(mine.shape))
    return ours


def check_equal(ours, theirs, graph, x, *extra, weights=None):
    """Outputs, and gradients of the input and of the paired weights, against the peer in float64."""
    x1, x2 = x.clone().requires_grad_(), x.double().requires_grad_()
    theirs = theirs.double()
    mine, peer = ours(x1, graph), theirs(x2, graph.edge_index, *(e.double() for e in extra))
    check_close(mine, peer)
    g = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2), dtype=mine.dtype)
    mine.backward(g)
    peer.backward(g.double())
    check_close(x1.grad, x2.grad)
    for a, b in weights:
        check_close(a.grad, b.grad.reshape(a.shape))


def check_close(mine, peer):
    torch.testing.assert_close(mine.double(), peer.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("widths", [(6, 3), (3, 6), (20, 40)])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_convolution_is_gcnconv(directed, widths, weighted, dtype):
    graph = a_graph(directed, dtype=dtype)
    theirs = GCNConv(*widths).to(dtype)
    nn.init.normal_(theirs.bias)
    ours = Convolution(*widths, weighted=weighted).to(dtype)
    weights = [(ours.map.weight, theirs.lin.weight), (ours.map.bias, theirs.bias)]
    copied(ours, weights)
    extra = (graph.weight,) if weighted else ()
    check_equal(ours, theirs, graph, features(graph, widths[0], dtype), *extra, weights=weights)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("outputs", [3, 9])
def test_a_sum_is_ginconv(learned, outputs, dtype):
    graph = a_graph(dtype=dtype)
    for update in (nn.Linear(WIDTH, outputs), nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU(), nn.Linear(8, outputs))):
        update = update.to(dtype)
        theirs = GINConv(update, eps=0.3, train_eps=learned).to(dtype)
        ours = Sum(update, epsilon=0.3, learn_epsilon=learned).to(dtype)
        mine, peer = ours(features(graph, dtype=dtype), graph), theirs(features(graph, dtype=dtype), graph.edge_index)
        torch.testing.assert_close(mine, peer, atol=1e-5, rtol=1e-5)
        if learned:
            (one,) = torch.autograd.grad((mine**2).sum(), ours.epsilon)
            (two,) = torch.autograd.grad((peer**2).sum(), theirs.eps)
            torch.testing.assert_close(one, two.reshape(()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("aggregator", ["mean", "sum", "max"])
def test_sage_is_sageconv(aggregator, dtype):
    graph = a_graph(loops=False, dtype=dtype)
    theirs = SAGEConv(WIDTH, 5, aggr=aggregator).to(dtype)
    ours = Sage(WIDTH, 5, aggregator=aggregator).to(dtype)
    weights = [
        (ours.neighbours.weight, theirs.lin_l.weight),
        (ours.neighbours.bias, theirs.lin_l.bias),
        (ours.itself.weight, theirs.lin_r.weight),
    ]
    copied(ours, weights)
    check_equal(ours, theirs, graph, features(graph, dtype=dtype), weights=weights)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("heads, outputs", [(1, 3), (1, 64), (8, 8), (3, 5), (4, 20)])
@pytest.mark.parametrize("concatenate", [True, False])
@pytest.mark.parametrize("directed", [True, False])
def test_attention_is_gatconv(heads, outputs, concatenate, directed, dtype):
    graph = a_graph(directed, dtype=dtype)
    theirs = GATConv(WIDTH, outputs, heads, concat=concatenate).to(dtype)
    nn.init.normal_(theirs.bias)
    ours = Attention(WIDTH, outputs, heads, concatenate=concatenate).to(dtype)
    weights = [
        (ours.map.weight, theirs.lin.weight),
        (ours.bias, theirs.bias),
        (ours.of_source, theirs.att_src),
        (ours.of_target, theirs.att_dst),
    ]
    copied(ours, weights)
    check_equal(ours, theirs, graph, features(graph, dtype=dtype), weights=weights)


def test_dynamic_attention_is_gatv2conv():
    graph = a_graph()
    theirs = GATv2Conv(WIDTH, 4, 2, bias=False).double()
    ours = Attention(WIDTH, 4, 2, score="dynamic", bias=False).double()
    theirs.lin_l.bias = theirs.lin_r.bias = None
    weights = [
        (ours.map.weight, theirs.lin_l.weight),
        (ours.other.weight, theirs.lin_r.weight),
        (ours.of_source, theirs.att),
    ]
    copied(ours, weights)
    check_equal(ours, theirs, graph, features(graph), weights=weights)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(
    "inputs, outputs, options",
    [
        (6, 6, {}),
        (6, 4, {}),
        (20, 33, {}),
        (6, 4, {"towers": 2}),
        (6, 4, {"towers": 2, "divide_input": True}),
        (6, 6, {"pre_layers": 2, "post_layers": 2}),
        (6, 6, {"edge_dim": 3}),
    ],
)
def test_principal_aggregation_is_pnaconv(inputs, outputs, options, dtype):
    graph = a_graph(loops=False, dtype=dtype)
    aggregators, scalers = ["mean", "max", "min", "std"], ["identity", "amplification", "attenuation"]
    histogram = torch.bincount(torch.bincount(graph.edge_index[1], minlength=NODES))
    theirs = PNAConv(inputs, outputs, aggregators, scalers, histogram, **options).to(dtype)
    names = {"towers": "towers", "divide_input": "divide", "pre_layers": "before", "post_layers": "after"}
    ours = Aggregated(
        inputs,
        outputs,
        float(theirs.aggr_module.avg_deg_log),
        ["mean", "max", "min", "deviation"],
        scalers,
        edges=options.get("edge_dim", 0),
        **{names[k]: v for k, v in options.items() if k in names},
    ).to(dtype)
    with torch.no_grad():
        for mine, peer in ((ours.pre, theirs.pre_nns), (ours.post, theirs.post_nns), (ours.mix, theirs.lin)):
            mine.load_state_dict(peer.state_dict())
        if options.get("edge_dim"):
            ours.edge.load_state_dict(theirs.edge_encoder.state_dict())
    weights = list(zip(ours.pre.parameters(), theirs.pre_nns.parameters(), strict=True))
    weights += list(zip(ours.post.parameters(), theirs.post_nns.parameters(), strict=True))
    extra = ()
    if options.get("edge_dim"):
        edge_x = features(graph, 3, dtype)[graph.edge_index[0]] * graph.weight[:, None]
        graph = Graph(graph.edge_index, NODES, directed=True, edge_x=edge_x)
        extra = (edge_x,)
    check_equal(ours, theirs, graph, features(graph, inputs, dtype), *extra, weights=weights)
