"""Unconstrained features: what the last linear layers and the features come to when features are free variables.

    minimise over W_1..W_M, H    1/(2N) |W_M .. W_1 H - Y|^2 + sum_j lambda_j/2 |W_j|^2 + lambda_H/2 |H|^2,    Y one-hot

    the minimum falls apart into classes, each with one number z_k, the singular value of W_M .. W_1 H:
    z_k = argmin over z >= 0 of   (z - sqrt(n_k))^2 / (2N) + (M+1)/2 (lambda_1 .. lambda_M lambda_H z^2)^(1/(M+1))
    every layer and H then have the singular value  s_j = (lambda_1 .. lambda_H z^2)^(1/(2(M+1))) / sqrt(lambda_j)
    M = 1:   z_k = max(0, sqrt(n_k) - N sqrt(lambda_W lambda_H)), so class k vanishes when n_k <= N^2 lambda_W lambda_H

So class means are orthogonal, of lengths that follow the class sizes (equal ones: an orthogonal frame in every layer). With
a last bias and equal sizes they form a simplex, for squared error and, behind one layer, for cross-entropy; behind three,
descent also finds minima of cross-entropy that lie lower and have less rank. `foretold` is the theory, for squared error
without bias; `found` minimises the loss itself, as a check and where there is no formula.
References: Dang et al. 2023 "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data"; Mixon et al. 2020
"Neural collapse with unconstrained features".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import brentq, minimize
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.reports import TableReport

Array = np.ndarray
LOSSES = ("squared", "cross-entropy")


@dataclass(frozen=True)
class Foretold:
    """z [K], of the product; layers [M, K], singular values of each layer; rows [K], lengths of the rows of W_M; means [K],
    lengths of the class means; loss, at the minimum."""

    z: Array
    layers: Array
    rows: Array
    means: Array
    loss: float


def _checked(counts: Sequence[int], lambdas: Sequence[float], lambda_h: float) -> tuple[Array, Array]:
    sizes, decays = np.asarray(counts, float), np.asarray([*lambdas, lambda_h], float)
    if len(sizes) < 2 or not (sizes >= 1).all():
        raise SemblanceError(f"class sizes are {list(counts)}: give two classes or more, each of one item or more")
    if len(decays) < 2 or not (decays > 0).all():
        raise SemblanceError(f"decays are {decays.tolist()}: give one above 0 for every layer and one for the features")
    return sizes, decays


def foretold(counts: Sequence[int], lambdas: Sequence[float], lambda_h: float) -> Foretold:
    """Class sizes [K], decays of the layers from first to last, and of the features -> the minimum (no bias)."""
    sizes, decays = _checked(counts, lambdas, lambda_h)
    product, n, depth = float(decays.prod()), float(sizes.sum()), len(decays)

    def value(z: float, size: float) -> float:
        return float((z - np.sqrt(size)) ** 2 / (2 * n) + depth / 2 * (product * z * z) ** (1 / depth))

    def slope(z: float, size: float) -> float:
        return float((z - np.sqrt(size)) / n + product ** (1 / depth) * z ** (2 / depth - 1))

    def best(size: float) -> float:
        top = float(np.sqrt(size))
        # The slope is convex: it is least here, and above 0 throughout unless it is below 0 here.
        lowest = (n * (1 - 2 / depth) * product ** (1 / depth)) ** (1 / (2 - 2 / depth)) if depth > 2 else 1e-300
        if lowest >= top or slope(lowest, size) >= 0:
            return 0.0
        z = float(brentq(slope, lowest, top, args=(size,), xtol=1e-14))
        return z if value(z, size) < value(0.0, size) else 0.0

    z = np.array([best(size) for size in sizes])
    shared = (product * z * z) ** (1 / depth)  # decay times squared singular value, the same in every layer
    layers = np.sqrt(shared / decays[:-1, None])
    means = np.sqrt(shared / decays[-1] / sizes)
    return Foretold(z, layers, layers[-1], means, sum(value(a, b) for a, b in zip(z, sizes, strict=True)))


@dataclass(frozen=True)
class Found:
    """A minimum that descent found. layers: W_1..W_M; bias [K] or None; features [d, N], class by class; loss."""

    layers: tuple[Array, ...]
    bias: Array | None
    features: Array
    labels: Array
    loss: float

    @property
    def classifier(self) -> Array:
        """[K, d], the product of the layers."""
        product = self.layers[0]
        for layer in self.layers[1:]:
            product = layer @ product
        return np.asarray(product)


def found(
    counts: Sequence[int],
    lambdas: Sequence[float],
    lambda_h: float,
    dim: int = 16,
    loss: str = "squared",
    bias: bool = False,
    starts: int = 1,
    seed: int = 0,
    scale: float = 0.3,
    most: int = 20_000,
) -> Found:
    """The least minimum that L-BFGS reaches from random starts (normal, of deviation `scale`); layers are [dim, dim], the
    last [K, dim]. The bias is free of decay."""
    sizes, decays = _checked(counts, lambdas, lambda_h)
    if loss not in LOSSES:
        raise unknown("loss", loss, LOSSES)
    y = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes.astype(int)))
    k, n = len(sizes), len(y)
    shapes = [(dim, dim)] * (len(decays) - 2) + [(k, dim), (dim, n)] + ([(k, 1)] if bias else [])
    ends = np.cumsum([a * b for a, b in shapes])
    wanted = F.one_hot(y, k).T.double()

    def parts(flat: Tensor) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(flat.tensor_split(ends[:-1].tolist()), shapes, strict=True)]

    def objective(flat: Array) -> tuple[float, Array]:
        at = torch.from_numpy(flat).requires_grad_()
        each = parts(at)
        out = each[len(decays) - 1]  # the features
        for layer in each[: len(decays) - 1]:
            out = layer @ out
        out = out + each[-1] if bias else out
        fit = (out - wanted).square().sum() / (2 * n) if loss == "squared" else F.cross_entropy(out.T, y)
        held = zip(decays.tolist(), each, strict=False)  # the bias, last, has no decay
        total = fit + sum(decay / 2 * part.square().sum() for decay, part in held)
        (gradient,) = torch.autograd.grad(total, at)
        return float(total.detach()), gradient.numpy()

    chance, best = np.random.default_rng(seed), None
    for _ in range(starts):
        start = scale * chance.normal(size=int(ends[-1]))
        options = {"maxiter": most, "maxfun": 2 * most, "ftol": 1e-16, "gtol": 1e-10}
        ended = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        if best is None or ended.fun < best.fun:
            best = ended
    assert best is not None
    each = [part.numpy() for part in parts(torch.from_numpy(best.x))]
    layers, features = each[: len(decays) - 1], each[len(decays) - 1]
    return Found(tuple(layers), each[-1][:, 0] if bias else None, features, y.numpy(), float(best.fun))


def collapse_by_size(counts: Sequence[int], lambdas: Sequence[float], lambda_h: float) -> TableReport:
    """The report on which classes are foretold to vanish: lengths of classifier rows and class means by class size."""
    theory = foretold(counts, lambdas, lambda_h)
    rows = tuple(
        {"items": int(n), "z": float(z), "row": float(w), "mean": float(h)}
        for n, z, w, h in zip(counts, theory.z, theory.rows, theory.means, strict=True)
    )
    gone = sorted(int(n) for n, z in zip(counts, theory.z, strict=True) if z == 0)
    kept = f"all {len(rows)} classes keep a direction of their own"
    said = f"{len(gone)} of {len(rows)} classes vanish, those of up to {gone[-1]} items" if gone else kept
    return TableReport("Class means by class size", said, rows, "items", ("row", "mean"))
