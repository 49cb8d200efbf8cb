"""Recipes of the contrast core: what they build from a shape, and what a few steps on a toy teach them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from semblance.data.dataset import ArrayDataset, Shape
from semblance.errors import SemblanceError
from semblance.objectives.bank import InstanceDiscrimination, NoiseContrast
from semblance.objectives.contrast import Points
from semblance.recipes.contrast import MANY, icon, instance_discrimination, simclr, supcon, width_of
from semblance.space.training import train


def pictures(side: int = 8, units: int = 60) -> ArrayDataset:
    """Three kinds of pictures, told apart by where they are bright, with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(units) % 3
    x = rng.integers(0, 60, (units, 1, side, side))
    for k in range(3):
        x[labels == k, :, k * side // 3 : (k + 1) * side // 3] += 180
    return ArrayDataset(
        domain="images",
        x=x.astype(np.uint8),
        ids=[str(i) for i in range(units)],
        targets={"labels": labels},
        attributes=pa.table({"id": [str(i) for i in range(units)]}),
        splits={"train": np.arange(units)},
        fingerprint="toy",
    )


@pytest.mark.parametrize("make", [simclr, supcon, instance_discrimination], ids=lambda make: make.__name__)
def test_the_loss_falls_on_a_toy(make):
    once = {} if make is instance_discrimination else {"least": 1}
    model, again = (train(pictures(), make(backbone="half", width=8, batch=30, **once), epochs=3) for _ in range(2))
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert np.array_equal(model.embed(pictures()), again.embed(pictures())), "the same seed gives the same bits"


def test_icon_finds_clusters_that_are_there():
    data = pictures()
    model = train(data, icon(clusters=3, batch=60, epochs=40))
    found = np.array([int(name.removeprefix("cluster ")) for name in model.predict(data)])
    purity = sum(np.bincount(found[data.targets["labels"] == k]).max() for k in range(3)) / len(data)
    assert purity == 1.0 and len(set(found)) == 3


def test_small_pictures_keep_places_to_pool_over():
    for side, places in ((8, 2), (28, 4)):
        net = simclr().encoder(Shape("images", (1, side, side), 0, 10))
        assert net({"x": torch.zeros(2, 1, side, side)})[-1].shape[-1] == places


def test_the_width_of_an_encoder_is_known_without_drawing_weights():
    before = torch.random.get_rng_state()
    assert width_of(simclr(width=16).encoder, Shape("images", (3, 32, 32), 0, 10)) == 64
    assert torch.equal(before, torch.random.get_rng_state())


def test_many_items_are_told_apart_by_noise_and_few_by_all():
    def objective(units: int, **settings):
        stage = instance_discrimination(dim=4, **settings).stages[0]
        return stage.objective(Shape("images", (1, 8, 8), 0, units))

    assert isinstance(objective(MANY).loss, NoiseContrast) and objective(MANY).loss.negatives == 4096
    assert isinstance(objective(100), InstanceDiscrimination) and not isinstance(objective(100).loss, NoiseContrast)
    assert isinstance(objective(100, estimator="parametric").loss.candidates, Points)
    with pytest.raises(SemblanceError, match="did you mean softmax"):
        instance_discrimination(estimator="softmx")
