"""How like a point is to a stored one: from squared distances (or, for two of them, the vectors) to a score.

    log       log((d + 1) / (d + eps)), d the squared distance     Chen et al. 2019, arXiv:1806.10574
    inverse   -log(eps + d^(p/2)), whose softmax is w_i / sum w, w = 1 / (eps + |q - k|^p), Shepard's interpolation
                                                                   McCarter 2023, arXiv:2310.18805
    plain     1 / (eps + d^(p/2))
    squared   -d
    gaussian  exp(-d)
    dot       q.k / sqrt(width)
    cosine    cos(q, k)

All but `dot` and `cosine` fall with distance: a stored point of theirs is a place, of the others a direction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.heads.prototypes.class_means import squared_euclidean

LOG_EPS = 1e-4
Score = Callable[[Tensor, Tensor], Tensor]

OF_DISTANCE: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "log": lambda d, eps, p: ((d + 1) / (d + eps)).log(),
    "inverse": lambda d, eps, p: -(eps + _power(d, p)).log(),
    "plain": lambda d, eps, p: 1 / (eps + _power(d, p)),
    "squared": lambda d, eps, p: -d,
    "gaussian": lambda d, eps, p: (-d).exp(),
}
OF_DIRECTION: dict[str, Score] = {
    "dot": lambda q, k: q @ k.mT / q.shape[-1] ** 0.5,
    "cosine": lambda q, k: F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT,
}


def _power(d: Tensor, p: float) -> Tensor:
    return d if p == 2 else d.clamp_min(1e-12) ** (p / 2)


def of_distance(name: str, eps: float = LOG_EPS, p: float = 2) -> Callable[[Tensor], Tensor]:
    """Squared distances -> scores, by name."""
    if name not in OF_DISTANCE:
        raise unknown("similarity of distances", name, OF_DISTANCE)
    if eps <= 0 or p <= 0:
        raise SemblanceError(f"eps is {eps} and p {p}: both have to be above 0")
    chosen = OF_DISTANCE[name]
    return lambda d: chosen(d, eps, p)


def score_named(name: str, eps: float = LOG_EPS, p: float = 2) -> Score:
    """[..., Q, d], [..., n, d] -> [..., Q, n], by name."""
    if name in OF_DIRECTION:
        return OF_DIRECTION[name]
    if name not in OF_DISTANCE:
        raise unknown("similarity", name, [*OF_DISTANCE, *OF_DIRECTION])
    of = of_distance(name, eps, p)
    return lambda q, k: of(distances(q, k))


def distances(q: Tensor, k: Tensor) -> Tensor:
    """[..., Q, d], [..., n, d] -> [..., Q, n], squared; not below 0 by rounding."""
    if q.ndim == 2 and k.ndim == 2:
        return squared_euclidean(q, k).clamp_min(0)
    square = q.square().sum(-1, keepdim=True) - 2 * q @ k.mT + k.square().sum(-1)[..., None, :]
    return square.clamp_min(0)
