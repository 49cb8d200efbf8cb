"""The Poincare ball: a metric whose motions are Moebius additions, twice Euclid near 0, found again by its name."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry import ball
from semblance.geometry.spaces import Euclidean, PoincareBall, Sphere, space_named
from semblance.memory.exact import scan

CURVATURES = st.sampled_from([0.05, 0.3, 1.0, 2.0])
SEEDS = st.integers(0, 10_000)


def points(seed: int, n: int, c: float, d: int = 3, reach: float = 0.6) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return ball.exp0(reach * torch.randn(n, d, generator=g, dtype=torch.float64), c)


def plain(x, y, c: float) -> float:
    """acosh form, number by number."""
    xx, yy, gap = (sum(v * v for v in z) for z in (x, y, [a - b for a, b in zip(x, y, strict=True)]))
    return math.acosh(1 + 2 * c * gap / ((1 - c * xx) * (1 - c * yy))) / math.sqrt(c)


def check_triangles(distance, x) -> None:
    d = distance(x, x)
    assert bool((d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-9).all())


@given(SEEDS, CURVATURES)
def test_distances_are_the_textbooks_and_a_metric(seed, c):
    x = points(seed, 7, c)
    d = ball.distances(x, x, c)
    expected = [[plain(p, q, c) for q in x.tolist()] for p in x.tolist()]
    torch.testing.assert_close(d, torch.tensor(expected, dtype=torch.float64), atol=1e-5, rtol=1e-6)
    assert torch.equal(d, d.T) and bool((d.diagonal() == 0).all())
    check_triangles(lambda p, q: ball.distances(p, q, c), x)


def test_the_triangle_check_can_fail():
    with pytest.raises(AssertionError):
        check_triangles(lambda p, q: torch.cdist(p, q).square(), points(0, 7, 1.0))


@given(SEEDS, CURVATURES)
def test_moebius_addition_of_one_point_keeps_all_distances_and_can_be_undone(seed, c):
    x, by = points(seed, 6, c), points(seed + 1, 1, c)
    moved = ball.moebius_sum(by.expand_as(x), x, c)
    torch.testing.assert_close(ball.distances(moved, moved, c), ball.distances(x, x, c), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ball.moebius_sum(-by.expand_as(x), moved, c), x, atol=1e-8, rtol=1e-6)


@given(SEEDS, CURVATURES)
def test_the_distance_is_the_length_of_the_difference_that_moebius_addition_makes(seed, c):
    x, y = points(seed, 5, c), points(seed + 1, 5, c)
    gap = ball.moebius_sum(-x, y, c).norm(dim=1)
    expected = 2 / c**0.5 * torch.atanh(c**0.5 * gap)
    torch.testing.assert_close(ball.distances(x, y, c).diagonal(), expected, atol=1e-6, rtol=1e-6)


def test_near_zero_the_distance_is_twice_euclids():
    x = 1e-4 * torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ball.distances(x, x, 1.0), 2 * torch.cdist(x, x), rtol=1e-6, atol=1e-12)


@given(SEEDS, CURVATURES)
def test_exp0_and_log0_undo_each_other_and_keep_direction_and_twice_the_length(seed, c):
    v = 0.6 * torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = ball.exp0(v, c)
    torch.testing.assert_close(ball.log0(x, c), v, atol=1e-8, rtol=1e-8)
    from_zero = ball.distances(torch.zeros(1, 3, dtype=torch.float64), x, c)[0]
    torch.testing.assert_close(from_zero, 2 * v.norm(dim=1))


@given(SEEDS, CURVATURES)
def test_the_midpoint_moves_with_its_points_and_of_two_lies_halfway(seed, c):
    x, by = points(seed, 5, c, reach=0.7), points(seed + 1, 1, c, reach=0.7)
    moved = ball.midpoint(ball.moebius_sum(by.expand_as(x), x, c), c)
    torch.testing.assert_close(moved[None], ball.moebius_sum(by, ball.midpoint(x, c)[None], c), atol=1e-7, rtol=1e-6)
    middle = ball.midpoint(x[:2], c)[None]
    whole, halves = ball.distances(x[:1], x[1:2], c), ball.distances(middle, x[:2], c)
    torch.testing.assert_close(halves, whole.expand(1, 2) / 2, atol=1e-6, rtol=1e-6)


def test_lifted_points_lie_on_the_hyperboloid_and_come_back():
    x = points(0, 6, 0.3)
    lifted = ball.lift(x, 0.3)
    torch.testing.assert_close(lifted[:, 0] ** 2 - 0.3 * (lifted[:, 1:] ** 2).sum(1), torch.ones(6, dtype=x.dtype))
    torch.testing.assert_close(ball.lower(3 * lifted, 0.3), x)
    assert torch.equal(ball.lower(torch.zeros(2, 4), 0.3), torch.zeros(2, 3))


def test_vectors_of_any_length_give_finite_distances_and_gradients():
    v = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [1.0, 1.0], [50.0, -3.0], [1e20, 1e20]], requires_grad=True)
    d = ball.distances(ball.exp0(v, 1.0), ball.exp0(v, 1.0), 1.0)
    (gradient,) = torch.autograd.grad(d.sum(), v)
    assert torch.isfinite(d).all() and torch.isfinite(gradient).all()


def test_the_midpoint_of_one_point_is_the_point_even_at_the_edge_and_in_float32():
    x = ball.exp0(torch.tensor([[0.3, 0.1], [2.0, 1.0], [-30.0, 4.0]]), 1.0).requires_grad_()
    alone = ball.midpoint(x[:, None], 1.0)
    torch.testing.assert_close(alone, x, atol=1e-4, rtol=0)
    d = ball.distances(alone, x, 1.0)
    assert torch.isfinite(torch.autograd.grad(d.sum(), x)[0]).all()
    assert bool((d.argmin(1) == torch.arange(3)).all())


def test_the_space_measures_as_the_ball_does_and_prepares_only_what_is_outside():
    space = PoincareBall(0.3)
    x = points(0, 8, 0.3).numpy()
    np.testing.assert_allclose(space.distance(x, x), ball.distances(*[torch.from_numpy(x)] * 2, 0.3), atol=1e-12)
    ready = space.prepare(np.concatenate([x, [[9.0, 0, 0]]]))
    np.testing.assert_array_equal(ready[:8], x.astype(np.float32))
    assert 0.998 < np.linalg.norm(ready[8]) * 0.3**0.5 < 1
    np.testing.assert_array_equal(space.prepare(ready), ready)
    assert space.distance(ready, ready).dtype == np.float32


def test_a_space_is_found_again_by_its_name():
    for space in (Euclidean(), Sphere(), PoincareBall(), PoincareBall(0.05), PoincareBall(1 / 3)):
        assert space_named(space.name) == space
    with pytest.raises(SemblanceError, match="curvature is 0"):
        PoincareBall(0)
    with pytest.raises(SemblanceError, match="no curvature"):
        space_named("hyperbolic(much)")
    with pytest.raises(SemblanceError, match="did you mean hyperbolic"):
        space_named("hyperbolik")


def test_an_exact_scan_finds_the_nearest_of_the_ball():
    x = points(0, 50, 1.0).numpy().astype(np.float32)
    found, distance = scan(x, None, x[:5], 4, "hyperbolic")
    every = PoincareBall().distance(x[:5].astype(np.float64), x.astype(np.float64))
    np.testing.assert_array_equal(found, np.argsort(every, axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :4], atol=1e-6)
