"""Stages of messages on hypergraphs: each aggregation as loops, published layers as settings, expansions and features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.topology.adaptive import AdaptiveConvolution
from semblance.encoders.topology.expanded import EXPANSIONS, Expanded, expanded, lifted, read_back
from semblance.encoders.topology.features import FEATURES, HypergraphFeatures, structural
from semblance.encoders.topology.hypergraph import HypergraphConvolution
from semblance.encoders.topology.stages import AGGREGATIONS, Stage, TwoStage
from semblance.errors import SemblanceError
from semblance.geometry.expansions import clique, inward, line, with_singletons
from semblance.geometry.hypergraph import Hypergraph

NODES, EDGES = 11, 7


def drawn(seed=0, nodes=NODES - 1, edges=EDGES):
    """The last node is in no hyperedge."""
    rng = np.random.default_rng(seed)
    members = [rng.choice(nodes, rng.integers(1, 6), replace=False) for _ in range(edges)]
    edge = torch.from_numpy(np.repeat(np.arange(edges), [len(m) for m in members]))
    return Hypergraph(torch.from_numpy(np.concatenate(members)), edge, NODES, edges)


def states(width, seed=0, dtype=torch.float64):
    return torch.randn(NODES, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plainly(stage, x, target, graph):
    """A stage target by target."""
    out = torch.zeros(len(target), stage.dim, dtype=x.dtype)
    mapped = stage.more(stage.map(x))
    for t in range(len(target)):
        near = graph.edge_index[0][graph.edge_index[1] == t]
        if not len(near):
            continue
        h = mapped[near]
        messages = h if stage.of_target is None else torch.relu(h + stage.of_target(target[t]))
        if stage.score is None:
            how = {"sum": messages.sum(0), "mean": messages.mean(0), "max": messages.max(0).values}
            out[t] = how[stage.aggregation]
            continue
        raw = (h.view(len(h), stage.heads, -1) * stage.score).sum(2)
        raw = raw + (0 if stage.ask is None else stage.ask(target[t]))
        alpha = torch.nn.functional.leaky_relu(raw, 0.2).softmax(0)
        out[t] = (alpha[:, :, None] * messages.view(len(h), stage.heads, -1)).sum(0).flatten()
    return out


@pytest.mark.parametrize("kind", ["shared", "own"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_stage_is_its_aggregation_over_the_members(aggregation, kind):
    torch.manual_seed(0)
    held, x, target = drawn(), states(3), states(5)[:EDGES]
    stage = Stage(3, 4, aggregation, kind, 5, heads=2, perceptron=True).double()
    found = stage(x, target, inward(held))
    torch.testing.assert_close(found, plainly(stage, x, target, inward(held)))
    single = Stage(3, 4, aggregation, kind, 5)
    compiled = single(x.float(), target.float(), inward(held))
    torch.testing.assert_close(compiled.double(), single.double()(x, target, inward(held)), rtol=1e-4, atol=1e-5)


def test_attention_that_sees_its_target_differs_by_target_and_the_other_does_not():
    torch.manual_seed(0)
    x = states(3)
    same = Hypergraph(torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1]), NODES, 2)
    target = torch.tensor([[5.0], [-5.0]], dtype=torch.float64)
    blind, aware = (Stage(3, 4, how, targets=1).double()(x, target, inward(same)) for how in ("attention", "aware"))
    torch.testing.assert_close(blind[0], blind[1])
    assert (aware[0] - aware[1]).abs().max() > 1e-3


def test_means_both_ways_are_hypergraph_convolution_normalised_by_means():
    torch.manual_seed(0)
    held, x = drawn(1), states(4)
    two = TwoStage(4, 4, "mean", "mean", own="").double()
    with torch.no_grad():
        two.to_edges.map.weight.copy_(torch.eye(4))
    plain = HypergraphConvolution(4, 4, "mean", keep_isolated=False).double()
    with torch.no_grad():
        plain.map.weight.copy_(two.to_nodes.map.weight)
    linked = torch.from_numpy(held.by_node().degree > 0)
    torch.testing.assert_close(two(x, held)[linked], plain(x, held)[linked])


def test_on_a_graph_s_pairs_symmetric_weighing_divides_by_the_roots_of_both_degrees():
    torch.manual_seed(0)
    held, x = drawn(2), states(3)
    layer = TwoStage(3, 3, "mean", "sum", own="", weigh="symmetric").double()
    degree = torch.bincount(held.node, minlength=NODES).double()
    states_of = layer.hyperedges(x, held)
    out = torch.zeros(NODES, 3, dtype=torch.float64)
    for v, e in zip(held.node.tolist(), held.edge.tolist(), strict=True):
        mean = degree[held.node[held.edge == e]].mean()
        out[v] += layer.to_nodes.map(states_of[e]) / (degree[v] * mean).sqrt()
    torch.testing.assert_close(layer(x, held), out)


def test_weighing_by_cardinality_is_a_mean_weighed_by_powers_of_degrees():
    torch.manual_seed(0)
    held, x = drawn(3), states(3)
    layer = TwoStage(3, 3, "sum", "sum", update="bend", own="", weigh="cardinality", exponents=(0.7, -1.3)).double()
    degree, size = torch.bincount(held.node, minlength=NODES).double(), torch.bincount(held.edge).double()
    of_edges = torch.zeros(EDGES, 3, dtype=torch.float64)
    for e in range(EDGES):
        members = held.node[held.edge == e]
        share = degree[members] ** 0.7
        of_edges[e] = torch.relu((share[:, None] * layer.to_edges.map(x)[members]).sum(0) / share.sum())
    torch.testing.assert_close(layer.hyperedges(x, held), of_edges)
    out = torch.zeros(NODES, 3, dtype=torch.float64)
    for v in range(NODES):
        near = held.edge[held.node == v]
        share = size[near] ** -1.3
        if len(near):
            out[v] = (share[:, None] * layer.to_nodes.map(of_edges)[near]).sum(0) / share.sum()
    torch.testing.assert_close(layer(x, held), out)
    with pytest.raises(SemblanceError, match="aggregate by sum"):
        TwoStage(3, 3, weigh="symmetric")


def test_alone_in_a_hyperedge_of_its_own_a_node_keeps_hearing_itself():
    held = with_singletons(drawn())
    assert held.num_edges == EDGES + NODES and held.by_node().degree.min() == 1
    torch.manual_seed(0)
    alone = (TwoStage(3, 3, own="", singletons=s).double()(states(3), drawn())[-1] for s in (True, False))
    one, other = (v.abs().max() for v in alone)
    assert one > 0 == other


def test_pairs_of_the_clique_are_those_that_share_hyperedges():
    held = drawn(4)
    count, sized = torch.zeros(NODES, NODES), torch.zeros(NODES, NODES)
    for e in range(EDGES):
        members = held.node[held.edge == e].tolist()
        for i in members:
            for j in members:
                count[i, j] += i != j
                sized[i, j] += (i != j) / max(len(members) - 1, 1)
    for how, wanted in (("plain", (count > 0).float()), ("count", count), ("size", sized)):
        graph = clique(held, how)
        found = torch.zeros(NODES, NODES)
        found[tuple(graph.edge_index)] = torch.ones(graph.num_edges) if graph.weight is None else graph.weight
        torch.testing.assert_close(found, wanted)
    with pytest.raises(SemblanceError, match="weighting"):
        clique(held, "sized")


def test_memberships_are_linked_where_they_share_an_end():
    held = drawn(5)
    found = torch.zeros(len(held.node), len(held.node))
    found[tuple(line(held).edge_index)] = 1
    same = (held.node[:, None] == held.node) | (held.edge[:, None] == held.edge)
    torch.testing.assert_close(found, same.fill_diagonal_(False).float())


@pytest.mark.parametrize("how", EXPANSIONS)
def test_any_encoder_of_graphs_reads_an_expansion_as_by_hand(how):
    torch.manual_seed(0)
    held, x = drawn(6), states(4, dtype=torch.float32)
    encoder = Stack([Convolution(4, 3)])
    graph = expanded(held, how)
    inner = encoder({"x": lifted(x, held, how), "graph": graph})
    assert len(inner) == graph.num_nodes
    found = Expanded(encoder, how)({"x": x, "graph": held})
    torch.testing.assert_close(found, read_back(inner, held, how))
    sparse = Expanded(encoder, how)({"x": x.to_sparse_csr(), "graph": held})
    torch.testing.assert_close(found, sparse)
    if how == "line":
        torch.testing.assert_close(found[0], inner[held.node == 0].mean(0))


def test_a_triple_and_its_three_pairs_are_one_plain_clique_and_differ_elsewhere():
    node, edge = torch.tensor([0, 1, 2, 3, 4, 4, 5, 3, 5]), torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3])
    held, x = Hypergraph(node, edge, 6, 4), torch.ones(6, 2)
    torch.manual_seed(0)
    for how in EXPANSIONS:
        states = Expanded(Stack([Convolution(2, 3, normalise="none")]), how, "sum")({"x": x, "graph": held})
        gap = float((states[:3] - states[3:]).detach().abs().max())
        assert gap < 1e-6 if how in ("clique", "count-clique") else gap > 1e-3, how


def test_adaptive_weights_are_the_formula_and_one_where_features_agree():
    torch.manual_seed(0)
    graph, x = clique(drawn(7)), states(3)
    layer = AdaptiveConvolution(3, 2).double()
    weight = layer.weights(x, graph)
    dense = torch.eye(NODES, dtype=torch.float64)
    for k, (i, j) in enumerate(graph.edge_index.t().tolist()):
        dense[j, i] = torch.exp(-(layer.measure.weight @ (x[i] - x[j])).square().sum())
        assert torch.isclose(weight[k], dense[j, i])
    root = dense.sum(1).rsqrt()
    torch.testing.assert_close(
        layer(x, graph), (root[:, None] * dense * root) @ x @ layer.map.weight.T + layer.map.bias
    )
    assert torch.equal(layer.weights(torch.ones_like(x), graph), torch.ones(graph.num_edges, dtype=torch.float64))


def test_features_read_off_the_structure_are_what_they_say():
    held = Hypergraph(torch.tensor([0, 1, 1, 2, 3, 4]), torch.tensor([0, 0, 1, 1, 1, 2]), 6, 3)
    assert torch.allclose(structural(held, "degree")[:, 0], torch.log1p(torch.tensor([1.0, 2, 1, 1, 1, 0])))
    assert structural(held, "sizes")[1].tolist()[:4] == [0, 0.5, 0.5, 0]
    back = structural(held, "walks")
    step = torch.zeros(6, 6)
    for v, e in zip(held.node.tolist(), held.edge.tolist(), strict=True):
        members = held.node[held.edge == e]
        step[v, members] += 1 / len(members) / (held.node == v).sum()
    torch.testing.assert_close(back, torch.stack([torch.matrix_power(step, t).diagonal() for t in range(1, 9)], 1))
    vectors = structural(held, "eigenvectors")
    assert vectors.shape == (6, 8) and not vectors[:, 6:].any()
    torch.testing.assert_close(vectors[:, :6].T @ vectors[:, :6], 6 * torch.eye(6), rtol=0, atol=1e-4)


def test_features_are_summed_and_what_is_missing_is_said():
    shape = Shape("hypergraph", (4,), 2, 8, facts={"nodes": float(NODES)})
    torch.manual_seed(0)
    initial = HypergraphFeatures(FEATURES, shape, 5)
    batch = {"x": states(4, dtype=torch.float32), "graph": drawn()}
    total = initial.own + sum(
        m(batch["x"] if k == "given" else structural(batch["graph"], k)) for k, m in initial.maps.items()
    )
    torch.testing.assert_close(initial(batch), total)
    bare = Shape("hypergraph", (0,), 2, 8)
    assert HypergraphFeatures(("auto",), bare, 5).kinds == ("degree", "sizes")
    with pytest.raises(SemblanceError, match="no features that are given"):
        HypergraphFeatures(("given",), bare, 5)
    with pytest.raises(SemblanceError, match="did you mean walks"):
        HypergraphFeatures(("walk",), bare, 5)
