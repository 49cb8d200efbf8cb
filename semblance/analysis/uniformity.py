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

from semblance.analysis.retrieval import neighbours
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
    return _rank_of(_centred_gram(_gram(z))) if len(z) <= z.shape[1] else _rank_of(_covariance(*_moments(z), len(z)))


def effective_rank_interval(z: np.ndarray) -> tuple[float, float, float]:
    """Value, low, high by a jackknife that leaves out one of 20 interleaved pieces of the units at a time.

    From items by items or columns by columns, whichever is smaller: the eigenvalues that count are the same.
    """
    z = on_sphere(z)
    pieces = min(PIECES, len(z) // 2)
    value = effective_rank(z)
    if pieces < 2:
        return value, value, value
    left = _without_items(z, pieces) if len(z) <= z.shape[1] else _without_moments(z, pieces)
    error = np.sqrt((pieces - 1) * np.var(left))
    return value, max(1.0, float(value - 1.96 * error)), float(value + 1.96 * error)


def _without_items(z: np.ndarray, pieces: int) -> list[float]:
    """The rank without each piece, from rows and columns of one Gram matrix."""
    gram, every = _gram(z), np.arange(len(z))
    kept = [every[every % pieces != piece] for piece in range(pieces)]
    return [_rank_of(_centred_gram(gram[np.ix_(rows, rows)])) for rows in kept]


def _without_moments(z: np.ndarray, pieces: int) -> list[float]:
    """The rank without each piece, whose moments are taken away from those of all."""
    second, total = _moments(z)
    left = []
    for piece in range(pieces):
        out_second, out_total = _moments(z[piece::pieces])
        n = len(z) - len(z[piece::pieces])
        left.append(_rank_of(_covariance(second - out_second, total - out_total, n)))
    return left


def view_recall_scores(z1: np.ndarray, z2: np.ndarray, geometry: str = "cosine") -> np.ndarray:
    """Two views [N, d] -> [N], 1 where the nearest second view of a first view is its own."""
    found, _ = neighbours(z1, z2, 1, geometry)
    return (found[:, 0] == np.arange(len(z1))).astype(float)


def _gram(z: np.ndarray) -> np.ndarray:
    z = z.astype(np.float64)
    return z @ z.T


def _centred_gram(gram: np.ndarray) -> np.ndarray:
    mean = gram.mean(0)
    return (gram - mean - mean[:, None] + mean.mean()) / len(gram)


def _moments(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the items: z'z [d, d] and z [d]."""
    z = z.astype(np.float64)
    return z.T @ z, z.sum(0)


def _covariance(second: np.ndarray, total: np.ndarray, n: int) -> np.ndarray:
    mean = total / n
    return second / n - mean[:, None] * mean


def _rank_of(scatter: np.ndarray) -> float:
    """From a covariance, or the Gram matrix with the same eigenvalues, float64; singular values are their roots."""
    values = torch.linalg.eigvalsh(torch.from_numpy(scatter))
    # Inputs are float32 of unit length, so eigenvalues below 1e-12 are rounding, and their roots would still count.
    singular = values.masked_fill(values < 1e-12, 0).sqrt()
    if float(singular.sum()) == 0:
        return 1.0
    share = singular / singular.sum()
    return float(torch.special.entr(share).sum().exp())
