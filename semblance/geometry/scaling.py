"""Multidimensional scaling: points from all their distances, by one eigendecomposition.

    classical    B = -1/2 J D^2 J, J = I - 1/n;      x = V sqrt(lambda) of the r greatest eigenvalues       flat space
    hyperbolic   Y = cosh(D);  x = V sqrt(-lambda) of the r least (most negative) eigenvalues, x_0 = sqrt(1 + |x|^2),
                 to the ball by x / (1 + x_0)                                                               curvature -1

Distances of points of that very space come back exactly: Y = x_0 x_0^T - x x^T has the one positive eigenvector x_0, whose
entries have one sign. Distances of something else depend on what a length of 1 is in the space (`scale`), which is searched
for the least average distortion.

References: Torgerson 1952, Multidimensional scaling: I; Sala et al. 2018, arXiv:1804.03329 (h-MDS).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

from semblance.errors import SemblanceError
from semblance.geometry.ball import distances as ball_distances
from semblance.geometry.distortion import average_distortion, stretches

Array = NDArray[Any]
TRIED = 16
"""Scales on a grid before the best of them is refined."""
LEAST, MOST = 0.1, 30.0
"""The greatest distance, in units of the space, at the ends of that grid: cosh of more leaves float64 no digits."""


def classical(distances: Array, dim: int) -> NDArray[np.float64]:
    """[V, V] -> float64 [V, dim]; columns that the distances do not reach are 0."""
    _check(distances, dim)
    square = np.asarray(distances, np.float64) ** 2
    inner = -(square - square.mean(0) - square.mean(1)[:, None] + square.mean()) / 2
    return _coordinates(inner, dim)


def hyperbolic(distances: Array, dim: int) -> NDArray[np.float64]:
    """[V, V], as they are in the space -> points of the ball, float64 [V, dim]."""
    _check(distances, dim)
    x = _coordinates(-np.cosh(np.asarray(distances, np.float64)), dim)
    return np.asarray(x / (1 + np.sqrt(1 + (x * x).sum(1, keepdims=True))))


def scaled_hyperbolic(distances: Array, dim: int, radius: float = math.inf) -> tuple[NDArray[np.float64], float]:
    """Points of the ball and the scale: a distance of 1 is `scale` in the space. radius: no point is further from 0."""
    _check(distances, dim)
    most = float(np.max(distances, initial=0))
    if not most:
        return np.zeros((len(distances), dim)), 1.0

    def loss(log_scale: float) -> float:
        points = hyperbolic(math.exp(log_scale) * distances, dim)
        if 2 * np.arctanh(np.linalg.norm(points, axis=1)).max() > radius:
            return math.inf
        return average_distortion(stretches(between_all(points), math.exp(log_scale) * distances))

    best = _least(loss, math.log(LEAST / most), math.log(MOST / most))
    return hyperbolic(math.exp(best) * distances, dim), math.exp(best)


def between_all(points: Array) -> NDArray[np.float64]:
    """Points of the ball [V, r] -> [V, V]."""
    x = torch.from_numpy(np.ascontiguousarray(points, np.float64))
    return np.asarray(ball_distances(x, x, 1.0).numpy())


def _least(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where the loss is least on a grid, refined between its neighbours there."""
    grid = np.linspace(low, high, TRIED)
    values = [loss(float(x)) for x in grid]
    at = int(np.argmin(values))
    bounds = (grid[max(at - 1, 0)], grid[min(at + 1, TRIED - 1)])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.01})
    return float(found.x) if found.fun < values[at] else float(grid[at])


def _coordinates(inner: Array, dim: int) -> NDArray[np.float64]:
    """V sqrt(lambda) of the `dim` greatest eigenvalues of a symmetric matrix, those below 0 as 0."""
    count = len(inner)
    kept = min(dim, count)
    values, vectors = eigh(inner, subset_by_index=(count - kept, count - 1))
    x = np.zeros((count, dim))
    x[:, :kept] = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    return x


def _check(distances: Array, dim: int) -> None:
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or not len(distances):
        raise SemblanceError(f"the distances are {list(distances.shape)}, but they are those of all pairs: [V, V]")
    if not np.isfinite(distances).all():
        missing = int((~np.isfinite(distances)).sum() / 2)
        raise SemblanceError(f"{missing:,} distances are missing: scaling needs all, metric_embedding.fit takes some")
    if dim < 1:
        raise SemblanceError(f"points in {dim} dimensions: give 1 or more")
