"""Scaling: points from all their distances."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from semblance.errors import SemblanceError
from semblance.geometry.ball import exp0
from semblance.geometry.distortion import average_distortion, best_scale, stretches
from semblance.geometry.scaling import between_all, classical, hyperbolic, scaled_hyperbolic
from tests.geometry.test_tree_embedding import unit
from tests.geometry.test_trees import random_tree


def ball_points(count, dim, seed=0):
    v = torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return exp0(0.8 * v, 1.0).numpy()


@pytest.mark.parametrize("dim", [2, 5])
def test_distances_of_hyperbolic_points_come_back(dim):
    far = between_all(ball_points(60, dim))
    np.testing.assert_allclose(between_all(hyperbolic(far, dim)), far, atol=1e-9)
    np.testing.assert_allclose(between_all(hyperbolic(far, dim + 2)), far, atol=1e-5)  # idle dimensions hold rounding
    assert np.abs(between_all(hyperbolic(far, dim - 1)) - far).max() > 0.1


def test_distances_of_flat_points_come_back():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = classical(cdist(x, x), 3)
    np.testing.assert_allclose(cdist(y, y), cdist(x, x), atol=1e-9)
    assert np.abs(y.mean(0)).max() < 1e-9
    np.testing.assert_allclose(classical(cdist(x, x), 5)[:, 3:], 0, atol=1e-6)


def test_the_scale_of_shrunken_distances_is_found():
    far = between_all(ball_points(50, 3))
    points, scale = scaled_hyperbolic(far / 4, 3)
    assert scale == pytest.approx(4, rel=0.05)
    assert average_distortion(stretches(between_all(points), scale * far / 4)) < 0.02


def test_no_point_lies_beyond_the_radius():
    far = unit(random_tree(40, 2)).distances()
    for radius in (2.0, 7.0):
        points, _ = scaled_hyperbolic(far, 4, radius)
        assert 2 * np.arctanh(np.linalg.norm(points, axis=1)).max() <= radius


def test_a_tree_fits_hyperbolic_space_better_than_flat_space():
    far = unit(random_tree(60, 1)).distances()
    y = classical(far, 4)
    lost = []
    for found in (between_all(scaled_hyperbolic(far, 4)[0]), cdist(y, y)):
        stretch = stretches(found, far)
        lost.append(average_distortion(stretch * best_scale(stretch)))
    assert lost[0] < 0.6 * lost[1]


def test_points_at_one_place_stay_there():
    points, scale = scaled_hyperbolic(np.zeros((3, 3)), 2)
    assert scale == 1 and not points.any()


@pytest.mark.parametrize(
    ("distances", "words"),
    [(np.zeros((2, 3)), "of all pairs"), (np.array([[0, np.inf], [np.inf, 0]]), "1 distances are missing")],
)
def test_what_scaling_cannot_read_is_refused(distances, words):
    with pytest.raises(SemblanceError, match=words):
        classical(distances, 2)
    with pytest.raises(SemblanceError, match=words):
        hyperbolic(distances, 2)
