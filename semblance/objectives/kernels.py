"""Kernels: how near two learned points are. Each maps z [N, d] and candidate points [M, d] to scores [N, M]; q(.|i) is
the softmax of row i, so a kernel is a log affinity up to a constant per row.

    Cosine         cos(z_i, z_j) / temperature            InfoNCE, SimCLR, MoCo, CLIP, SupCon
    Dot            z_i . z_j                              cross-entropy on class weights, graph embedding
    Gaussian       -|z_i - z_j|^2 / (2 width^2)           SNE; PCA in the limit of a wide one
    StudentT       -(f + 1)/2 log(1 + |z_i - z_j|^2 / f)  t-SNE with f = 1 degree of freedom
    Harmonic       -n log |z_i - z_j|                     harmonic loss on class centres
    SharedCluster  log sum_c a_ic a_jc / sum_k a_kc       clustering: a = softmax of cluster logits

The last one is a distribution over the candidates already (the chance to meet j on the way i -> cluster -> member), and
a softmax of log q is q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError

Kernel = Callable[[Tensor, Tensor], Tensor]


def _positive(name: str, value: float, usual: str) -> None:
    if not value > 0:
        raise SemblanceError(f"{name} is {value}, but scores are scaled by it: give more than 0 ({usual} is usual)")


def squared_distances(z: Tensor, points: Tensor) -> Tensor:
    """[N, d], [M, d] -> [N, M]; one matrix product, never below 0."""
    square = torch.addmm(points.square().sum(1)[None], z, points.T, alpha=-2)
    return (square + z.square().sum(1, keepdim=True)).clamp_min(0)


@dataclass(frozen=True)
class Cosine:
    """Only directions count; the lower the temperature, the more the nearest candidates do."""

    temperature: float = 0.1

    def __post_init__(self) -> None:
        _positive("temperature", self.temperature, "0.05 to 0.5")

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, d], [M, d] -> [N, M]."""
        directions = F.normalize(z, dim=1)
        others = directions if points is z else F.normalize(points, dim=1)
        # Dividing the thin matrix rather than the N x M product saves a pass over the latter.
        return (directions / self.temperature) @ others.T


@dataclass(frozen=True)
class Dot:
    """Inner products, with a temperature of 1 unless told."""

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _positive("temperature", self.temperature, "1")

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, d], [M, d] -> [N, M]."""
        return (z / self.temperature) @ points.T


@dataclass(frozen=True)
class Gaussian:
    """A bell of one width (in the units of z) around every point."""

    width: float = 0.5**0.5

    def __post_init__(self) -> None:
        _positive("width", self.width, "0.7, SNE's")

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, d], [M, d] -> [N, M]."""
        return squared_distances(z, points) / (-2 * self.width**2)


@dataclass(frozen=True)
class StudentT:
    """Heavy tails: far points may be very far, which is what makes room in two dimensions."""

    freedom: float = 1.0

    def __post_init__(self) -> None:
        _positive("freedom", self.freedom, "1, t-SNE's")

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, d], [M, d] -> [N, M]."""
        return (squared_distances(z, points) / self.freedom).log1p() * (-(self.freedom + 1) / 2)


@dataclass(frozen=True)
class Harmonic:
    """A power of the distance: q is the share of distance^-exponent. `exponent` is usually about sqrt(d)."""

    exponent: float = 8.0

    def __post_init__(self) -> None:
        _positive("exponent", self.exponent, "the square root of the width of z")

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, d], [M, d] -> [N, M]."""
        square = squared_distances(z, points)
        return square.clamp_min(torch.finfo(square.dtype).eps).log() * (-self.exponent / 2)


@dataclass(frozen=True)
class SharedCluster:
    """z holds cluster logits: j is near i as far as they share clusters, small clusters counting as much as large ones.

    `mass` [M], where given, weighs the candidates inside their clusters (node degrees: normalised cuts).
    """

    mass: Tensor | None = None

    def __call__(self, z: Tensor, points: Tensor) -> Tensor:
        """[N, K], [M, K] -> [N, M], log of the chance to reach j by i -> cluster -> member."""
        share = z.softmax(1)
        member = share if points is z else points.softmax(1)
        if self.mass is not None:
            member = member * self.mass[:, None]
        floor = torch.finfo(z.dtype).tiny
        within = member / member.sum(0).clamp_min(floor)  # [M, K], columns sum to 1
        return (share @ within.T).clamp_min(floor).log()
