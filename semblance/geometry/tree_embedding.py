"""Trees in hyperbolic space, by construction: no optimisation, and a distortion that is known beforehand.

    root at 0;   child = v (+) tanh(tau l / 2) u        l: length of the edge, u: one of deg(v) directions spread around v,
                                                        turned so that the first of them points at v's parent
    tau = (1 + eps) / eps * 2 log(2 / gap) / least l    gap: half the least angle between two directions
                                                        (in the plane pi / deg, so 2 / gap = deg / (pi / 2))

Then tau l (1 - eps) < d(a, b) <= tau l for every path of length l: the worst distortion is at most 1 + eps. In the plane
directions are equal angles; in r dimensions words of a code at the corners of a hypercube, whose distance grows with r, so
that a smaller tau does. Points lie tau times the depth from 0, where their coordinates differ in that many nats behind the
point: `place` computes them in long numbers and returns whole ones, coordinate times 2^bits.

Reference: Sala, De Sa, Gu & Re 2018, Representation tradeoffs for hyperbolic embeddings, arXiv:1804.03329; Sarkar 2011, Low
distortion Delaunay embedding of trees in hyperbolic plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.ball import moebius_sum
from semblance.geometry.trees import Tree

Array = NDArray[Any]
Function = Callable[[Any], Any]
FREE_BITS = 14
"""Words of the code are chosen among 2 to this: no node has more neighbours than that in any dimension."""
SPARE = 64
"""Bits beyond those that tell the deepest points apart."""

_whole = np.frompyfunc(lambda x: int(mpmath.nint(x)), 1, 1)
_log = np.frompyfunc(lambda n: math.log(n) if n > 0 else -math.inf, 1, 1)


@dataclass(frozen=True, eq=False)
class Placed:
    """Points of the ball of curvature -1: whole numbers [V, r], coordinates times 2^bits; tau: what a length of 1 is."""

    whole: Array
    bits: int
    tau: float

    def rounded(self, bits: int) -> Placed:
        """The same points with fewer bits."""
        drop = self.bits - bits
        if drop < 0:
            raise SemblanceError(f"the points have {self.bits} bits and not {bits}: place them with more")
        return replace(self, whole=(self.whole + (1 << drop >> 1)) >> drop, bits=bits)

    def floats(self) -> NDArray[np.float64]:
        """float64 [V, r]; far points lie on the edge itself."""
        return np.asarray(self.whole / (1 << self.bits), dtype=np.float64)

    def distances(self) -> NDArray[np.float64]:
        """float64 [V, V], by the formula of `ball`, its differences exact: inf where rounding reached the edge."""
        to_edge = (1 << 2 * self.bits) - (self.whole * self.whole).sum(1)
        inner = to_edge > 0
        near = np.asarray(_log(np.where(inner, to_edge, 1)), np.float64)  # log(1 - |x|^2) + 2 bits log 2
        count = len(self.whole)
        found = np.zeros((count, count))
        for i in range(count - 1):
            apart = self.whole[i + 1 :] - self.whole[i]
            gap = np.asarray(_log((apart * apart).sum(1)), np.float64)
            # half the log of |x - y|^2 / ((1 - |x|^2) (1 - |y|^2)); beyond 20 asinh(e^h) is h + log 2
            half = (gap + 2 * self.bits * math.log(2) - near[i + 1 :] - near[i]) / 2
            found[i, i + 1 :] = 2 * np.where(half > 20, half + math.log(2), np.arcsinh(np.exp(np.minimum(half, 20))))
        found += found.T
        found[~inner], found[:, ~inner] = math.inf, math.inf
        np.fill_diagonal(found, 0)
        return found


def tau_for(tree: Tree, dim: int, eps: float) -> float:
    """The scale at which the worst distortion is at most 1 + eps."""
    if eps <= 0:
        raise SemblanceError(f"eps is {eps:g}, but the worst distortion is 1 + eps: give more than 0")
    several = [int(d) for d in np.unique(tree.degree()) if d > 1]
    if not several:
        return 1.0  # one edge or none: every scale keeps it
    gap = min(least_angle(directions(d, dim)) for d in several) / 2
    return (1 + eps) / eps * 2 * math.log(2 / gap) / float(tree.length[tree.parent >= 0].min())


def bits_for(tree: Tree, tau: float) -> int:
    """Bits that tell points so deep apart: tau times the greatest depth, in bits, and some to spare."""
    return math.ceil(tau * float(tree.reach().max()) / math.log(2)) + SPARE


def place(tree: Tree, dim: int, tau: float, bits: int = 0) -> Placed:
    """bits: 0 for as many as `bits_for` says."""
    bits = bits or bits_for(tree, tau)
    with mpmath.workprec(2 * bits):  # (+) subtracts nearly equal numbers: half of the digits are lost
        long = [np.frompyfunc(f, 1, 1) for f in (mpmath.mpf, mpmath.sqrt, mpmath.tanh)]
        points = _points(tree, dim, tau, *long)
        return Placed(_whole(points * mpmath.mpf(2) ** bits)[: tree.nodes], bits, tau)


def place_floats(tree: Tree, dim: int, tau: float) -> NDArray[np.float64]:
    """float64 [V, dim], for trees that reach no further than 15 from 0."""
    return np.asarray(_points(tree, dim, tau, np.asarray, np.sqrt, np.tanh), np.float64)[: tree.nodes]


def _points(tree: Tree, dim: int, tau: float, number: Function, root: Function, tanh: Function) -> Array:
    """[n, dim] of the numbers that `number` makes, level by level."""
    degree = tree.degree()
    codes = {int(d): number(directions(int(d), dim)) for d in np.unique(degree) if d}
    codes = {d: u / root((u * u).sum(1, keepdims=True)) for d, u in codes.items()}
    at = number(np.zeros((len(tree.parent), dim)))
    for level in tree.levels()[1:]:
        above = tree.parent[level]
        rooted = bool((tree.parent[above] < 0).any())  # of all or none: the root is a level of its own
        slot = _places(above) + (not rooted)
        u = np.stack([codes[int(d)][k] for d, k in zip(degree[above], slot, strict=True)])
        v = at[above]
        if not rooted:
            first = np.stack([codes[int(d)][0] for d in degree[above]])
            u = _turned(u, first, moebius_sum(-v, at[tree.parent[above]], 1), root)
        lengths, which = np.unique(tree.length[level], return_inverse=True)
        at[level] = moebius_sum(v, u * tanh(number(tau / 2 * lengths))[which][:, None], 1)
    return at


def _turned(u: Array, first: Array, toward: Array, root: Function) -> Array:
    """[n, r]: u after the reflection that brings `first`, of length 1, into the direction of `toward`."""
    toward = toward / root((toward * toward).sum(1, keepdims=True))
    normal = first - toward
    square = (normal * normal).sum(1, keepdims=True)
    already = square < 1e-20
    square = np.where(already, 1, square)
    return np.where(already, u, u - normal * (2 * (normal * u).sum(1, keepdims=True) / square))


def _places(above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parents, equal ones side by side -> which child of its parent each place is: 0, 1, ..."""
    starts = np.flatnonzero(np.append(True, above[1:] != above[:-1]))
    return np.arange(len(above)) - np.repeat(starts, np.diff(np.append(starts, len(above))))


