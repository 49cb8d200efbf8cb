"""The survey's categories: every name is a recipe of the table, can be asked its tasks, and is built of what exists."""

import numpy as np
import pytest

from semblance.data.heat import heat_on_a_ring
from semblance.errors import SemblanceError
from semblance.recipes.graph_taxonomy import TABLE, graph_model, row_of, table
from semblance.recipes.registry import own
from semblance.space.training import train
from semblance.testing.related import graph, graphs

SMALL = {"nodes": graph, "links": graph, "graphs": graphs}


def test_there_are_more_than_24_names_in_the_families_of_the_survey_and_each_names_a_recipe():
    assert len({(row.family, row.name) for row in TABLE}) == len(TABLE) >= 24
    assert {row.recipe for row in TABLE} <= set(own())
    for row in TABLE:
        assert set(row.settings) <= set(own()[row.recipe].settings)
        domain = "graph" if row.tasks[0] in ("nodes", "links") else "graphs"
        assert domain in own()[row.recipe].domains
    assert len(table()) == len(TABLE) and set(table()[0]) >= {"inputs", "pooling", "readout", "cost", "tasks"}


@pytest.mark.parametrize("name", ["gcn", "cheb-net"])
@pytest.mark.parametrize("task", ["nodes", "graphs", "links"])
def test_a_name_can_be_asked_any_of_its_tasks(name, task):
    model = train(SMALL[task](), graph_model("spectral", name, task), seed=0, epochs=12)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert (model.network.head is None) == (task == "links")


def test_a_forecast_is_a_number_of_every_node_and_settings_are_the_recipes():
    data = heat_on_a_ring({"train": 24, "val": 8, "test": 4}, sensors=6, history=4)
    made = graph_model("spatio-temporal", "graph-gru", hidden=8)
    model = train(data, made, seed=0, epochs=4)
    answered = model.network.eval()(data.read(np.arange(3)))
    assert answered.shape == (18,) and len(model.network.head.decode(answered)) == 18
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert graph_model("spatio-temporal", "graph-gru", "graphs").head is not made.head


def test_a_wrong_name_family_or_task_is_answered_with_the_nearest():
    with pytest.raises(SemblanceError, match="recurrent"):
        graph_model("recurent", "gated")
    with pytest.raises(SemblanceError, match="cheb-net"):
        row_of("spectral", "chebnet")
    with pytest.raises(SemblanceError, match="nodes"):
        graph_model("training", "clusters", "node")
