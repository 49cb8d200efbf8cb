"""Objectives of graphs without labels: what is rebuilt, what is likely, what a discriminator tells, as equations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.graphs.profiles import Profiles
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.graphs.variational import FIRST, Variational
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.objectives.adversarial import Adversarial
from semblance.objectives.likelihood import Likelihood
from semblance.objectives.profiles import Rebuilt, profiles_of
from semblance.recipes.graph_autoencoders import variational_graph_autoencoder
from semblance.space.model import assemble
from semblance.testing.related import graph as small_graph


def weighted():
    ends = torch.tensor([[0, 1, 2, 3, 1], [1, 0, 1, 2, 3]])
    return Graph(ends, 5, weight=torch.tensor([1.0, 1.0, 2.0, 0.5, 3.0]), directed=True)


def test_a_profile_is_a_row_of_the_adjacency_and_never_written_out():
    graph = weighted()
    rows = torch.zeros(5, 5)
    rows[graph.edge_index[1], graph.edge_index[0]] = graph.weight
    assert torch.equal(profiles_of(graph, torch.tensor([3, 1, 1, 4])), rows[[3, 1, 1, 4]])
    encoder = Profiles(5, 4, 2)
    wanted = encoder.out(torch.tanh(rows @ encoder.columns + encoder.bias))
    assert torch.allclose(encoder({"graph": graph}), wanted, atol=1e-6)
    with pytest.raises(SemblanceError, match="profiles were learned of 5"):
        encoder({"graph": Graph(torch.empty(2, 0, dtype=torch.int64), 4)})


def test_edges_weigh_more_than_gaps_and_pull_their_ends_together():
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 2)
    z = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    objective = Rebuilt(2, 2, 3, batch=64, alpha=0.5, beta=4.0)
    objective.decoder = nn.Linear(2, 2, bias=False)
    objective.decoder.weight.data.zero_()
    loss, metrics = objective(SimpleNamespace(encoder=lambda batch: z), {"graph": graph})
    # Nothing is rebuilt: the edge's error of 1 counts 4 times before it is squared, the gap's is 0; |z_0 - z_1|^2 is 5.
    assert metrics["near"] == 5.0 and loss.item() == pytest.approx(16 / 2 + 0.5 * 5)
    bare = graph.with_edges(torch.tensor([False, False]))
    alone = Rebuilt(2, 2, 3)(SimpleNamespace(encoder=lambda batch: z), {"graph": bare})
    assert alone[1]["near"] == 0.0
    with pytest.raises(SemblanceError, match=r"beta 0\.5"):
        Rebuilt(2, 2, 3, beta=0.5)


def test_the_discriminator_learns_what_the_encoder_unlearns():
    torch.manual_seed(0)
    z = torch.full((40, 3), 2.0, requires_grad=True)
    plain = SimpleNamespace(needs=frozenset(), __call__=None)
    objective = Adversarial(_Zero(), 3, 8, weight=2.0)
    assert objective.needs == plain.needs
    loss, metrics = objective(SimpleNamespace(encoder=lambda batch: z), {})
    loss.backward()
    towards = objective.discriminator[0].weight.grad
    direct = torch.nn.functional.softplus(objective.discriminator(z)).mean() * 2
    (of_z,) = torch.autograd.grad(direct, z)
    assert torch.allclose(z.grad, -of_z) and towards is not None and 0 <= metrics["told"] <= 1
    assert metrics["loss"] == pytest.approx(loss.item())


class _Zero(nn.Module):
    needs = frozenset()

    def forward(self, model, batch):
        return torch.zeros(()), {"loss": 0.0}


def test_likelihood_is_what_the_encoder_says():
    told = torch.tensor([-1.0, -3.0])
    loss, metrics = Likelihood()(SimpleNamespace(encoder=SimpleNamespace(log_likelihood=lambda batch: told)), {})
    assert loss.item() == 2.0 == metrics["loss"]


def test_an_uncertain_embedding_pays_its_divergence_from_the_normal_distribution():
    told = torch.randn(6, 8)

    class Told(Stack):
        def forward(self, batch):
            return told

    inner = Told([], inputs=8, include_input=True)
    encoder = Variational(inner)
    mean, deviation = told[:, :4], (told[:, 4:] + FIRST).exp()
    assert encoder.dim == 4 and torch.equal(encoder.eval()({}), mean)
    torch.manual_seed(1)
    drawn = encoder.train()({})
    torch.manual_seed(1)
    assert torch.allclose(drawn, mean + deviation * torch.randn(6, 4))
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)).sum(1).mean()
    assert torch.allclose(encoder.penalty, wanted, atol=1e-5)


def test_the_variational_autoencoder_weighs_the_divergence_by_the_number_of_nodes():
    data = small_graph()
    made = variational_graph_autoencoder(hidden=8, dim=4)
    shape = Shape("graph", (6,), 3, 30, facts={"nodes": 60.0})
    assert made.stages[0].objective(shape).weight == pytest.approx(1 / 60)
    network = assemble(made, shape, 0).train()
    batch = data.read(np.arange(10))
    loss, metrics = made.stages[0].objective(shape)(network, batch)
    assert metrics["penalty"] > 0 and metrics["loss"] == pytest.approx(loss.item())
