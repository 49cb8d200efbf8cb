"""How much two representations x [n, p] and y [n, q] of the same n items share, by the measures of the field.

    cka          linear centred kernel alignment, unbiased                       rotations, one scale
    svcca        mean canonical correlation of the leading directions            rotations, a scale (all kept: linear maps)
    pwcca        the same, directions weighted by how much of x they carry       rotations; linear maps of y
    procrustes   what is left of x and y after the best rotation                 rotations, one scale
    rsa          Spearman correlation of the items' similarity matrices          scale and shift of an item's features
    neighbours   share of the k nearest items (by cosine) that are the same      rotations, any scale of an item

All are 1 for x with itself; the last column says which maps of the features leave them as they are. A measure reads
either side once (`prepare`), so that layers are compared with layers, and with themselves in another order, at the price of
`between`. Axes: measure; share of variance kept, or a number of directions; k; geometry.
References: Kornblith et al. 2019 (CKA); Raghu et al. 2017 (SVCCA); Morcos et al. 2018 (PWCCA); Ding et al. 2021
"Grounding Representation Similarity with Statistical Testing" (Procrustes); Kriegeskorte et al. 2008 (RSA); Huh et al.
2024 "The Platonic Representation Hypothesis" (mutual neighbours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, stats

from semblance.analysis.hsic import Side, alignment
from semblance.errors import SemblanceError
from semblance.geometry.nearest import nearest

Array = np.ndarray
KEPT = 0.99  # of the variance, by the directions that SVCCA keeps
RANK = 1e-6  # of the largest singular value: what is smaller is no direction


@dataclass(frozen=True)
class Measure:
    """prepare(x [n, p]) -> side; between(side, side) -> the value; reorder(side, order) -> the side of x[order].

    most: items beyond which a report takes some of them, since the price grows faster than they do.
    """

    prepare: Callable[[Array], Any]
    between: Callable[[Any, Any], float]
    reorder: Callable[[Any, Array], Any]
    about: str
    most: int | None = 5_000

    def __call__(self, x: Array, y: Array) -> float:
        """The value for [n, p] and [n, q]."""
        if len(x) != len(y):
            raise SemblanceError(
                f"x has {len(x)} items and y {len(y)}: give the same items in the same order on both sides"
            )
        return self.between(self.prepare(x), self.prepare(y))


@dataclass(frozen=True)
class Spectrum:
    """Centred features X = U S V^T. u: [n, r] orthonormal, s: [r] falling; features: [r, p] = S V^T."""

    u: Array
    s: Array
    features: Array

    def leading(self, kept: float) -> Array:
        """The least number of directions [n, r'] that hold this share of the variance."""
        share = np.cumsum(self.s**2) / (self.s**2).sum()
        return self.u[:, : int(np.searchsorted(share, kept - 1e-12)) + 1]

    def reordered(self, order: Array) -> Spectrum:
        """Of the items in another order."""
        return Spectrum(self.u[order], self.s, self.features)


def finite(x: Array) -> Array:
    """[n, p] as float64; items that hold NaN or infinity are refused."""
    x = np.asarray(x, np.float64)
    broken = int((~np.isfinite(x).all(1)).sum())
    if broken:
        raise SemblanceError(
            f"a representation holds NaN or infinity in {broken} of {len(x)} rows: leave these items out of both sides"
        )
    return x


def spectrum(x: Array) -> Spectrum:
    """[n, p] -> the singular values of the centred features above RANK, with their directions."""
    x = finite(x)
    u, s, v = linalg.svd(x - x.mean(0), full_matrices=False)
    if not s[0] > 0:
        raise SemblanceError(f"a representation is the same for all {len(x)} items: there is nothing to compare")
    rank = int((s > RANK * s[0]).sum())
    return Spectrum(u[:, :rank], s[:rank], s[:rank, None] * v[:rank])


def canonical_correlations(a: Array, b: Array) -> Array:
    """Orthonormal [n, r], [n, s] -> their min(r, s) canonical correlations, falling."""
    return np.clip(linalg.svdvals(a.T @ b), 0, 1)


def svcca(kept: float = KEPT, directions: int | None = None) -> Measure:
    """Mean correlation of the directions that hold the share `kept` of either side's variance, or of so many directions."""

    def between(a: Spectrum, b: Spectrum) -> float:
        sides = (side.leading(kept) if directions is None else side.u[:, :directions] for side in (a, b))
        return float(canonical_correlations(*sides).mean())

    return Measure(
        spectrum, between, Spectrum.reordered, "canonical correlations of the leading directions, their mean"
    )


def _weighted(a: Spectrum, b: Spectrum) -> float:
    turned, correlations, _ = linalg.svd(a.u.T @ b.u, full_matrices=False)
    weight = np.abs(turned.T @ a.features).sum(1)  # of every direction in a: how much of its features it carries
    return float(np.clip(correlations, 0, 1) @ weight / weight.sum())


def _rotated(a: Spectrum, b: Spectrum) -> float:
    nuclear = linalg.svdvals((a.u * a.s).T @ (b.u * b.s)).sum()
    return min(float(nuclear / (linalg.norm(a.s) * linalg.norm(b.s))), 1.0)


def similarities(x: Array) -> Array:
    """[n, p] -> [n, n], correlations of the items' features; constant items are refused."""
    x = finite(x)
    x = x - x.mean(1, keepdims=True)
    length = linalg.norm(x, axis=1)
    if not length.all():
        raise SemblanceError(
            f"{int((length == 0).sum())} of {len(x)} items have equal features throughout, so no correlation with others: "
            "leave them out, or use another measure than rsa"
        )
    x /= length[:, None]
    return np.asarray(x @ x.T)


def _ranked(x: Array) -> Array:
    """[n, n] ranks of the similarities of different items, of mean 0 and length 1 over the upper triangle."""
    values, n = similarities(x), len(x)
    if n < 3:
        raise SemblanceError(f"{n} items have too few similarities to be ranked: rsa needs at least 3")
    at = np.triu_indices(n, 1)
    ranks = stats.rankdata(values[at])
    ranks -= ranks.mean()
    if not ranks.any():
        raise SemblanceError("all items are equally similar: rsa has nothing to compare")
    found = np.zeros((n, n))
    found[at] = ranks / linalg.norm(ranks)
    return found + found.T


def neighbours(k: int = 10, geometry: str = "cosine") -> Measure:
    """The mean share of an item's k nearest others that are the same on both sides."""

    def prepare(x: Array) -> Array:
        if not 1 <= k < len(x):
            raise SemblanceError(f"k is {k} among {len(x)} items: give 1 to {len(x) - 1}")
        finite(x)
        x = np.ascontiguousarray(x)
        return np.sort(nearest(x, x, k, geometry, leave_out="self")[0], 1)

    def between(a: Array, b: Array) -> float:
        both = np.sort(np.concatenate([a, b], 1), 1)
        return float((both[:, 1:] == both[:, :-1]).sum() / a.size)

    def reorder(a: Array, order: Array) -> Array:
        return np.sort(np.argsort(order)[a[order]], 1)

    return Measure(prepare, between, reorder, f"share of the {k} nearest that are the same")


MEASURES: dict[str, Measure] = {
    "cka": Measure(
        lambda x: Side(x, "a representation"),
        lambda a, b: alignment(a, b)[1],
        lambda a, order: Side(a.x[order], a.name),
        "alignment of the similarities between items (linear, unbiased)",
        None,
    ),
    "svcca": svcca(),
    "pwcca": Measure(
        spectrum, _weighted, Spectrum.reordered, "canonical correlations weighted by what they carry of the first"
    ),
    "procrustes": Measure(spectrum, _rotated, Spectrum.reordered, "agreement after the best rotation"),
    "rsa": Measure(
        _ranked,
        lambda a, b: float(np.vdot(a, b) / 2),
        lambda a, order: a[np.ix_(order, order)],
        "rank correlation of the similarities between items",
        1_000,
    ),
    "neighbours": neighbours(),
}


def neighbour_overlap(x: Array, y: Array, k: int = 10, geometry: str = "cosine") -> float:
    """The mean share of an item's k nearest others that are the same in x [n, p] and y [n, q]."""
    return neighbours(k, geometry)(x, y)
