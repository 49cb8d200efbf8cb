"""What claims on representations share: digit nets of any seed, and what their layers say of test digits.

The net is the recipe `supervised` with half the small net: four stages of 16, 32, 64 and 64 channels with batch norm, their
mean the 64 features before the last layer; 700 steps of 128 on the first 22,400 training digits of MNIST, four epochs.
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
def digit_net(seed: int, epochs: int = EPOCHS) -> Model:
    """The net of this seed; with no epochs as it was drawn."""
    return train(digits_given(), supervised("half", batch=BATCH, augment=False), seed=seed, epochs=epochs)


def test_accuracy(model: Model) -> float:
    """Share of the test digits that the net names."""
    data = digits_given()
    rows = data.splits["test"]
    answered = np.array(model.predict(data.subset(rows)))
    return float((answered == np.array(data.classes)[data.targets["labels"][rows]]).mean())


def said(model: Model, rows: np.ndarray, unit: str = "flat") -> dict[str, np.ndarray]:
    """What the four hidden layers say of these digits."""
    network = model.network
    return activations(network, model.batches(digits_given(), rows), STAGES, unit, call=network)
