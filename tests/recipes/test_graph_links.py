"""Learned scores of pairs, as a user meets them: ranked by their own head, asked for pairs and for the next link."""

import copy

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.space.model import Model
from semblance.space.tasks import task_of
from semblance.space.training import train
from semblance.testing import small


@pytest.fixture(scope="module")
def data():
    return small("graph")


@pytest.fixture(scope="module", params=["ncn", "ncnc"])
def trained(request, data):
    made = build(request.param, hidden=16, epochs=1, steps=2)
    return train(data, made, seed=0, name=request.param, settings={"hidden": 16})


def test_links_are_ranked_by_the_scores_of_the_head_and_not_by_a_regression(trained, data):
    task = task_of(data, "links")
    dull = copy.deepcopy(trained)
    with torch.no_grad():
        for weight in dull.network.head.parameters():
            weight.zero_()  # every pair scores the same, whatever the embeddings are
    assert np.unique(task.measures(dull)["auc"]).tolist() == [0.5]
    assert len(np.unique(task.measures(trained)["auc"])) > 1


def test_the_scores_of_pairs_come_back_from_disk_and_the_next_link_is_none_that_exists(trained, data, tmp_path):
    pairs = np.array([[0, 1, 2], [3, 4, 5]])
    trained.save(tmp_path / "model.safetensors")
    again = Model.load(tmp_path / "model.safetensors")
    assert np.array_equal(again.pair_scores(data, pairs), trained.pair_scores(data, pairs))
    there = {tuple(edge) for edge in data.graph.edge_index.T.tolist()}
    for node, answer in enumerate(trained.predict(data)):
        assert answer != str(node) and (node, data.ids.index(answer)) not in there


def test_a_recipe_without_a_head_for_pairs_says_which_have_one(data):
    with pytest.raises(SemblanceError, match="ncn"):
        train(data, build("gcn"), epochs=0).pair_scores(data, np.zeros((2, 1), int))
