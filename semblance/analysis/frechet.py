"""Frechet distance of two sets in a feature space, weighted where one likes, and what it looks at.

    d = |m1 - m2|^2 + tr( S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2) ),      m, S mean and covariance of the features

    d for S2       I - T,    T = S1^(1/2) (S1^(1/2) S2 S1^(1/2))^(-1/2) S1^(1/2), the map that transports one to the other
    for weight i   2 (m2 - m1).y_i + (y_i - m2).(I - T)(y_i - m2) n / (n - 1)

With these, weights of one set that lower the distance are found by descent on their logarithms, in the features themselves
or in the space of top-N classes; `frechet_audit` says how far each lowers it, there and in spaces that share nothing with
the first. No item is ever changed. References: Heusel et al. 2017 (the distance between images); Chong & Forsyth 2020
(extrapolation in 1/n); Kynkaanniemi et al. 2022 "The Role of ImageNet Classes in Frechet Inception Distance"
(arXiv:2203.06026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from semblance.errors import SemblanceError

Array = np.ndarray
SMALL = 1e-10  # of the largest singular value: below it a direction holds no variance to be transported


@dataclass(frozen=True)
class Gaussian:
    """A set's mean [d], covariance [d, d] and its symmetric root."""

    mean: Array
    covariance: Array
    root: Array


