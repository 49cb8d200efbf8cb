"""The generator of coloured digits: what a class says is what is seen."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.claims import coloured_digits as made
from tests.conftest import needs


def test_a_class_is_its_three_parts_and_its_attributes_say_so() -> None:
    label = np.arange(made.COUNT)
    assert (made.label_of(*made.parts(label)) == label).all()
    table = made.attributes()
    assert table.shape == (80, 16)
    for name, row in zip(made.classes(), table, strict=True):
        size, colour, digit = name.split()
        assert {made.ATTRIBUTES[k] for k in np.flatnonzero(row)} == {size, colour, digit}


@pytest.mark.parametrize("seed", range(5))
def test_every_attribute_of_an_unseen_class_occurs_among_the_seen(seed: int) -> None:
    hidden = made.unseen_classes(seed=seed)
    assert len(hidden) == 20
    assert (np.delete(made.attributes(), hidden, 0).sum(0) > 0).all()


def test_colour_and_size_are_those_of_the_class() -> None:
    box = np.zeros((64, 1, 28, 28), np.uint8)
    box[:, :, 4:24, 4:24] = 255  # what a drawing fills
    colour, size = np.arange(64) % 4, np.arange(64) // 4 % 2
    x = made.coloured(box, colour, size, np.random.default_rng(0)).astype(float)
    assert x.shape == (64, 3, 28, 28)
    shade = np.array(list(made.COLOURS.values()), float)[colour]
    found = x.reshape(64, 3, -1).sum(2) / x.max(1).reshape(64, -1).sum(1)[:, None]
    np.testing.assert_allclose(found, shade / shade.max(1, keepdims=True), atol=0.02)
    area = (x.max(1) / x.max((1, 2, 3))[:, None, None]).sum((1, 2)) / 400  # square of the scale
    low, high = np.array(list(made.SIZES.values()))[size].T
    # Turned corners of a large one may be over the edge; small ones are whole.
    assert (area <= high**2 * 1.1).all() and (area >= low**2 * 0.85).all()


def test_what_a_picture_becomes_does_not_depend_on_how_many_follow() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (9, 1, 28, 28)).astype(np.uint8)
    kind = np.zeros(9, int)
    whole = made.coloured(grey, kind, kind, np.random.default_rng(0))
    np.testing.assert_array_equal(whole[:4], made.coloured(grey[:4], kind[:4], kind[:4], np.random.default_rng(0)))


def test_training_pictures_show_seen_classes_only() -> None:
    needs("mnist")
    data = made.coloured_digits(300, 300)
    label, hidden = data.targets["labels"], made.unseen_classes()
    assert not np.isin(label[data.splits["train"]], hidden).any()
    assert np.isin(label[data.splits["test"]], hidden).any()
    assert len(set(data.ids)) == len(data) == 600
