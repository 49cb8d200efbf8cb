"""Uniformity: how an embedding uses its sphere, without labels.

    alignment        mean |z1 - z2|^2 over two views of one unit, lower is better           (Wang & Isola 2020)
    uniformity       log mean over pairs of exp(-2 |z_i - z_j|^2), lower is better          (Wang & Isola 2020)
    effective rank   exp(entropy of the normalised singular values), from 1 to d            (Roy & Vetterli 2007)
    view recall      share of units whose second view is the nearest of all second views to their first

Embeddings are brought to the unit sphere first; the effective rank is of the centred ones.
"""

from __future__ import annotations

import numpy as np
import torch

from semblance.geometry.nearest import nearest
from semblance.geometry.spaces import Sphere

PIECES = 20  # of the jackknife
BLOCK = 2**22


def on_sphere(z: np.ndarray) -> np.ndarray:
    """[N, d] -> [N, d] float32 of unit length."""
    return Sphere().prepare(z)


def alignment_scores(z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
    """Two views [N, d] -> squared distance of each unit [N]."""
    return ((on_sphere(z1) - on_sphere(z2)) ** 2).sum(1)


def closeness_scores(z: np.ndarray) -> np.ndarray:
    """[N, d] -> [N], mean over the other units of exp(-2 |z_i - z_j|^2). Uniformity is the log of its mean; N >= 2."""
    x = torch.from_numpy(on_sphere(z))
    n = len(x)
    square = (x * x).sum(1)
    close = torch.empty(n)
    for row in range(0, n, step := max(1, BLOCK // n)):
        rows = slice(row, row + step)
        distance = (square[rows, None] + square - 2 * x[rows] @ x.T).clamp_min_(0)
        close[rows] = (distance.mul_(-2).exp_().sum(1) - 1) / (n - 1)
    return close.numpy()


def effective_rank(z: np.ndarray) -> float:
    """[N, d] -> exp of the entropy of the singular values of the centred directions; 1 where all are one."""
    z = on_sphere(z)
    return _rank_of(_second_moment(z), z.mean(0, dtype=float))


def effective_rank_interval(z: np.ndarray) -> tuple[float, float, float]:
    """Value, low, high by a jackknife that leaves out one of 20 interleaved pieces of the units at a time."""
    z = on_sphere(z)
    n, pieces = len(z), min(PIECES, len(z) // 2)
    second, total = _second_moment(z), z.sum(0, dtype=float)
    value = _rank_of(second, total / n)
    if pieces < 2:
        return value, value, value
    left = []
    for piece in range(pieces):
        out = z[piece::pieces]
        m = n - len(out)
        left.append(_rank_of((second * n - _second_moment(out) * len(out)) / m, (total - out.sum(0, dtype=float)) / m))
    error = np.sqrt((pieces - 1) * np.var(left))
    return value, max(1.0, float(value - 1.96 * error)), float(value + 1.96 * error)


def view_recall_scores(z1: np.ndarray, z2: np.ndarray, geometry: str = "cosine") -> np.ndarray:
    """Two views [N, d] -> [N], 1 where the nearest second view of a first view is its own."""
    found, _ = nearest(z1, z2, 1, geometry)
    return (found[:, 0] == np.arange(len(z1))).astype(float)


def _second_moment(z: np.ndarray) -> np.ndarray:
    z = z.astype(np.float64)
    return z.T @ z / len(z)


def _rank_of(second: np.ndarray, mean: np.ndarray) -> float:
    """From z'z / n and the mean, float64. Singular values are the roots of the covariance's eigenvalues."""
    values = torch.linalg.eigvalsh(torch.from_numpy(second - mean[:, None] * mean))
    # Inputs are float32, so eigenvalues below 1e-12 of the total are rounding, and their roots would still count.
    singular = values.masked_fill(values < 1e-12 * float(np.trace(second)), 0).sqrt()
    if float(singular.sum()) == 0:
        return 1.0
    share = singular / singular.sum()
    return float(torch.special.entr(share).sum().exp())
