"""Spaces that gradients go through: how any vectors become points, how far two points are, where a step leads.

    Flat      |x - y|                                       v                      x - v
    Round     the angle between x and y                     v / |v|                along the great circle
    Ball      the hyperbolic distance of `ball.py`          exp0(v)                along the geodesic
    Product   sqrt(sum_k d_k^2), a piece of the vector each     piece by piece
    Snowflake distances (`snowflake.py`) are f(|x - y|), flat otherwise

A point goes down a loss against its Riemannian gradient: that of the coordinates, brought to the tangent space, times the
inverse of the metric (in the ball (1 - c|x|^2)^2 / 4).

References: Nickel & Kiela 2017, Poincare embeddings, arXiv:1705.08039; Bonnabel 2013, Stochastic gradient descent on
Riemannian manifolds; Gu et al. 2019, Learning mixed-curvature representations in product spaces.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry import ball


class Manifold(Protocol):
    """`width` numbers make a point. Vectors and points are [..., width], distances [...]."""

    @property
    def width(self) -> int: ...

    def bring(self, vectors: Tensor) -> Tensor: ...

    def distance(self, x: Tensor, y: Tensor) -> Tensor: ...

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor: ...


class Flat:
    """Euclidean space."""

    def __init__(self, width: int):
        self.width = width

    def bring(self, vectors: Tensor) -> Tensor:
        """As they are."""
        return vectors

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """|x - y|; where two are equal the gradient is 0."""
        return torch.linalg.vector_norm(x - y, dim=-1)

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Straight on."""
        return x - rate * gradient


class Round:
    """The unit sphere, its distance an angle in [0, pi]."""

    def __init__(self, width: int):
        self.width = width

    def bring(self, vectors: Tensor) -> Tensor:
        """To length 1."""
        return F.normalize(vectors, dim=-1)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """The chord's angle; that of opposite points is a hair too small, so that its gradient is finite."""
        chord = torch.linalg.vector_norm(x - y, dim=-1) / 2
        return 2 * chord.clamp(max=1 - 10 * torch.finfo(x.dtype).eps).asin()

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Along a great circle."""
        v = -rate * (gradient - (gradient * x).sum(-1, keepdim=True) * x)
        length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        return self.bring(length.cos() * x + torch.sinc(length / torch.pi) * v)


class Ball:
    """The Poincare ball of curvature -c."""

    def __init__(self, width: int, c: float = 1.0):
        self.width, self.c = width, c

    def bring(self, vectors: Tensor) -> Tensor:
        """exp0."""
        return ball.exp0(vectors, self.c)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Hyperbolic."""
        return ball.between(x, y, self.c)

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Along a geodesic, as far inside as `ball.inside` keeps it."""
        steep = (1 - self.c * (x * x).sum(-1, keepdim=True)) ** 2 / 4
        return ball.move(x, -rate * steep * gradient, self.c)


class Product:
    """Several spaces side by side."""

    def __init__(self, *parts: Manifold):
        if not parts:
            raise SemblanceError("a product of no spaces has no points: give at least one")
        self.parts, self.sizes = parts, [part.width for part in parts]
        self.width = sum(self.sizes)

    def bring(self, vectors: Tensor) -> Tensor:
        """Piece by piece."""
        pieces = zip(self.parts, vectors.split(self.sizes, -1), strict=True)
        return torch.cat([part.bring(v) for part, v in pieces], -1)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """The root of the sum of squares."""
        pieces = zip(self.parts, x.split(self.sizes, -1), y.split(self.sizes, -1), strict=True)
        return torch.linalg.vector_norm(torch.stack([part.distance(a, b) for part, a, b in pieces], -1), dim=-1)

    def descend(self, x: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Piece by piece."""
        pieces = zip(self.parts, x.split(self.sizes, -1), gradient.split(self.sizes, -1), strict=True)
        return torch.cat([part.descend(a, g, rate) for part, a, g in pieces], -1)


KINDS = ("euclidean", "sphere", "hyperbolic", "product")


def manifold_named(name: str, width: int) -> Manifold:
    """euclidean, sphere, hyperbolic, or their product, a third of the width each (the flat one has what is left)."""
    if name not in KINDS:
        raise unknown("space", name, KINDS)
    if name != "product":
        kinds: dict[str, type[Flat] | type[Round] | type[Ball]] = {
            "euclidean": Flat,
            "sphere": Round,
            "hyperbolic": Ball,
        }
        return kinds[name](width)
    third = width // 3
    if third < 2:
        raise SemblanceError(f"a product of three spaces in {width} dimensions: give 6 or more")
    return Product(Flat(width - 2 * third), Round(third), Ball(third))
