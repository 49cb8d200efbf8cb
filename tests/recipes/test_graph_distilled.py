"""Students of graphs: no edge is touched when they answer, nodes that nobody saw included, and any recipe may teach."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small

STUDENTS = [("distilled", "graph"), ("lighthgnn", "hypergraph"), ("lighthgnn", "graph"), ("vqgraph", "graph")]


class Untouchable:
    """A structure that cannot be read."""

    member = None

    def __getattr__(self, name):
        raise AssertionError(f"the student asked the structure for {name}")

    def to(self, device):
        return self


@pytest.mark.parametrize(("name", "domain"), STUDENTS)
def test_a_student_answers_without_touching_an_edge(name, domain):
    data = small(domain)
    model = train(data, build(name), seed=0, epochs=2)
    (batch,) = model.batches(data)
    with torch.inference_mode():
        whole = model.network(batch)
        assert torch.equal(model.network({**batch, "graph": Untouchable()}), whole)
        assert torch.equal(model.network({k: v for k, v in batch.items() if k != "graph"}), whole)
    if domain == "graph":
        bare = replace(data, graph=Graph(torch.empty(2, 0, dtype=torch.int64), data.graph.num_nodes))
        assert np.array_equal(model.embed(bare), model.embed(data)) and model.predict(bare) == model.predict(data)


def test_nodes_that_neither_teacher_nor_student_saw_are_answered():
    data = small("graph")
    seen = np.setdiff1d(np.arange(len(data)), data.splits["test"][::2])
    model = train(data.subset(seen), build("distilled"), seed=0)
    answers = np.array(model.predict(data))
    unseen = data.splits["test"][::2]
    wanted = np.array(data.classes)[data.targets["labels"][unseen]]
    assert (answers[unseen] == wanted).mean() > 0.6


@pytest.mark.parametrize("teacher", ["appnp", "gat", "sgc", "vqgraph-teacher", "distilled"])
def test_any_network_for_nodes_may_teach(teacher):
    data = small("graph")
    model = train(data, build("distilled", teacher=teacher), seed=0, epochs=2)
    assert len(model.predict(data)) == len(data)


@pytest.mark.parametrize(
    ("name", "settings", "domain", "words"),
    [
        ("distilled", {"teacher": "node2vec"}, "graph", "learns no labels"),
        ("distilled", {"teacher": "gcm"}, "graph", "gcn"),
        ("lighthgnn", {"teacher": "gcn"}, "hypergraph", "reads graph"),
        ("lighthgnn", {"labels": 2.0}, "graph", "from 0 to 1"),
    ],
)
def test_who_cannot_teach_is_told(name, settings, domain, words):
    with pytest.raises(SemblanceError, match=words):
        train(small(domain), build(name, **settings), seed=0, epochs=1)
