"""Spaces an embedding may live in: what distance means there, and how a raw output is brought into it.

    Euclidean     d(a, b) = |a - b|
    Sphere        d(a, b) = 1 - cos(a, b), the cosine distance, in [0, 2]; vectors are brought to unit length
    PoincareBall  the hyperbolic distance of geometry/ball.py; points are taken as they are, if they lie in the ball

A space of another kind (a product) joins by the same three members. `prepare` leaves alone what it has prepared.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semblance.errors import SemblanceError, unknown


class Geometry(Protocol):
    """Where embeddings live. `queries` is [Q, d], `items` [N, d]; distances are [Q, N]."""

    @property
    def name(self) -> str: ...

    def prepare(self, vectors: np.ndarray) -> np.ndarray: ...

    def distance(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Euclidean:
    """Flat space; vectors are taken as they are."""

    name: str = "euclidean"

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """[N, d] -> [N, d] float32."""
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def distance(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[Q, d], [N, d] -> [Q, N], by |q|^2 - 2 q.x + |x|^2, whose rounding is kept from going below zero."""
        if len(queries):  # moved so that the queries' mean is 0: a lone query is exactly 0 from its copies
            centre = queries.mean(0)
            queries, items = queries - centre, items - centre
        square = (queries**2).sum(1)[:, None] - 2 * queries @ items.T + (items**2).sum(1)
        return np.sqrt(np.maximum(square, 0))


@dataclass(frozen=True)
class Sphere:
    """Directions only: the cosine distance."""

    name: str = "cosine"

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """[N, d] -> [N, d] float32 of unit length; a zero vector stays zero (distance 1 to everything)."""
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(length, np.finfo(np.float32).tiny)

    def distance(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[Q, d], [N, d], both prepared -> [Q, N] in [0, 2]."""
        if len(queries) == 1 and queries.dtype == np.float64:
            # The last word on few items: summed pair by pair, since the last bit of a product depends on its neighbours.
            return np.clip(1 - (queries * items).sum(1), 0, 2)[None]
        return np.clip(1 - queries @ items.T, 0, 2)


@dataclass(frozen=True)
class PoincareBall:
    """Hyperbolic space of curvature -`curvature`: |x| < 1 / sqrt(curvature). Its name carries the curvature, so that a
    manifest says all."""

    curvature: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.curvature) and self.curvature > 0):
            raise SemblanceError(f"curvature is {self.curvature}, but the ball bends by more than 0: give 0.05 to 1")

    @property
    def name(self) -> str:
        """hyperbolic for curvature 1, hyperbolic(0.05) for another."""
        return "hyperbolic" if self.curvature == 1 else f"hyperbolic({self.curvature!r})"

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """[N, d] -> [N, d] float32; what rounding left outside the ball is pulled to just within."""
        import torch

        from semblance.geometry.ball import inside

        points = torch.from_numpy(np.array(vectors, dtype=np.float32, order="C"))
        return np.asarray(inside(points, self.curvature).numpy())

    def distance(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[Q, d], [N, d], both prepared -> [Q, N], computed in float64: near the edge float32 differences mislead."""
        import torch

        from semblance.geometry.ball import distances

        q, x = (torch.from_numpy(np.asarray(z, dtype=np.float64)) for z in (queries, items))
        return np.asarray(distances(q, x, self.curvature).numpy().astype(queries.dtype))


SPACES: dict[str, Geometry] = {space.name: space for space in (Euclidean(), Sphere(), PoincareBall())}
CURVED = re.compile(r"hyperbolic\((.+)\)")


def space_named(name: str) -> Geometry:
    """The geometry of this name, as it stands in a manifest: euclidean, cosine, hyperbolic or hyperbolic(CURVATURE)."""
    curved = CURVED.fullmatch(name)
    if curved:
        try:
            return PoincareBall(float(curved[1]))
        except ValueError:
            raise SemblanceError(f"{name} has no curvature: give a number from 0 on, as in hyperbolic(0.05)") from None
    if name not in SPACES:
        raise unknown("geometry", name, SPACES)
    return SPACES[name]
