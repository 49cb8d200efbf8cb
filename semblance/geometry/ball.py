"""The Poincare ball: points x with c |x|^2 < 1, where room grows exponentially with the distance from 0.

    distance      d(x, y) = 2/sqrt(c) asinh( sqrt(c) |x - y| / sqrt((1 - c|x|^2) (1 - c|y|^2)) ), curvature -c
    sum           x (+) y = ((1 + 2c<x,y> + c|y|^2) x + (1 - c|x|^2) y) / (1 + 2c<x,y> + c^2 |x|^2 |y|^2)
    exp0, log0    between the tangent space at 0, any vector, and the ball: tanh(sqrt(c)|v|) v / (sqrt(c)|v|), and back
    lift          onto the hyperboloid, (g, s) = (1 + c|x|^2, 2x) / (1 - c|x|^2), where g^2 - c|s|^2 = 1; `lower` undoes it
    move          the exponential map at x, x (+) tanh(sqrt(c)|v| / (1 - c|x|^2)) v / (sqrt(c)|v|)
    midpoint      lower(mean of lift): the Einstein midpoint, sum g_i k_i / sum g_i of Klein coordinates k = s / g

Near 0 the distance is twice the Euclidean one. It is written with asinh of a ratio, equal to acosh and artanh forms, which
lose all digits for near points. x -> p (+) x keeps all distances; (+) is no commutative sum, but (-x) (+) (x (+) y) = y.
All but exp0 take points of the ball; `inside` pulls what rounding left outside back.

References: Ungar 2008, A Gyrovector Space Approach to Hyperbolic Geometry; Ganea et al. 2018, arXiv:1805.09112; Khrulkov et
al. 2020, arXiv:1904.02239 (midpoints of classes).
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

Array = TypeVar("Array", Tensor, Any)

EDGE = 1e-3
"""Points keep this share of the radius away from the edge: nearer to it float32 loses what tells them apart. The furthest
are 7.6 / sqrt(c) from 0."""


def inside(x: Tensor, c: float) -> Tensor:
    """[..., d] -> [..., d]: points at or beyond the edge are pulled to just within it, others stay as they are."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    radius = (1 - EDGE) / c**0.5
    return torch.where(length > radius, x * (radius / length.clamp_min(radius)), x)


def exp0(v: Tensor, c: float) -> Tensor:
    """Any vectors [..., d] -> points [..., d] in the same direction, at distance 2 |v| from 0."""
    length = (c**0.5 * torch.linalg.vector_norm(v, dim=-1, keepdim=True)).clamp_min(torch.finfo(v.dtype).tiny)
    return inside(v * (length.tanh() / length), c)


def log0(x: Tensor, c: float) -> Tensor:
    """Points [..., d] -> the vectors that exp0 brings there."""
    length = (c**0.5 * torch.linalg.vector_norm(x, dim=-1, keepdim=True)).clamp_min(torch.finfo(x.dtype).tiny)
    return x * (length.atanh() / length)


def moebius_sum(x: Array, y: Array, c: float) -> Array:
    """[..., d], [..., d] -> [..., d]; tensors, or NumPy arrays of any numbers (`tree_embedding` has long ones)."""
    xy, xx, yy = ((a * b).sum(axis=-1, keepdims=True) for a, b in ((x, y), (x, x), (y, y)))  # type: ignore[call-overload]
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)


def distances(x: Tensor, y: Tensor, c: float) -> Tensor:
    """[Q, d], [N, d] -> [Q, N]; where two are equal the gradient is 0."""
    gap = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return _stretched(gap, (1 - c * (x * x).sum(1))[:, None] * (1 - c * (y * y).sum(1)), c)


def between(x: Tensor, y: Tensor, c: float) -> Tensor:
    """[..., d], [..., d] -> [...], from each x to its own y; where two are equal the gradient is 0."""
    gap = torch.linalg.vector_norm(x - y, dim=-1)
    return _stretched(gap, (1 - c * (x * x).sum(-1)) * (1 - c * (y * y).sum(-1)), c)


def _stretched(gap: Tensor, to_edge: Tensor, c: float) -> Tensor:
    return 2 / c**0.5 * torch.asinh(c**0.5 * gap * to_edge.rsqrt())


def move(x: Tensor, v: Tensor, c: float) -> Tensor:
    """Points [..., d] and tangent vectors at them -> where the geodesic that leaves x along v is after time 1."""
    length = torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
    far = (c**0.5 * length / (1 - c * (x * x).sum(-1, keepdim=True))).tanh()
    return inside(moebius_sum(x, v * (far / (c**0.5 * length)), c), c)


def lift(x: Tensor, c: float) -> Tensor:
    """Points [..., d] -> [..., 1 + d] on the hyperboloid: g, then s."""
    xx = c * (x * x).sum(-1, keepdim=True)
    return torch.cat([1 + xx, 2 * x], -1) / (1 - xx)


def lower(lifted: Tensor, c: float) -> Tensor:
    """[..., 1 + d] on a ray through the hyperboloid (a sum or mean of lifted points) -> points [..., d]; 0 for zeros."""
    g, s = lifted[..., :1], lifted[..., 1:]
    klein = s / g.clamp_min(torch.finfo(s.dtype).tiny)
    # Of a point at the edge all digits of 1 - c|k|^2 are lost; the least root keeps its gradient finite.
    root = (1 - c * (klein * klein).sum(-1, keepdim=True)).clamp_min(torch.finfo(s.dtype).eps ** 2).sqrt()
    return inside(klein / (1 + root), c)


def midpoint(x: Tensor, c: float) -> Tensor:
    """[..., N, d] -> [..., d], the Einstein midpoint."""
    return lower(lift(x, c).mean(-2), c)
