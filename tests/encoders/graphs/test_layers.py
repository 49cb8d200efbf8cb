"""Layers of message passing: symmetry, degenerate graphs, gradients, limits in which one is another."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.encoders.graphs import (
    Aggregated,
    Attention,
    Contextual,
    Convolution,
    Sage,
    Stack,
    Sum,
    as_convolution,
    as_sum,
)
from semblance.encoders.graphs.aggregators import NAMES, aggregate
from semblance.encoders.graphs.attention import softmax
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

ALL = ["mean", "max", "min", "std"]
LAYERS = {
    "convolution, sum first": lambda: Convolution(5, 9, activation="relu"),
    "convolution, map first": lambda: Convolution(9, 5, activation="relu"),
    "convolution, mean": lambda: Convolution(5, 4, normalise="mean", loops=False),
    "sum, one map": lambda: Sum(nn.Linear(5, 4), epsilon=0.5),
    "sum, epsilon learned": lambda: Sum(nn.Linear(5, 4), learn_epsilon=True, activation="relu"),
    "sum, perceptron": lambda: Sum(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4))),
    "mean, pooled": lambda: Sum(nn.Linear(5, 4), aggregator="mean", pooled=True),
    "max, pooled": lambda: Sum(nn.Linear(5, 4), aggregator="max", pooled=True),
    "max": lambda: Sum(nn.Linear(5, 4), aggregator="max"),
    "sage": lambda: Sage(5, 4, activation="relu"),
    "sage, max": lambda: Sage(5, 4, aggregator="max"),
    "attention": lambda: Attention(5, 4, activation="relu"),
    "attention, heads": lambda: Attention(5, 8, heads=3, activation="elu"),
    "attention, averaged": lambda: Attention(5, 6, heads=2, concatenate=False, activation="relu"),
    "attention, wide": lambda: Attention(5, 260, heads=1),
    "attention, many": lambda: Attention(5, 50, heads=5),
    "attention, dynamic": lambda: Attention(5, 4, heads=2, score="dynamic"),
    "attention, constant": lambda: Attention(5, 4, heads=2, score="constant"),
    "principal": lambda: Aggregated(5, 4, 1.2, activation="relu"),
    "principal, towers": lambda: Aggregated(6, 4, 1.2, [*ALL, "sum", "deviation"], towers=2, divide=True),
    "principal, deep": lambda: Aggregated(5, 4, 1.2, before=2, after=2),
    "principal, after": lambda: Aggregated(5, 4, 1.2, after=2, towers=2, activation="relu"),
    "principal, moments": lambda: Aggregated(5, 4, 1.2, [*ALL, "moment3"]),
    "contextual": lambda: Contextual(5, 4, 7),
    "contextual, max": lambda: Contextual(5, 4, 7, sigma="leaky_relu", aggregator="max", itself=True),
    "contextual, gelu": lambda: Contextual(5, 4, 7, sigma="gelu", aggregator="symmetric-mean"),
}


def made(name, dtype=torch.float64):
    """A layer with weights that do not depend on the order of tests."""
    layer = LAYERS[name]().to(dtype)
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in layer.parameters():
            drawn = torch.randn(parameter.shape, generator=chance, dtype=torch.float64)
            parameter.copy_(drawn / max(1, parameter.shape[-1] if parameter.ndim > 1 else 2) ** 0.5)
    return layer


def inputs_of(layer):
    first = next(p for n, p in layer.named_parameters() if p.ndim == 2 and "of_" not in n)
    if isinstance(layer, Aggregated):
        return layer.width * (layer.towers if layer.divide else 1)
    return first.shape[1]


def a_graph(nodes=12, edges=40, directed=True, seed=0):
    """Loops, repeated edges, and two lone nodes."""
    ends = torch.randint(0, nodes - 2, (2, edges), generator=torch.Generator().manual_seed(seed))
    if not directed:
        ends = torch.cat([ends, ends.flip(0)], 1)
    return Graph(ends, nodes, directed=directed)


def features(nodes, width, dtype=torch.float64):
    return torch.randn(nodes, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_permuting_the_nodes_permutes_what_a_layer_answers(name, dtype):
    layer, graph = made(name, dtype), a_graph()
    x = features(12, inputs_of(layer), dtype)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    place = torch.empty(12, dtype=torch.int64)
    place[order] = torch.arange(12)
    shuffled = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(3))
    moved = Graph(place[graph.edge_index][:, shuffled], 12, directed=True)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(layer(x[order], moved), layer(x, graph)[order], atol=tolerance, rtol=tolerance)


def test_the_permutation_check_can_fail():
    class ByNumber(nn.Module):
        def forward(self, x, graph):
            return x + torch.arange(len(x))[:, None]

    LAYERS["by number"] = lambda: nn.Sequential(nn.Linear(5, 5))
    try:
        x, order = features(12, 5), torch.randperm(12, generator=torch.Generator().manual_seed(2))
        with pytest.raises(AssertionError):
            torch.testing.assert_close(ByNumber()(x[order], None), ByNumber()(x, None)[order])
    finally:
        del LAYERS["by number"]


@pytest.mark.parametrize("needs", [True, False], ids=["x wants a gradient", "x wants none"])
@pytest.mark.parametrize("name", LAYERS)
def test_compiled_answers_and_gradients_are_those_of_plain_float64(name, needs):
    wide, narrow = made(name), made(name, torch.float32)
    for graph in (a_graph(), a_graph(40, 300, directed=False)):
        x = features(graph.num_nodes, inputs_of(wide))
        results = []
        for layer, dtype in ((wide, torch.float64), (narrow, torch.float32)):
            layer.zero_grad()
            given = x.clone().to(dtype).requires_grad_(needs)
            out = layer(given, graph)
            pull = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(dtype)
            (out * pull).sum().backward()
            kept = [out, *([given.grad] if needs else []), *(p.grad for p in layer.parameters())]
            results.append([v.double() for v in kept])
        for plain, compiled in zip(*results, strict=True):
            size = float(plain.detach().abs().max()) if plain.numel() else 1.0
            torch.testing.assert_close(compiled, plain, atol=2e-5 * max(1.0, size), rtol=1e-3)


@pytest.mark.parametrize(
    "name", [n for n in LAYERS if n not in ("attention, wide", "attention, many", "principal, moments")]
)
def test_gradients_are_those_of_finite_differences(name):  # roots of moments bend too sharply at 0 for differences
    layer, graph = made(name), a_graph(6, 9)
    x = features(6, inputs_of(layer)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, *_: layer(v, graph), (x, *layer.parameters()), atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_graphs_without_edges_with_one_node_or_none_are_answered(name, dtype):
    layer = made(name, dtype)
    for nodes in (0, 1, 4):
        x = features(nodes, inputs_of(layer), dtype).requires_grad_()
        out = layer(x, Graph(torch.empty(2, 0, dtype=torch.int64), nodes))
        assert out.shape == (nodes, layer.dim) and bool(out.isfinite().all())
        out.sum().backward()
        assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("name", LAYERS)
def test_two_forwards_before_a_backward_keep_their_gradients_apart(name):
    layer, graph = made(name, torch.float32), a_graph(20, 80)
    xs = [features(20, inputs_of(layer), torch.float32) * s for s in (1.0, -0.5)]

    def gradients(losses):
        layer.zero_grad()
        sum(losses).backward()
        return [p.grad.clone() for p in layer.parameters()]

    apart = [gradients([(layer(x, graph) ** 2).sum()]) for x in xs]
    together = gradients([(out**2).sum() for out in [layer(x, graph) for x in xs]])
    for one, two, both in zip(*apart, together, strict=True):
        torch.testing.assert_close(one + two, both, rtol=1e-4, atol=1e-4 * float(both.abs().max() + 1))


@pytest.mark.parametrize("name", ["convolution, sum first", "attention, heads", "attention", "principal", "max"])
def test_two_threads_compute_what_one_does(name):
    layer, graph = made(name, torch.float32), a_graph(3000, 60_000)
    x = features(3000, inputs_of(layer), torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            layer.zero_grad()
            given = x.clone().requires_grad_()
            out = layer(given, graph)
            out.square().sum().backward()
            found.append([out, given.grad, *(p.grad for p in layer.parameters())])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


@pytest.mark.parametrize("score", ["static", "dynamic", "constant"])
def test_attention_sums_to_one_for_every_node_and_head(score):
    layer, graph = Attention(5, 4, heads=3, score=score), a_graph()
    (source, target), alpha = layer.weights(features(12, 5, torch.float32), graph)
    total = torch.zeros(12, 3).index_add(0, target, alpha)
    torch.testing.assert_close(total, torch.ones(12, 3), atol=1e-6, rtol=0)
    assert len(source) == len(alpha) and bool((alpha >= 0).all())


def test_static_scores_order_neighbours_alike_for_everybody_and_dynamic_ones_need_not():
    everybody = torch.cartesian_prod(torch.arange(6), torch.arange(6, 12)).T
    x = features(12, 5, torch.float32)
    orders = {}
    for score in ("static", "dynamic"):
        layer = made("attention", torch.float32) if score == "static" else Attention(5, 64, score=score)
        layer.loops = False
        _, alpha = layer.weights(x, Graph(everybody, 12, directed=True))
        orders[score] = {tuple(alpha.view(6, 6)[:, i].argsort().tolist()) for i in range(6)}
    assert len(orders["static"]) == 1 and len(orders["dynamic"]) > 1


def test_large_scores_do_not_overflow():
    layer, graph = made("attention", torch.float32), a_graph()
    out = layer(1e4 * features(12, 5, torch.float32), graph)
    assert bool(out.isfinite().all())
    raw = torch.tensor([[1e30], [-1e30], [0.0]])
    assert bool(softmax(raw, Graph(torch.tensor([[0, 1, 2], [0, 0, 1]]), 3)).isfinite().all())


def test_dropout_of_attention_keeps_its_mean_and_falls_away_in_eval():
    layer, graph = made("attention, heads", torch.float32), a_graph()
    layer.activation = None
    x = features(12, 5, torch.float32)
    sure = layer.eval()(x, graph)
    layer.train().dropout = 0.5
    torch.manual_seed(0)
    drawn = torch.stack([layer(x, graph) for _ in range(400)])
    error = drawn.std(0) / 400**0.5
    assert bool(((drawn.mean(0) - sure).abs() <= 6 * error + 1e-5).all())
    torch.testing.assert_close(layer.eval()(x, graph), sure)


def test_the_gradient_through_dropped_attention_is_that_of_the_weights_in_use():
    layer, graph = made("attention, heads", torch.float32), a_graph()
    layer.dropout, layer.activation = 0.5, None
    x = features(12, 5, torch.float32).requires_grad_()
    along = features(12, 5, torch.float32).flip(0)

    def value(at):
        torch.manual_seed(0)  # the same edges are dropped
        return layer(at, graph).square().sum()

    (g,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        difference = (value(x + 1e-2 * along) - value(x - 1e-2 * along)) / 2e-2
    torch.testing.assert_close((g * along).sum(), difference, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_all_aggregators_are_their_loops(dtype):
    graph = a_graph(10, 30)
    source, target, edge = features(10, 4), features(10, 4).flip(0), features(30, 4)
    names = [*NAMES, "moment5"]
    for c, e, bend in ((None, None, None), (target, None, None), (target, edge, "relu")):
        got = aggregate(graph, *(None if v is None else v.to(dtype) for v in (source, c, e)), bend, names)
        found = dict(zip(names, got, strict=True))
        ins = [[k for k in range(30) if int(graph.edge_index[1, k]) == i] for i in range(10)]
        for i, mine in enumerate(ins):
            rows = []
            for k in mine:
                m = source[graph.edge_index[0, k]] + (0 if c is None else c[i]) + (0 if e is None else e[k])
                rows.append(F.relu(m) if bend else m)
            if not rows:
                assert all(not found[name][i].any() for name in ("sum", "mean", "max", "min", "deviation"))
                continue
            m = torch.stack(rows)
            mean, variance = m.mean(0), m.var(0, correction=0)
            wanted = {
                "sum": m.sum(0),
                "mean": mean,
                "max": m.amax(0),
                "min": m.amin(0),
                "std": (variance + 1e-5).sqrt(),
                "deviation": torch.where(variance > 1e-5, variance.sqrt(), 0.0),
                "symmetric-mean": sum(
                    r / (len(mine) * max(1, len(ins[graph.edge_index[0, k]]))) ** 0.5
                    for k, r in zip(mine, rows, strict=True)
                ),
            }
            for name, value in wanted.items():
                torch.testing.assert_close(found[name][i].double(), value, atol=1e-5, rtol=1e-5, msg=name)


def with_loops(graph):
    itself = torch.arange(graph.num_nodes).expand(2, -1)
    return Graph(torch.cat([graph.without_loops().edge_index, itself], 1), graph.num_nodes)


def test_a_contextual_layer_can_be_gcns_and_gins():
    graph, x = a_graph(directed=False), features(12, 5)
    convolution, total = made("convolution, sum first"), made("sum, one map")
    torch.testing.assert_close(
        as_convolution(convolution)(x, with_loops(graph)), convolution(x, graph), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(as_sum(total)(x, graph), total(x, graph), atol=1e-6, rtol=0)
    with pytest.raises(SemblanceError, match="normalise='mean'"):
        as_convolution(made("convolution, mean"))
    with pytest.raises(SemblanceError, match="single linear map"):
        as_sum(made("sum, perceptron"))


def test_hand_set_contextual_weights_count_the_edges_between_classes():
    chance = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(0, 20, (2, 70), generator=chance), 20, directed=True).undirected()
    classes = torch.randint(0, 4, (20,), generator=chance)
    layer = Contextual(4, 1, 4, bias=False)
    with torch.no_grad():
        layer.query.weight.copy_(torch.eye(4))
        layer.key.weight.copy_(-torch.eye(4))
        layer.result.weight.fill_(0.5)
    found = layer(F.one_hot(classes, 4).float(), graph).sum()
    between = int((classes[graph.edge_index[0]] != classes[graph.edge_index[1]]).sum()) / 2
    assert abs(float(found.detach()) - between) < 1e-4


def test_constant_attention_is_the_mean_over_a_node_and_its_neighbours():
    layer, graph = Attention(5, 4, score="constant"), a_graph(directed=False)
    mean = Convolution(5, 4, normalise="mean", weighted=False)
    mean.load_state_dict({"map.weight": layer.map.weight, "map.bias": layer.bias})
    x = features(12, 5, torch.float32)
    torch.testing.assert_close(layer(x, graph), mean(x, graph), atol=1e-5, rtol=1e-5)


def test_a_sparse_bag_of_words_is_read_as_its_dense_twin():
    graph, x = a_graph(), features(12, 5, torch.float32).relu()
    sparse = x.to_sparse_csr()
    for layer in (Convolution(5, 9), Attention(5, 4, heads=2), Sage(5, 4), Sum(nn.Linear(5, 4))):
        dense, other = layer(x, graph), layer(sparse, graph)
        torch.testing.assert_close(dense, other, atol=1e-5, rtol=1e-5)
        one, two = (torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (dense, other))
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    stack = Stack([Convolution(5, 4)], input_dropout=0.5).eval()
    torch.testing.assert_close(stack({"x": sparse, "graph": graph}), stack({"x": x, "graph": graph}))


def test_mistakes_are_said_with_their_remedy():
    with pytest.raises(SemblanceError, match="there is no aggregator 'meen': did you mean mean"):
        aggregate(a_graph(), features(12, 2), names=("meen",))
    with pytest.raises(SemblanceError, match="there is no scaler 'identty'"):
        Aggregated(4, 4, 1.0, scalers=["identty"])
    with pytest.raises(SemblanceError, match="do not split into 3 towers"):
        Aggregated(4, 4, 1.0, towers=3)
    with pytest.raises(SemblanceError, match="give edge_x, or edges=0"):
        Contextual(4, 4, edges=2)(features(12, 4, torch.float32), a_graph())
    with pytest.raises(SemblanceError, match="there is no score 'statik'"):
        Attention(4, 4, score="statik")
    negative = Graph(torch.tensor([[0, 1], [1, 0]]), 2, weight=torch.tensor([-3.0, -3.0]))
    with pytest.raises(SemblanceError, match="add up to -2, which has no root"):
        Convolution(4, 4)(features(2, 4, torch.float32), negative)
