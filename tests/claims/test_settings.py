"""The shared settings are what the catalogue's header says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from semblance.claims import settings
from semblance.data.dataset import Shape
from semblance.encoders.vision.stagenet import multiply_adds
from tests.conftest import needs


def square_pictures(n: int, side: int = 28) -> np.ndarray:
    x = np.zeros((n, 1, side, side), np.uint8)
    x[:, :, 10:18, 10:18] = 200
    return x


def test_the_small_net_has_128_features_and_four_million_multiply_adds():
    net = settings.small_net()(Shape("images", (1, 28, 28), 10, 6000))
    assert net.dim == 128
    assert multiply_adds(net, (28, 28), 1) == pytest.approx(4.5e6, rel=0.05)
    assert multiply_adds(settings.small_net()(Shape("images", (3, 32, 32), 10, 6000)), (32, 32)) == pytest.approx(
        4.9e6, rel=0.2
    )


def test_a_picture_moves_alike_however_many_follow():
    x = square_pictures(40)
    assert np.array_equal(settings.moved(x, 3)[:7], settings.moved(x[:7], 3))
    assert not np.array_equal(settings.moved(x, 3), settings.moved(x, 4))


def test_moved_pictures_keep_the_stated_bounds():
    seen = settings.moved(square_pictures(2000), 0)[:, 0].astype(float)
    mass = seen.sum((1, 2)) / 200
    scale = np.sqrt(mass) / 8
    assert 0.47 < scale.min() < 0.55 and 0.85 < scale.max() < 0.93
    at = np.arange(28) - 13.5
    across, down = (seen.sum(axis) @ at / seen.sum((1, 2)) for axis in (1, 2))
    away = np.hypot(across, down) / scale  # in pixels of the picture as it was
    assert 6 < away.max() < 6 * 2**0.5 + 0.5
    assert abs(across.mean()) < 0.3 and abs(down.mean()) < 0.3


def test_turns_reach_thirty_degrees_and_no_further():
    x = np.zeros((2000, 1, 28, 28), np.uint8)
    x[:, :, 13:15, 4:24] = 255  # a bar
    seen = settings.moved(x, 0)[:, 0].astype(float)
    at = np.arange(28)
    mass = seen.sum((1, 2))
    u, v = (seen.sum(1) @ at / mass, seen.sum(2) @ at / mass)
    du, dv = at[None, None, :] - u[:, None, None], at[None, :, None] - v[:, None, None]
    slope = np.degrees(0.5 * np.arctan2(2 * (seen * du * dv).sum((1, 2)), (seen * (du**2 - dv**2)).sum((1, 2))))
    inside = mass > 0.2 * 40 * 255  # bars that left the picture have no direction
    assert 27 < np.abs(slope[inside]).max() < 32


def test_moved_mnist_is_the_catalogues():
    needs("mnist")
    data = settings.moved_mnist()
    assert len(data.splits["train"]) == 6000 and len(data.splits["test"]) == 2000
    assert data is settings.moved_mnist()
    train_x, train_y, test_x, test_y = settings.pixels(data)
    # Catalogue: 20-NN on pixels 0.60 with 3,000 training digits.
    assert settings.knn_probe(train_x[:3000], train_y[:3000], test_x, test_y) == pytest.approx(0.60, abs=0.02)


def test_further_digits_leave_the_first_as_they_are():
    needs("mnist")
    few, more = settings.moved_mnist(50, 20), settings.moved_mnist(90, 30)
    assert np.array_equal(few.x[:50], more.x[:50])
    assert np.array_equal(few.x[50:], more.x[90:110])
    assert few.ids[50:] == more.ids[90:110]


def test_the_digits_split_is_stratified():
    x, y = settings.digits()
    train, test = settings.digits_split()
    assert x.shape == (1797, 64) and x.max() == 1.0
    assert len(train) == 1200 and len(test) == 597 and not set(train) & set(test)
    share = np.bincount(y[test]) / np.bincount(y)
    assert np.abs(share - 597 / 1797).max() < 0.01


def test_the_knn_probe_is_the_weighted_vote():
    x, y = settings.digits()
    train, test = settings.digits_split()
    z = x - x.mean(0)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    slow = KNeighborsClassifier(20, weights=lambda d: np.exp((1 - d**2 / 2) / 0.07)).fit(unit[train], y[train])
    assert settings.knn_probe(z[train], y[train], z[test], y[test]) == pytest.approx(
        slow.score(unit[test], y[test]), abs=1.5 / 597
    )


def test_probes_fall_to_chance_on_shuffled_labels():
    x, y = settings.digits()
    train, test = settings.digits_split()
    shuffled = np.random.default_rng(0).permutation(y[train])
    assert settings.linear_probe(x[train], y[train], x[test], y[test]) > 0.94
    assert settings.linear_probe(x[train], shuffled, x[test], y[test]) < 0.25
    assert settings.knn_probe(x[train], shuffled, x[test], y[test]) < 0.25


def test_views_of_moved_digits_are_grey_and_black_outside():
    views = settings.moved_views()
    assert (views.turn, views.zoom, views.shift, views.contrast) == (30.0, (0.8, 1.25), 4.0, 0.4)
    assert (views.scale, views.flip, views.brightness, views.border) == (None, False, 0.0, "zero")
    assert settings.cifar_views().scale == (0.3, 1.0) and settings.cifar_views().grey == 0.2


def test_an_untrained_net_depends_on_the_seed_alone():
    from semblance.recipes.branches import simsiam

    needs("mnist")
    data = settings.moved_mnist(50, 20)
    one, same, other = (settings.untrained(data, simsiam(), seed) for seed in (1, 1, 2))
    z = [settings.features(model, data, data.splits["test"]) for model in (one, same, other)]
    assert np.array_equal(z[0], z[1]) and not np.allclose(z[0], z[2])
    assert not one.network.training and torch.is_tensor(next(one.network.parameters()))
