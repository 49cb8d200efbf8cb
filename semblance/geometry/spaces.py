"""Spaces an embedding may live in: what distance means there, and how a raw output is brought into it.

    Euclidean   d(a, b) = |a - b|
    Sphere      d(a, b) = 1 - cos(a, b), the cosine distance, in [0, 2]; vectors are brought to unit length

A space of another kind (hyperbolic, a product) joins by the same three members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semblance.errors import unknown


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
        return np.clip(1 - queries @ items.T, 0, 2)


SPACES: dict[str, Geometry] = {space.name: space for space in (Euclidean(), Sphere())}


def space_named(name: str) -> Geometry:
    """The geometry of this name, as it stands in a manifest."""
    if name not in SPACES:
        raise unknown("geometry", name, SPACES)
    return SPACES[name]