@cache
def directions(count: int, dim: int) -> NDArray[np.float64]:
    """float64 [count, dim] of length 1, far from one another."""
    if dim < 2:
        raise SemblanceError(f"a tree has no room in {dim} dimensions: give 2 or more")
    if dim == 2:
        angle = 2 * np.pi * np.arange(count) / count
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    free = min(dim, FREE_BITS)
    if count > 2**free:
        needed = math.ceil(math.log2(count))
        more = f"give {needed}, or 2 (angles)" if needed <= FREE_BITS else "give 2 (angles)"
        raise SemblanceError(
            f"a node has {count:,} neighbours and the code in {dim} dimensions {2**free:,} words: {more}"
        )
    words = np.arange(2**free)[:, None] >> np.arange(free) & 1
    # Beyond the free bits each further one is the parity of some of them, which ones is drawn once.
    mix = np.random.default_rng(0).integers(0, 2, (free, dim - free))
    words = np.concatenate([words, words @ mix % 2], 1).astype(np.int8)
    taken, apart = [0], np.full(len(words), dim)
    for _ in range(count - 1):
        apart = np.minimum(apart, (words != words[taken[-1]]).sum(1))
        taken.append(int(apart.argmax()))
    return (1 - 2.0 * words[taken]) / dim**0.5


def least_angle(u: NDArray[np.float64]) -> float:
    """Between two of the directions u [m, r], m above 1; in radians."""
    inner = u @ u.T
    np.fill_diagonal(inner, -1)
    return math.acos(max(-1.0, min(1.0, float(inner.max()))))
