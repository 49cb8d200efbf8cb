"""Prototypes in the ball: what the recipe composes for a curved distance, trained, saved and asked."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.assemble import assemble
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Euclidean, PoincareBall, Sphere
from semblance.recipes.prototypes import prototypical_networks
from semblance.recipes.registry import Recipe
from semblance.space.model import Model
from semblance.space.training import train

SETTINGS = {
    "backbone": "small",
    "ways": 3,
    "shots": 4,
    "queries": 4,
    "distance": "hyperbolic(0.05)",
    "episodes": 12,
    "epochs": 1,
}


def squares(items: int = 90):
    """Pictures of three classes: the bright third says which."""
    rng = np.random.default_rng(0)
    y = np.arange(items) % 3
    x = rng.integers(0, 60, (items, 1, 9, 9)).astype(np.uint8)
    for item, k in enumerate(y):
        x[item, 0, 3 * k : 3 * k + 3] += 150
    rows = np.arange(items)
    parts = {"train": rows[:60], "test": rows[60:]}
    return assemble("images", x, targets={"labels": y}, classes=("a", "b", "c"), splits=parts)


def small(distance: str) -> Recipe:
    return prototypical_networks(**{**SETTINGS, "distance": distance})


@pytest.mark.parametrize(
    ("distance", "geometry"),
    [
        ("euclidean", Euclidean()),
        ("cosine", Sphere()),
        ("hyperbolic", PoincareBall()),
        ("hyperbolic(0.05)", PoincareBall(0.05)),
    ],
)
def test_the_space_is_that_of_the_distance_and_the_nearest_prototype_answers(distance, geometry):
    data = squares()
    model = train(data, small(distance), seed=0)
    assert model.geometry == geometry
    z = model.embed(data, data.splits["test"])
    np.testing.assert_allclose(geometry.prepare(z), z, atol=1e-6)
    right = np.array(model.predict(data))[data.splits["test"]] == np.array(data.classes)[data.targets["labels"][60:]]
    assert right.mean() > 0.9


def test_a_hyperbolic_model_is_saved_and_found_again(tmp_path):
    data = squares()
    model = train(data, small("hyperbolic(0.05)"), seed=0, name="prototypical-networks", settings=SETTINGS)
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert again.geometry == PoincareBall(0.05)
    np.testing.assert_allclose(again.embed(data), model.embed(data), atol=1e-6)
    assert again.predict(data) == model.predict(data)


def test_a_distance_that_does_not_exist_is_answered_with_the_nearest():
    with pytest.raises(SemblanceError, match="did you mean hyperbolic"):
        prototypical_networks(distance="hyperbolik")
