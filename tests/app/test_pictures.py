"""The mosaic of first filters: each weight where it should stand, in the colour that says its sign."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torch import nn

from semblance.app.pictures import filters, mosaic
from semblance.errors import SemblanceError


def test_every_filter_stands_in_its_tile_on_its_own_scale():
    weights = (
        np.random.default_rng(0).normal(size=(5, 3, 2, 4)).astype(np.float32) * np.arange(1, 6)[:, None, None, None]
    )
    image = mosaic(weights, columns=3)
    assert image.shape == (2 * 3 - 1, 3 * 5 - 1, 3)
    for number, filter in enumerate(weights):
        row, column = divmod(number, 3)
        tile = image[3 * row : 3 * row + 2, 5 * column : 5 * column + 4]
        np.testing.assert_allclose((tile - 0.5) * 2 * np.abs(filter).max(), np.moveaxis(filter, 0, 2), atol=1e-5)
    assert (image[2] == 1).all() and (image[:, 4] == 1).all() and (image[3:, 10:] == 1).all()


def test_filters_of_other_channels_are_grey_and_zeros_are_middle_grey():
    image = mosaic(np.stack([np.zeros((1, 3, 3)), -np.ones((1, 3, 3))]).astype(np.float32))
    assert (image[:, :3] == 0.5).all() and (image[:, 4:] == 0).all()
    assert np.ptp(mosaic(np.random.default_rng(0).normal(size=(4, 7, 3, 3))), axis=2).max() == 0


def test_the_first_convolution_is_drawn_and_its_absence_is_said(tmp_path):
    path = filters(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 20, 5), nn.Conv2d(20, 4, 3)), tmp_path / "deep" / "f.png")
    assert min(Image.open(path).size) > 50
    with pytest.raises(SemblanceError, match="Linear has no convolution"):
        filters(nn.Linear(2, 2), tmp_path / "none.png")
