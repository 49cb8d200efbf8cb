"""What claims on representations share: digit nets of any seed, and what their layers say of test digits.

The nets are the recipe `supervised`, 700 steps of 128 on the first 22,400 training digits of MNIST, which is four epochs:

half     half the small net, with batch norm: four stages of 16, 32, 64 and 64 channels, whose last maps' mean is the 64
         features before the last layer
plain    four convolutions of 16, 32, 64 and 64 channels without a norm, each pooled; the last has one position left
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from semblance.analysis.activations import activations
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.recipes.supervised import supervised
from semblance.space.model import Model
from semblance.space.training import train

TRAIN, BATCH, EPOCHS = 22_400, 128, 4
STAGES = tuple(f"encoder.stages.{i}" for i in range(4))


@lru_cache(maxsize=1)
def digits_given() -> ArrayDataset:
    """MNIST with the first 22,400 training digits and all test digits."""
    source = load("mnist")
    return replace(source, splits={**source.splits, "train": source.splits["train"][:TRAIN]})


@lru_cache(maxsize=8)
def digit_net(seed: int, epochs: int = EPOCHS, kind: str = "half") -> Model:
    """The net of this seed; with no epochs as it was drawn."""
    axes = {"half": ("half", 0), "plain": ("offshelf4", 16)}
    recipe = supervised(*axes[kind], batch=BATCH, augment=False)
    return train(digits_given(), recipe, seed=seed, epochs=epochs)


def test_accuracy(model: Model) -> float:
    """Share of the test digits that the net names."""
    data = digits_given()
    rows = data.splits["test"]
    answered = np.array(model.predict(data.subset(rows)))
    return float((answered == np.array(data.classes)[data.targets["labels"][rows]]).mean())


def said(model: Model, rows: np.ndarray, unit: str = "flat") -> dict[str, np.ndarray]:
    """What the four stages say of these digits."""
    network = model.network
    return activations(network, model.batches(digits_given(), rows), STAGES, unit, call=network)
