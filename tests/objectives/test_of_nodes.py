"""Targets of nodes within graphs: what is averaged over what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.graph_generators import dictionary_lookup, multitask
from semblance.data.samplers import Shuffled
from semblance.heads.of_nodes import EveryNode, NodesAndGraphs
from semblance.learning.backprop import Backprop
from semblance.learning.parts import Feed
from semblance.objectives import of_nodes
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.graph_networks import deep, principal
from semblance.recipes.registry import Recipe, Stage
from semblance.space.training import train


def a_batch():
    data = multitask({"train": 8})
    return next(Feed(data, np.arange(8), None, lambda x: x.float()).in_order())


def test_every_task_weighs_the_same_whatever_it_is_averaged_over():
    batch = a_batch()
    member = batch["graph"].member
    nodes, graphs = torch.randn(len(member), 3), torch.randn(8, 3)
    loss, metrics = of_nodes.NodesAndGraphs()(lambda batch: (nodes, graphs), batch)
    tasks = [((nodes[:, k] - batch["node_labels"][:, k]) ** 2).mean() for k in range(3)]
    tasks += [((graphs[:, k] - batch["labels"][:, k]) ** 2).mean() for k in range(3)]
    assert float(loss) == pytest.approx(float(sum(tasks)) / 6, rel=1e-5) == metrics["loss"]


def test_an_objective_of_units_is_asked_about_nodes():
    data = dictionary_lookup({"train": 5}, keys=3)
    batch = next(Feed(data, np.arange(5), None, lambda x: x.float()).in_order())
    logits = torch.randn(30, 3)
    loss, metrics = of_nodes.OfNodes(CrossEntropy())(lambda batch: logits, batch)
    asked = batch["node_labels"] >= 0
    expected = torch.nn.functional.cross_entropy(logits[asked], batch["node_labels"][asked])
    assert float(loss) == pytest.approx(float(expected), rel=1e-6) and metrics["labelled"] == 0.5


def test_heads_answer_for_nodes_and_for_graphs():
    batch, states = a_batch(), torch.randn(len(a_batch()["x"]), 4)
    head = NodesAndGraphs(4, 3, 2)
    of_nodes_, of_graphs = head(states, batch)
    assert of_nodes_.shape == (len(states), 3) and of_graphs.shape == (8, 2)
    first = states[batch["graph"].member == 0].mean(0)
    torch.testing.assert_close(of_graphs[0], head.graphs(first))
    assert len(head.decode((of_nodes_, of_graphs))) == 8
    assert EveryNode(4, 3, "abc").decode(EveryNode(4, 3)(states, batch))[0] in "abc"


def test_both_kinds_of_targets_are_learned():
    data = multitask({"train": 60, "val": 10})
    encoder = deep(principal("mean,max", "identity", 1, 8), 8, 2)
    stage = Stage(
        rule=Backprop("adam", lr=0.01, schedule="constant", epochs=4, best="loss"),
        objective=lambda shape: of_nodes.NodesAndGraphs(),
        batches=Shuffled(20),
    )
    model = train(data, Recipe(encoder, (stage,), lambda shape: NodesAndGraphs(8, 3, 3)), seed=0)
    assert model.history[-1]["loss"] < 0.5 * model.history[0]["loss"]
