"""Recipes on complexes answer numbers of whole complexes as well as classes of vertices."""

import numpy as np
import pytest
import torch

from semblance.data.relate import relate
from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import grid
from semblance.geometry.cells import joined_cells
from semblance.recipes.graph_cells import cw_at, cw_cnn
from semblance.space.training import train


def grids(count=240):
    """2 by 2 squares of which some are filled; the label is the number of holes."""
    whole, rng = grid((2, 2)), np.random.default_rng(0)
    one = [whole.keep([np.ones(9), np.ones(12), rng.random(4) < 0.5])[0] for _ in range(count)]
    joined = joined_cells(one)
    rows = np.arange(count)
    split = {"train": rows[:200], "test": rows[200:]}
    labels = joined.betti()[:, 1].astype(np.float32)
    return relate("complex", joined, x=[None] * 3, labels=labels, units="complex", count=count, given_splits=[split])


@pytest.mark.parametrize("recipe", [cw_cnn, cw_at])
def test_holes_are_learned_as_a_number(recipe):
    data = grids()
    model = train(
        data, recipe(hidden=8, layers=1, epochs=12, lr=1e-2, batch=16, **({"heads": 2} if recipe is cw_at else {}))
    )
    rows = data.splits["test"]
    with torch.inference_mode():
        answers = torch.cat([model.network(batch) for batch in model.batches(data, rows)]).numpy()
    truth = data.targets["labels"][rows]
    assert np.sqrt(np.mean((answers - truth) ** 2)) < 0.6 * truth.std()
    assert model.embed(data).shape == (240, 8)


def test_a_signed_recipe_asks_for_features_in_every_dimension():
    with pytest.raises(SemblanceError, match="cells of dimension 0 have no features"):
        train(grids(), cw_cnn(signed=True), epochs=1)
