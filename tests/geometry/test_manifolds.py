"""Spaces that gradients go through."""

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry.manifolds import KINDS, Ball, Flat, Product, Round, manifold_named


def points(space, count=6, seed=0, far=0.7):
    generator = torch.Generator().manual_seed(seed)
    return space.bring(far * torch.randn(count, space.width, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize("name", KINDS)
def test_distances_are_a_metric(name):
    space = manifold_named(name, 6)
    x = points(space)
    d = space.distance(x[:, None], x)
    torch.testing.assert_close(d, d.T)
    assert float(d.diagonal().abs().max()) < 1e-9 and float((d + torch.eye(6)).min()) > 0
    assert bool((d[:, None] <= d[:, :, None] + d[None] + 1e-9).all())


@pytest.mark.parametrize("name", KINDS)
def test_a_small_step_moves_as_far_as_its_riemannian_length_and_down(name):
    space = manifold_named(name, 6)
    x, goal = points(space).requires_grad_(), points(space, seed=1)
    before = space.distance(x, goal)
    (gradient,) = torch.autograd.grad(before.sum(), x)
    step = 1e-4
    with torch.no_grad():
        moved = space.descend(x, gradient, step)
        # The Riemannian gradient of a distance has length 1.
        np.testing.assert_allclose(space.distance(x, moved).numpy(), step, rtol=1e-3)
        np.testing.assert_allclose((before - space.distance(moved, goal)).numpy(), step, rtol=1e-3)
        torch.testing.assert_close(space.bring(moved) if name == "sphere" else moved, moved)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_at_one_place_are_finite(name):
    space = manifold_named(name, 6)
    x = points(space).requires_grad_()
    (gradient,) = torch.autograd.grad(space.distance(x, x.detach()).sum(), x)
    assert bool(gradient.isfinite().all())


def test_a_product_is_the_root_of_the_sum_of_squares():
    parts = (Flat(2), Round(3), Ball(2, c=0.5))
    space = Product(*parts)
    x, y = points(space), points(space, seed=1)
    apart = [p.distance(a, b) for p, a, b in zip(parts, x.split([2, 3, 2], 1), y.split([2, 3, 2], 1), strict=True)]
    torch.testing.assert_close(space.distance(x, y), torch.stack(apart).square().sum(0).sqrt())


def test_a_space_that_is_not_there_is_answered():
    with pytest.raises(SemblanceError, match="hyperbolic"):
        manifold_named("hyperbolc", 4)
    with pytest.raises(SemblanceError, match="6 or more"):
        manifold_named("product", 5)
    with pytest.raises(SemblanceError, match="at least one"):
        Product()
