"""Recipes of message passing: what they compose, and what they make of features, numbers and folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from semblance.data.dataset import Shape
from semblance.data.graph_generators import heterophily
from semblance.encoders.graphs.stack import Initial
from semblance.errors import SemblanceError
from semblance.heads.regress import Regress
from semblance.recipes.graph_networks import adam, gat, perceptron, start, words
from semblance.recipes.graph_pooled import gin, pna, sir_gcn
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small

NODES = ("gcn", "sage", "gat", "gin-nodes", "pna-nodes", "sir-gcn-nodes")


def accuracy(model, data):
    test = data.splits["test"]
    answers = np.array(model.predict(data))[test]
    return (answers == np.array(data.classes)[data.targets["labels"][test]]).mean()


@pytest.mark.parametrize("name", NODES)
def test_groups_of_nodes_are_found(name):
    data = small("graph")
    assert accuracy(train(data, build(name), seed=0, epochs=40), data) >= 0.7


@pytest.mark.parametrize("name", ["gin", "pna", "sir-gcn"])
def test_rings_are_told_from_paths(name):
    data = small("graphs")
    settings = {"lr": 0.01, "batch": 10, "hidden": 16}
    assert accuracy(train(data, build(name, **settings), seed=0, epochs=30), data) >= 0.8


@pytest.mark.parametrize("name", NODES)
def test_nodes_without_features_are_told_by_their_degree(name):
    data = replace(small("graph"), x=None)
    model = train(data, build(name), seed=0, epochs=1)
    z, degree = model.embed(data), data.graph.rows().degree
    assert np.isfinite(z).all() and len(np.unique(z[degree == 0].round(5), axis=0)) == 1


@pytest.mark.parametrize("recipe", [gin, pna, sir_gcn])
def test_numbers_are_answered_by_a_head_that_knows_their_scale(recipe):
    data = heterophily({"train": 60, "val": 20, "test": 20})
    made = recipe(epochs=2)
    model = train(data, made, seed=0)
    assert isinstance(model.network.head, Regress)
    labels = data.targets["labels"][:60]
    assert float(model.network.head.deviation) == pytest.approx(labels.std(), rel=1e-3)
    losses = [epoch["val_loss"] for epoch in model.history]
    kept = train(data, made, seed=0, epochs=int(np.argmin(losses)) + 1)
    assert torch.equal(*(torch.from_numpy(m.embed(data)) for m in (model, kept)))


def test_the_concatenated_rounds_of_gin_hold_the_input_first():
    shape = Shape("graphs", (3,), 2, 10)
    encoder = gin(hidden=4, layers=2).encoder(shape).eval()
    data = small("graphs")
    batch = data.read(np.array([0]))
    batch["x"] = torch.rand(len(batch["x"]), 3)
    z = encoder.embed(batch)
    assert z.shape == (1, 3 + 2 * 4) == (1, encoder.dim)
    torch.testing.assert_close(z[0, :3], batch["x"].sum(0))


def test_initial_features_are_chosen_by_what_the_data_has():
    with_x, without = Shape("graphs", (5,), 2, 10), Shape("graphs", (0,), 2, 10)
    assert start("auto", with_x) == (None, 5) == start("given", with_x)
    module, width = start("auto", without)
    assert isinstance(module, Initial) and module.kind == "degree" and width == module.width
    assert start("constant", with_x)[1] == 1
    with pytest.raises(SemblanceError, match="did you mean constant"):
        start("constnat", with_x)


def test_the_heads_of_attention_share_the_hidden_width():
    shape = Shape("graph", (7,), 3, 10)
    encoder, head = gat(hidden=4, heads=2).encoder(shape), gat(hidden=4, heads=2).head(shape)
    assert encoder.dim == 8 and encoder.layers[0].heads == 2
    assert head.layer.heads == 1 and head.layer.dim == 3


def test_the_rate_is_halved_every_so_many_epochs():
    rule = adam(0.8, 0.0, epochs=200, halve_every=50)
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "scheduled": True}], lr=0.8)
    rates = []
    for epoch in (0, 49, 50, 100, 150, 199):
        rule.adjust(optimizer, epoch / 200, epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.8, 0.8, 0.4, 0.2, 0.1, 0.1])
    assert adam(0.8, 0.0, epochs=40, halve_every=50).schedule == "constant"


def test_a_perceptron_of_depth_one_is_linear():
    assert isinstance(perceptron(3, 4, 1), torch.nn.Linear)
    assert sum(isinstance(m, torch.nn.Linear) for m in perceptron(3, 4, 3)) == 3


def test_a_wrong_aggregator_or_scaler_is_answered():
    assert words("mean, max") == ("mean", "max")
    with pytest.raises(SemblanceError, match="did you mean amplification"):
        pna(scalers="identity,amplifcation").encoder(Shape("graphs", (3,), 2, 10))
    data = small("graphs")
    with pytest.raises(SemblanceError, match="did you mean mean"):
        train(data, pna(aggregators="meen"), epochs=1)
