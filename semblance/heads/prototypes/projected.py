"""Projections: items are carried into the space of codes, or codes into the space of items, and the nearest class answers.

    direction  forward   x P near c_k                        reverse   x near c_k Q

    regressed    P = (X'X + s I)^-1 X'C,  Q = (C'C + s I)^-1 C'X, a row per item. Carried points shrink towards the mean, so
                 that forward the classes near the mean become hubs, and reverse they do not (Shigeto et al. 2015)
    autoencoded  one W for both: |X - C W|^2 + s |X W' - C|^2 is least where (C'C) W + W (s X'X) = (1 + s) C'X, a Sylvester
                 equation. SAE, Kodirov et al. 2017, arXiv:1704.08345
    exemplars    the mean of a class in item space is foretold from its code by kernel ridge regression (reverse only).
                 Changpinyo et al. 2017, arXiv:1605.08151 (theirs by support vectors)
    prototypes   g(c_k) of length 1, g linear, trained so that the own class is nearest: the few-shot head's `Described`
                 (reverse only). Snell et al. 2017, arXiv:1703.05175

Codes are taken about the mean of the seen ones; items should come standardised.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.heads.prototypes.class_means import Described, negative_cosine, squared_euclidean
from semblance.heads.prototypes.compatible import Answer, class_sums, nearest_apart, ridge

DIRECTIONS = ("forward", "reverse")


def regressed(x: Tensor, y: Tensor, codes: Tensor, direction: str = "reverse", shrink: float = 10.0) -> Answer:
    """Least squares one way or the other."""
    _one_of(direction)
    middle = codes.mean(0)
    c = codes - middle
    per_item = torch.bincount(y, minlength=len(c)).to(c)[:, None]
    shared = class_sums(x, y, len(c)).T @ c  # X'C [d, m]
    if direction == "forward":
        p = ridge(x.T @ x, shared, shrink)
        return lambda items, others: -squared_euclidean(items @ p, others - middle)
    q = ridge(c.T @ (per_item * c), shared.T, shrink)
    return lambda items, others: -squared_euclidean(items, (others - middle) @ q)


def sylvester(x: Tensor, y: Tensor, codes: Tensor, shrink: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """-> A = C'C [m, m], B = shrink X'X [d, d], R = (1 + shrink) C'X [m, d] and the W [m, d] with A W + W B = R; C has a
    row per item."""
    from scipy.linalg import solve_sylvester

    per_item = torch.bincount(y, minlength=len(codes)).to(codes)[:, None]
    a, b = codes.T @ (per_item * codes), shrink * x.T @ x
    r = (1 + shrink) * codes.T @ class_sums(x, y, len(codes))
    solved = solve_sylvester(*(np.asarray(part.cpu()) for part in (a, b, r)))
    return a, b, r, torch.from_numpy(solved).to(x)


def autoencoded(x: Tensor, y: Tensor, codes: Tensor, direction: str = "reverse", shrink: float = 1.0) -> Answer:
    """SAE: compared by angle."""
    _one_of(direction)
    if shrink <= 0:
        raise SemblanceError(f"shrink is {shrink}, but it weighs one side of the autoencoder: give more than 0")
    middle = codes.mean(0)
    *_, w = sylvester(x, y, codes - middle, shrink)
    if direction == "forward":
        return lambda items, others: -negative_cosine(items @ w.T, others - middle)
    return lambda items, others: -negative_cosine(items, (others - middle) @ w)


def exemplars(x: Tensor, y: Tensor, codes: Tensor, shrink: float = 0.1, width: float = 0.0) -> Answer:
    """`width` of exp(-distance^2 / width); 0: four times the mean squared distance of a code to its nearest other."""
    wide = width or 4 * float(nearest_apart(codes))
    count = torch.bincount(y, minlength=len(codes)).to(x)
    sums = class_sums(x, y, len(codes))
    means = sums / count.clamp_min(1)[:, None]
    middle = means.mean(0)
    within = (((x - means[y]) ** 2).mean(0)).clamp_min(1e-12).sqrt()

    def kernel(others: Tensor) -> Tensor:
        return (-torch.cdist(others, codes).square() / wide).exp()

    alpha = ridge(kernel(codes), means - middle, shrink)
    return lambda items, others: -squared_euclidean(items / within, (kernel(others) @ alpha + middle) / within)


def prototypes(
    x: Tensor, y: Tensor, codes: Tensor, steps: int = 300, batch: int = 256, lr: float = 1e-2, seed: int = 0
) -> Answer:
    """The map of descriptions that the few-shot head has, trained by cross-entropy over the seen classes."""
    chance = torch.Generator().manual_seed(seed)
    head = Described(codes, x.shape[1]).to(x)
    # Described takes single precision and draws from torch's own generator: both are put right before training.
    head.attributes = codes
    with torch.no_grad():
        head.map.weight.copy_(torch.randn(head.map.weight.shape, generator=chance) / codes.shape[1] ** 0.5)
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,), generator=chance).to(y.device)
        loss = F.cross_entropy(head(x[rows], {}), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weight = head.map.weight.detach().T
    return lambda items, others: -squared_euclidean(items, F.normalize(others @ weight, dim=1))


def _one_of(direction: str) -> None:
    if direction not in DIRECTIONS:
        raise unknown("direction", direction, DIRECTIONS)
