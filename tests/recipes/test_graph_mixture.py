"""Mixtures of a perceptron and a graph network, as a user meets them."""

import numpy as np
import pytest
import torch

from semblance.analysis.experts import expert_report
from semblance.data.relate import relate
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small


def two_kinds(nodes=400, seed=0):
    """Half of the nodes are told by their features, half by their neighbours."""
    rng = np.random.default_rng(seed)
    y, told = rng.integers(0, 3, nodes), np.arange(nodes) < nodes // 2
    x = np.where(told[:, None], 3 * np.eye(6)[y], 0) + rng.normal(size=(nodes, 6))
    source = np.concatenate(
        [rng.integers(0, nodes, 6) if told[v] else rng.choice(np.flatnonzero(y == y[v]), 6) for v in range(nodes)]
    )
    graph = Graph(torch.from_numpy(np.stack([source, np.repeat(np.arange(nodes), 6)])), nodes, directed=True)
    return relate("graph", graph, x=x, labels=y, classes=("a", "b", "c"), split="random:0.4/0.2/0.4"), told


def test_the_perceptron_is_believed_where_features_tell_and_the_graph_elsewhere():
    data, told = two_kinds()
    model = train(data, build("mowst", hidden=32, rounds=1, epochs=60), seed=0)
    (batch,) = model.batches(data)
    with torch.inference_mode():
        logits, weight = model.network.head.told(model.network.encoder(batch), batch)
    sure = weight[:, 0].numpy()
    assert sure[told].mean() > sure[~told].mean() + 0.2
    answers = [each.argmax(1).numpy() for each in logits]
    codes = np.array([data.classes.index(answer) for answer in model.predict(data)])
    report = expert_report(sure, *answers, codes, data.targets["labels"])
    assert report.table().num_rows > 1 and "right on" in str(report)
    assert sum(report.table()["units"].to_pylist()) == len(data)
    y, rows = data.targets["labels"], data.splits["test"]
    right = [(a[rows] == y[rows]).mean() for a in (*answers, codes)]
    assert right[2] > max(right[:2])


@pytest.mark.parametrize(
    "settings", [{"joint": True}, {"strong": "sage", "confidence": "learned"}, {"answer": "drawn"}]
)
def test_every_setting_learns_and_answers(settings):
    data = small("graph")
    model = train(data, build("mowst", **settings), seed=0, epochs=2)
    assert len(model.predict(data)) == len(data) and model.embed(data).shape == (60, model.dim)


def test_who_cannot_be_the_strong_expert_and_reports_without_labels_are_told():
    with pytest.raises(SemblanceError, match="'node2vec' is no network"):
        build("mowst", strong="node2vec")
    nothing = np.zeros(3, int)
    with pytest.raises(SemblanceError, match="no unit is labelled"):
        expert_report(np.zeros(3), nothing, nothing, nothing, nothing - 1)
