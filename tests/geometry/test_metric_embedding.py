"""Points whose distances match given ones, by gradients."""

import numpy as np
import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.geometry.distortion import average_distortion
from semblance.geometry.manifolds import Ball, Flat, manifold_named
from semblance.geometry.metric_embedding import Encoded, Points, fit, squared_ratio
from tests.geometry.test_tree_embedding import unit
from tests.geometry.test_trees import random_tree


def half_of_a_tree():
    """Pairs of a tree, half of their distances missing."""
    far = torch.from_numpy(unit(random_tree(30, 4)).distances())
    first, second = torch.triu_indices(30, 30, 1)
    known = torch.rand(len(first), generator=torch.Generator().manual_seed(0)) < 0.5
    return first, second, far[first, second], known


@pytest.mark.parametrize(("name", "most"), [("hyperbolic", 0.25), ("product", 0.25)])
def test_missing_distances_are_filled_in(name, most):
    first, second, far, known = half_of_a_tree()
    space = manifold_named(name, 6)
    start = torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = Points(space, space.bring(0.1 * start))
    with torch.no_grad():
        before = average_distortion((points(first, second) / far)[~known].numpy())
    fit(points, first[known], second[known], far[known], steps=300)
    with torch.no_grad():
        after = average_distortion((points(first, second) / far)[~known].numpy())
    assert after < most < before


def test_points_of_the_ball_stay_in_it():
    first, second, far, _ = half_of_a_tree()
    points = Points(Ball(2), torch.zeros(30, 2, dtype=torch.float64) + 0.01 * torch.randn(30, 2, dtype=torch.float64))
    fit(points, first, second, 50 * far, steps=50, rate=20.0)
    assert float(points.points.detach().norm(dim=1).max()) < 1


def test_the_loss_is_that_of_squared_ratios():
    d, target = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0])
    assert float(squared_ratio(d, target)) == pytest.approx((0.75 + 3) / 2)


def test_an_encoder_learns_distances_of_its_inputs():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 200, 3, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Linear(3, 3)
    stretched = torch.tensor([1.0, 2.0, 0.5])
    target = ((x - y) * stretched).norm(dim=1)
    lost = fit(Encoded(encoder, Flat(3).distance), x, y, target, steps=300, lr=0.05, batch=100, generator=generator)
    assert lost < 0.05


def test_the_same_generator_gives_the_same_points():
    first, second, far, _ = half_of_a_tree()
    found = []
    for _ in range(2):
        points = Points(Flat(3), torch.linspace(-1, 1, 90, dtype=torch.float64).view(30, 3).sin())
        fit(points, first, second, far, steps=20, batch=64, generator=torch.Generator().manual_seed(7))
        found.append(points.points.detach().numpy())
    np.testing.assert_array_equal(*found)


def test_points_of_another_width_and_no_distance_are_refused():
    with pytest.raises(SemblanceError, match="3 numbers and the space 2"):
        Points(Flat(2), torch.zeros(4, 3))
    with pytest.raises(SemblanceError, match="no distance is known"):
        empty = torch.zeros(0, dtype=torch.int64)
        fit(Points(Flat(2), torch.zeros(4, 2)), empty, empty, torch.zeros(0))
