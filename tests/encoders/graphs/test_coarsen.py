"""Coarsening: who stays, that the gate teaches the direction, that dense pooling is its equations, and what is stored."""

import math

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.encoders.graphs.coarsen import Coarsened, MeanWithSkip, TopNodes, as_matrices, largest
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.penalised import Penalised
from semblance.recipes.graph_coarsening import diff_pool, sparse_hierarchical
from semblance.space.model import assemble
from semblance.testing.related import graphs, renumbered


def batch_of(count=12, dtype=torch.float32):
    batch = graphs().read(np.arange(count))
    return {**batch, "x": batch["x"].to(dtype), "labels": torch.arange(count) % 2}


def made(**axes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Coarsened(2, 8, **axes)


@pytest.mark.parametrize("ratio", [0.3, 0.8, 1.0])
def test_in_every_graph_the_nodes_of_largest_score_stay(ratio):
    graph = batch_of()["graph"]
    score = torch.randn(graph.num_nodes, generator=torch.Generator().manual_seed(1))
    stay = set(largest(score, graph, ratio).tolist())
    for g in range(graph.num_graphs):
        nodes = np.flatnonzero(graph.member.numpy() == g)
        count = math.ceil(round(ratio * len(nodes), 6))
        assert stay & set(nodes.tolist()) == set(nodes[np.argsort(-score.numpy()[nodes])[:count]].tolist())


def test_what_stays_is_gated_and_keeps_the_edges_between():
    batch = batch_of()
    pooling = TopNodes(2)
    x, graph = pooling(batch["x"], batch["graph"])
    score = batch["x"] @ pooling.direction / pooling.direction.norm()
    stay = largest(score, batch["graph"], 0.8)
    assert torch.allclose(x, batch["x"][stay] * score[stay].tanh()[:, None])
    inside = torch.isin(batch["graph"].edge_index, stay).all(0)
    assert graph.num_edges == int(inside.sum()) and torch.equal(graph.member, batch["graph"].member[stay])


def test_the_direction_of_scores_learns_through_the_gate_and_only_so():
    batch = batch_of()
    for gate in (True, False):
        network = made(gate=gate).train()
        network.embed(batch).square().sum().backward()
        for pooling in network.pools:
            assert (pooling.direction.grad is not None and float(pooling.direction.grad.norm()) > 0) == gate


@pytest.mark.parametrize("pooling", ["top", "none", "dense"])
def test_numbering_the_nodes_otherwise_changes_nothing(pooling):
    data, rows = graphs(), np.arange(12)
    network = made(pooling=pooling).eval()
    with torch.no_grad():
        assert torch.allclose(network.embed(data.read(rows)), network.embed(renumbered(data)[0].read(rows)), atol=1e-5)


def test_a_layer_of_matrices_is_the_layer_of_edges():
    batch = batch_of(dtype=torch.float64)
    layer = MeanWithSkip(2, 5).double()
    x, adjacency, there = as_matrices(batch["x"], batch["graph"])
    found = layer.dense(x, adjacency + torch.diag_embed(there.double()))[there]
    assert torch.allclose(found, layer(batch["x"], batch["graph"]))


def test_one_block_of_dense_pooling_is_its_equations():
    batch = batch_of(1, torch.float64)
    network = made(pooling="dense", blocks=2, clusters=3, ratio=0.5).double().train()
    found = network.embed(batch)
    graph, n = batch["graph"], batch["graph"].num_nodes
    a = torch.zeros(n, n, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = 1
    h = network.layers[0](batch["x"], graph).relu()
    s = network.pools[0](batch["x"], graph).softmax(1)
    coarse, states = s.T @ a @ s, s.T @ h
    mixed = network.layers[1]
    mean = coarse / coarse.sum(1, keepdim=True) @ states
    top = (mean @ mixed.around.map.weight.T + mixed.around.map.bias + states @ mixed.itself.weight.T).relu()
    expected = sum(torch.cat([level.mean(0), level.amax(0)]) for level in (h, top))
    assert torch.allclose(found[0], expected)
    entropy = -(s * s.log()).sum(1).mean()
    assert torch.allclose(network.penalty, (a - s @ s.T).norm() / n**2 + entropy)


def test_the_penalty_is_added_to_the_loss_and_reaches_the_assignment():
    batch = batch_of()
    network = assemble(diff_pool(hidden=8, clusters=4, epochs=1), Shape("graphs", (2,), 2, 12), seed=0).train()
    loss, metrics = Penalised(CrossEntropy(), 2.0)(network, batch)
    plain = CrossEntropy()(network, batch)[0]
    assert metrics["penalty"] > 0
    assert abs(loss.item() - plain.item() - 2 * metrics["penalty"]) < 1e-4
    assert metrics["loss"] == loss.item()


def test_a_ring_of_five_keeps_four_and_nothing_is_kept_of_nothing():
    ring = Graph(torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]]), 5)
    assert len(largest(torch.arange(5.0), ring, 0.8)) == 4
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 0, member=torch.empty(0, dtype=torch.int64), num_graphs=0)
    for pooling in ("top", "none", "dense"):
        assert made(pooling=pooling).eval().embed({"x": torch.empty(0, 2), "graph": empty}).shape == (0, 16)


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(SemblanceError, match="top"):
        made(pooling="topk")
    with pytest.raises(SemblanceError, match="ratio is 0"):
        TopNodes(3, 0)
    with pytest.raises(SemblanceError, match="0 blocks"):
        made(blocks=0)
    assert sparse_hierarchical(pool=False).encoder(Shape("graphs", (2,), 2, 12)).pooling == "none"
