"""Latent graphs: edges drawn from a metric."""

import numpy as np
import pytest
import torch
from torch import nn

from semblance.encoders.graphs import latent
from semblance.encoders.graphs.latent import Latent, candidates
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.stack import Stack
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.manifolds import Flat, manifold_named
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.drawn_edges import DrawnEdges


def made(space=None, coordinates=None, **settings):
    torch.manual_seed(0)
    coordinates = coordinates or nn.Linear(3, 3, bias=False)
    return Latent(coordinates, space or Flat(3), Stack([Convolution(3, 4)]), **{"k": 2, **settings})


def batch(nodes=30, seed=0):
    x = torch.randn(nodes, 3, generator=torch.Generator().manual_seed(seed))
    ends = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    return {"x": x, "graph": Graph(torch.cat([ends, ends.flip(0)], 1), nodes)}


@pytest.mark.parametrize("space", ["euclidean", "sphere", "hyperbolic", "product"])
def test_outside_training_every_node_hears_its_nearest(space):
    manifold = manifold_named(space, 6)
    encoder = made(manifold, nn.Linear(3, 6), given=False).eval()
    held = batch()
    graph = encoder.infer(held)
    with torch.no_grad():
        u = manifold.bring(encoder.coordinates(held["x"]))
        d = manifold.distance(u[:, None], u).fill_diagonal_(torch.inf)
    wanted = {(int(j), i) for i in range(30) for j in d[i].argsort()[:2]}
    assert set(map(tuple, graph.edge_index.T.tolist())) == wanted
    assert encoder.drawn is None


def test_noise_draws_without_replacement_by_the_softmax_of_distances():
    points = torch.tensor([[0.0], [0.5], [1.0], [2.0]])
    encoder = made(Flat(1), nn.Linear(1, 1), k=2, temperature=0.7).train()
    torch.manual_seed(0)
    firsts = torch.zeros(4)
    for _ in range(1500):
        row = encoder.draw(points)[0]
        assert len(set(row.tolist())) == 2 and 0 not in row
        firsts[row[0]] += 1  # the largest of the noisy logits comes first
    wanted = torch.softmax(-points[1:, 0] / 0.7, 0)
    torch.testing.assert_close(firsts[1:] / 1500, wanted, atol=0.04, rtol=0)


def test_given_edges_join_the_drawn_ones_each_once():
    encoder, held = made(given=True).eval(), batch()
    alone = made(given=False).eval()
    ends = set(map(tuple, encoder.infer(held).edge_index.T.tolist()))
    assert ends == set(map(tuple, alone.infer(held).edge_index.T.tolist())) | set(
        map(tuple, held["graph"].edge_index.T.tolist())
    )
    assert encoder.infer(held).num_edges == len(ends)


def test_of_many_nodes_only_the_nearest_are_candidates(monkeypatch):
    monkeypatch.setattr(latent, "NEAR_FROM", 20)
    monkeypatch.setattr(latent, "NEAR", 5)
    u = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    near = candidates(u)
    d = torch.cdist(u, u).fill_diagonal_(torch.inf)
    assert near.shape == (30, 5)
    assert all(set(near[i].tolist()) == set(d[i].argsort()[:5].tolist()) for i in range(30))
    everyone = candidates(u[:4])
    assert everyone.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_few_nodes_and_none_are_answered():
    for nodes in (0, 1, 2):
        held = {"x": torch.randn(nodes, 3), "graph": Graph(torch.empty(2, 0, dtype=torch.int64), nodes)}
        assert made(k=5).eval().embed(held).shape == (nodes, 4)
    with pytest.raises(SemblanceError, match="k is 0"):
        made(k=0)


class Model(nn.Module):
    """A network whose answers are given, over an encoder that drew."""

    def __init__(self, encoder, logits):
        super().__init__()
        self.encoder, self.logits = encoder, logits

    def forward(self, batch):
        self.encoder.infer(batch)
        return self.logits


def test_edges_of_right_nodes_grow_shorter_and_those_of_wrong_ones_longer():
    held = {**batch(6), "labels": torch.tensor([0, 0, 0, 1, 1, -1]), "index": np.arange(6)}
    logits = torch.tensor([[3.0, 0], [3, 0], [3, 0], [3, 0], [3, 0], [3, 0]])
    encoder = made(coordinates=Rows(held["x"])).train()
    objective = DrawnEdges(CrossEntropy(), 6)
    loss, metrics = objective(Model(encoder, logits).train(), held)
    assert encoder.drawn is None  # nothing keeps autograd's graph
    assert (
        metrics["loss"] == pytest.approx(float(loss.detach())) and objective.accuracy[0] > 0.5 > objective.accuracy[4]
    )
    assert objective.accuracy[5] == 0.5  # of no label
    drawn = _drawn(encoder, held)
    right = torch.tensor([1.0, 1, 1, 0, 0])
    before = drawn.sum(1)[:5]
    (gradient,) = torch.autograd.grad(((0.5 - right) * before).mean(), encoder.coordinates.rows)
    with torch.no_grad():
        encoder.coordinates.rows -= 1e-3 * gradient
    after = _drawn(encoder, held).sum(1)[:5]
    change = (after - before).detach()
    assert float(change[:3].sum()) > 0 > float(change[3:].sum())


def test_validation_draws_nothing_and_rewards_nothing():
    held = {**batch(6), "labels": torch.zeros(6, dtype=torch.int64), "index": np.arange(6)}
    objective = DrawnEdges(CrossEntropy(), 6)
    _, metrics = objective(Model(made(), torch.zeros(6, 2)).eval(), held)
    assert "reward" not in metrics and bool((objective.accuracy == 0.5).all())


class Rows(nn.Module):
    """Free coordinates."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(rows.clone())

    def forward(self, x):
        return self.rows


def _drawn(encoder, held):
    torch.manual_seed(3)
    encoder.infer(held)
    return encoder.drawn