def gaussian(x: Array, weight: Array | None = None) -> Gaussian:
    """[n, d] with weights [n] (equal where None). Covariances are divided by (n - 1) / n whatever the weights: a divisor
    that follows them, 1 - |p|^2, would make up for items left out, and descent would leave out all but two."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise SemblanceError(f"the features have shape {x.shape}: give [items, features], two items or more")
    broken = int((~np.isfinite(x).all(1)).sum())
    if broken:
        raise SemblanceError(f"the features hold NaN or infinity in {broken} of {len(x)} items: leave these out")
    n = len(x)
    p = np.full(n, 1 / n) if weight is None else _weights(weight, n)
    mean = p @ x
    away = x - mean
    return of_moments(mean, (away * p[:, None]).T @ away * (n / (n - 1)))


def of_moments(mean: Array, covariance: Array) -> Gaussian:
    """A Gaussian by its mean and covariance."""
    covariance = (covariance + covariance.T) / 2
    value, direction = linalg.eigh(covariance)
    root = (direction * np.sqrt(np.maximum(value, 0))) @ direction.T
    return Gaussian(np.asarray(mean, np.float64), covariance, root)


def _weights(weight: Array, n: int) -> Array:
    p = np.asarray(weight, np.float64)
    if p.shape != (n,) or not (p >= 0).all() or not p.sum() > 0:
        raise SemblanceError(f"weights of shape {p.shape} for {n} items: give one an item, 0 or more, not all 0")
    return np.asarray(p / p.sum())


def between(a: Gaussian, b: Gaussian) -> float:
    """The distance of two Gaussians, which is a squared one."""
    if a.mean.shape != b.mean.shape:
        raise SemblanceError(f"{len(a.mean)} features and {len(b.mean)}: both sets need the same feature space")
    # The eigenvalues of S1^(1/2) S2 S1^(1/2) are the squares of these: no digits are lost where they are nearly 0.
    return _apart(a, b, linalg.svdvals(a.root @ b.root))


def _apart(a: Gaussian, b: Gaussian, shared: Array) -> float:
    away = a.mean - b.mean
    return float(away @ away + np.trace(a.covariance) + np.trace(b.covariance) - 2 * shared.sum())


def frechet(x: Array, y: Array, weight_x: Array | None = None, weight_y: Array | None = None) -> float:
    """The Frechet distance of two sets of features [n, d], [m, d]."""
    return between(gaussian(x, weight_x), gaussian(y, weight_y))


def extrapolated(x: Array, y: Array, sizes: int = 6, seed: int = 0) -> tuple[float, float]:
    """The distance of endlessly large sets, and how much of that of these is bias: a line in 1/n through the distances of
    random subsets of n, from half of the smaller set to all of it."""
    rng, most = np.random.default_rng(seed), min(len(x), len(y))
    if most < 2 * sizes:
        raise SemblanceError(f"{most} items are too few to see how the distance falls with their number: give more")
    counts = np.linspace(most // 2, most, sizes).astype(int)
    found = [frechet(x[rng.permutation(len(x))[:n]], y[rng.permutation(len(y))[:n]]) for n in counts]
    slope, endless = np.polyfit(1 / counts, found, 1)
    return float(endless), float(slope / most)


def transport(a: Gaussian, b: Gaussian) -> Array:
    """T [d, d], which turns b's shape into a's; 0 along directions where one has no variance."""
    return _transport(a, *linalg.svd(a.root @ b.root)[:2])


def _transport(a: Gaussian, u: Array, s: Array) -> Array:
    kept = s > SMALL * max(s[0], np.finfo(float).tiny)
    turned = a.root @ u[:, kept]
    return np.asarray((turned / s[kept]) @ turned.T)


def by_weight(a: Gaussian, y: Array, p: Array) -> tuple[float, Array]:
    """The distance of a to the set y [n, d] under weights p [n] that sum to 1, and its gradient by them [n], where weights
    may move among each other."""
    b, n = gaussian(y, p), len(y)
    u, s, _ = linalg.svd(a.root @ b.root)
    rest = np.eye(len(a.mean)) - _transport(a, u, s)
    away = y - b.mean
    return _apart(a, b, s), 2 * (y @ (b.mean - a.mean)) + ((away @ rest) * away).sum(1) * (n / (n - 1))


def lowering_weights(x: Array, y: Array, steps: int = 200, rate: float = 0.05) -> Array:
    """Weights [m] of y, summing to 1, under which it is nearer to x: gradient descent (Adam) on their logarithms from
    equal ones."""
    target, made = gaussian(x), np.asarray(y, np.float64)
    logits, first, second = np.zeros((3, len(made)))
    for step in range(1, steps + 1):
        p = _softmax(logits)
        slope = by_weight(target, made, p)[1]
        slope = p * (slope - p @ slope)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        logits -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + np.finfo(float).tiny)
    return _softmax(logits)


def _softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max())
    return np.asarray(e / e.sum())


def class_weights(real: Array, made: Array, top: int = 1, steps: int = 200) -> Array:
    """Scores [n, K], [m, K] of a classifier -> weights [m] of the made items under which their top-N classes come as often
    as those of the real ones: ratios of class shares for N = 1, else descent on the distance between N-hot vectors.

    Classes that no made item has cannot be made up for."""
    if not 1 <= top <= real.shape[1]:
        raise SemblanceError(f"top is {top} of {real.shape[1]} classes: give 1 to {real.shape[1]}")
    hot = [_hot(np.asarray(side), top) for side in (real, made)]
    if top > 1:
        return lowering_weights(*hot, steps)
    shares = [side.mean(0) for side in hot]
    ratio = np.divide(shares[0], shares[1], out=np.zeros(len(shares[0])), where=shares[1] > 0)
    return _weights(hot[1] @ ratio, len(made))


def _hot(scores: Array, top: int) -> Array:
    """[n, K] with ones at the largest `top` scores."""
    found = np.zeros(scores.shape)
    np.put_along_axis(found, np.argpartition(-scores, top - 1, 1)[:, :top], 1.0, 1)
    return found


def effective_size(weight: Array) -> float:
    """How many equally weighted items say as much: 1 / |p|^2."""
    p = np.asarray(weight) / np.sum(weight)
    return float(1 / (p @ p))


def sensitivity(real: Array, made: Array, item: int, maps: Array, size: Sequence[int]) -> Array:
    """Where the distance looks in one made item: its maps [C, h, w], whose mean over places is made[item], weighted by the
    gradient of the distance by each channel, in `size` (H, W). Above 0: what drives the sets apart."""
    import torch
    import torch.nn.functional as F

    a, b, n = gaussian(real), gaussian(made), len(made)
    slope = 2 * (b.mean - a.mean) / n
    slope += 2 * (np.eye(len(slope)) - transport(a, b)) @ (np.asarray(made[item], np.float64) - b.mean) / (n - 1)
    if maps.shape[0] != len(slope):
        raise SemblanceError(
            f"the maps have {maps.shape[0]} channels and the features {len(slope)}: give those they pool"
        )
    found = torch.from_numpy(np.tensordot(slope, maps, 1) / maps[0].size)[None, None]
    return F.interpolate(found, size=tuple(size), mode="bilinear", align_corners=False)[0, 0].numpy()
