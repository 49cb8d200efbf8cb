"""Centred kernel alignment of two representations x [n, p], y [n, q] of the same n items, without an n x n matrix.

    K = X X^T, L = Y Y^T, columns of X and Y centred
    biased     HSIC(K, L) = <K, L> = |X^T Y|^2
    unbiased   HSIC(K, L) = <K, L> - k.l + sum(k) sum(l) / ((n-1)(n-2)) - 2 k.l / (n-2),     k, l the diagonals
    CKA        = HSIC(K, L) / sqrt( HSIC(K, K) HSIC(L, L) )

All of K's row sums are 0, so every sum that HSIC asks for is one that the features can serve: both estimators share three
products, of which two are symmetric and only half made. Where there are fewer items than features, the products are of
items instead, block by block. Long representations (memory-mapped ones too) are read in chunks of rows, twice.

References: Kornblith et al. 2019 "Similarity of Neural Network Representations Revisited"; Song et al. 2012 "Feature
Selection via Dependence Maximization" (unbiased); Nguyen et al. 2021 "Do Wide and Deep Networks Learn the Same Things?"
(minibatches).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.errors import SemblanceError

CHUNK = 16_384  # rows held at a time
TILE = 256  # rows whose sums stay in the cache
BLOCK = 256  # columns (or rows) of a symmetric product that are made at a time


class Side:
    """One representation [n, p], centred, with its own similarity computed once. float64 stays so, all else is float32.

    lengths: float64 [n], the squared lengths of the centred rows, K's diagonal. square: |K|^2.
    """

    def __init__(self, x: Any, name: str = "the representation"):
        if isinstance(x, Tensor):
            x = x.detach().cpu().numpy()
        if getattr(x, "ndim", 0) != 2 or not len(x) or not x.shape[1]:
            raise SemblanceError(
                f"{name} has shape {getattr(x, 'shape', None)}: give [items, features], at least one of each"
            )
        self.x, self.name = x, name
        self.n, self.p = x.shape
        self.dtype = torch.float64 if x.dtype == np.float64 else torch.float32
        self.whole: Tensor | None = None
        self.mean = torch.zeros(self.p, dtype=torch.float64)
        for part in self._raw():
            self.mean += sum(tile.sum(0).double() for tile in part.split(TILE)) / self.n
        if not self.mean.isfinite().all():
            rows = int(sum((~part.isfinite().all(1)).sum() for part in self._raw()))
            raise SemblanceError(
                f"{name} holds NaN or infinity in {rows} of {self.n} rows: leave these items out of both sides"
            )
        # Made at once: small blocks that are kept between large ones that are not would hold on to these, too.
        self.lengths = torch.empty(self.n, dtype=torch.float64)
        for part, into in zip(self._raw(), self.lengths.split(CHUNK), strict=True):
            centred, own = self._centred(part)
            into.copy_(own)
            if self.n <= CHUNK:
                self.whole = centred
        if float(self.lengths.sum()) <= 1e-12 * self.n * float(1e-30 + self.mean.square().sum()):
            raise SemblanceError(f"{name} is the same for all {self.n} items: there is nothing to compare")
        self.square = inner(self, self)

    def _raw(self) -> Iterator[Tensor]:
        for first in range(0, self.n, CHUNK):
            rows = np.ascontiguousarray(self.x[first : first + CHUNK])
            yield torch.from_numpy(rows if rows.flags.writeable else rows.copy()).to(self.dtype)
            give_back_pages(self.x)

    def chunks(self) -> Iterator[Tensor]:
        """[<= CHUNK, p] centred rows, in order; a side of one chunk is kept."""
        if self.whole is not None:
            yield self.whole
            return
        for part in self._raw():
            yield self._centred(part)[0]

    def _centred(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """Rows less the mean, and their squared lengths, taken while a tile is in the cache."""
        mean, centred, lengths = self.mean.to(self.dtype), torch.empty_like(part), part.new_empty(len(part))
        for rows, into, own in zip(part.split(TILE), centred.split(TILE), lengths.split(TILE), strict=True):
            torch.sub(rows, mean, out=into)
            torch.sum(into.square(), 1, out=own)
        return centred, lengths


def give_back_pages(x: Any) -> None:
    """Of an array that is a file mapped for reading: what was read of it leaves memory, where the system can be told."""
    mapped = getattr(x, "_mmap", None) if getattr(x, "mode", None) == "r" else None
    if mapped is not None and hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def inner(a: Side, b: Side) -> float:
    """<K, L> = |X^T Y|^2, by products of features or of items, whichever are fewer."""
    if a.n > CHUNK:
        return _streamed(a, b)
    x, y = (next(side.chunks()) for side in (a, b))
    if x.dtype != y.dtype:
        x, y = x.double(), y.double()
    if a.n * (a.p + b.p) < a.p * b.p:
        return _of_items(x, y, a is b)
    return _of_features(x, y, a is b)


def _of_features(x: Tensor, y: Tensor, same: bool) -> float:
    total = 0.0
    for first in range(0, x.shape[1], BLOCK):
        total += _summed((x[:, first : first + BLOCK].T @ (y[:, first:] if same else y)).square_(), same)
    return total


def _of_items(x: Tensor, y: Tensor, same: bool) -> float:
    total = 0.0
    for first in range(0, len(x), BLOCK):
        k = x[first : first + BLOCK] @ x[first:].T
        total += _summed(k.square_() if same else k.mul_(y[first : first + BLOCK] @ y[first:].T), True)
    return total


def _summed(products: Tensor, upper: bool) -> float:
    """The sum of a block [w, rest], of rows in float64; if `upper`, what is right of its first square counts twice."""
    whole = float(products.sum(1).double().sum())
    return 2 * whole - float(products[:, : len(products)].sum(1).double().sum()) if upper else whole


def _streamed(a: Side, b: Side) -> float:
    total = torch.zeros(a.p, b.p, dtype=torch.float64)
    for x, y in zip(a.chunks(), b.chunks(), strict=True):
        total += x.T @ y if x.dtype == y.dtype else x.double().T @ y.double()
    return float(total.square().sum())


def hsics(a: Side, b: Side, product: float | None = None) -> tuple[float, float]:
    """Biased and unbiased HSIC, up to a common factor of n alone. product: <K, L> where it is known."""
    n = a.n
    if b.n != n:
        raise SemblanceError(
            f"{a.name} has {n} items and {b.name} {b.n}: give the same items in the same order on both sides"
        )
    if n < 4:
        raise SemblanceError(f"{n} items cannot be compared: the unbiased estimate needs at least 4")
    biased = inner(a, b) if product is None else product
    both = float(a.lengths @ b.lengths)
    ends = float(a.lengths.sum() * b.lengths.sum())
    return biased, biased - both + ends / ((n - 1) * (n - 2)) - 2 * both / (n - 2)


def alignment(a: Side, b: Side) -> tuple[float, float]:
    """CKA, biased and unbiased."""
    cross, left, right = hsics(a, b), hsics(a, a, a.square), hsics(b, b, b.square)
    biased, unbiased = (
        min(c / max(x * y, np.finfo(float).tiny) ** 0.5, 1.0) for c, x, y in zip(cross, left, right, strict=True)
    )
    return biased, unbiased


def cka(x: Any, y: Any, unbiased: bool = False) -> float:
    """Linear CKA of [n, p] and [n, q]: 1 for the same up to rotation, scale and shift; about 0 (if unbiased) by chance."""
    return alignment(Side(x, "x"), Side(y, "y"))[unbiased]


def cka_matrix(xs: Sequence[Any], ys: Sequence[Any] | None = None, unbiased: bool = True) -> np.ndarray:
    """float64 [len(xs), len(ys)] of layers against layers; every side's own products are made once. ys: default xs."""
    left = [Side(x, f"layer {i}") for i, x in enumerate(xs)]
    if ys is None:
        found = np.ones((len(left), len(left)))
        for i, a in enumerate(left):
            for j in range(i):
                found[i, j] = found[j, i] = alignment(a, left[j])[unbiased]
        return found
    right = [Side(y, f"layer {j} of the other") for j, y in enumerate(ys)]
    return np.array([[alignment(a, b)[unbiased] for b in right] for a in left])


def minibatch_cka(x: Any, y: Any, batch: int = 256, seed: int = 0) -> float:
    """Unbiased CKA from means over minibatches drawn in random order: b^2 products a batch, nothing of all items."""
    if len(x) != len(y) or not 4 <= batch <= len(x):
        raise SemblanceError(
            f"{len(x)} and {len(y)} items in batches of {batch}: give the same items, batches of 4 to all"
        )
    order = np.random.default_rng(seed).permutation(len(x))
    sums = np.zeros(3)
    for first in range(0, len(x) - batch + 1, batch):
        rows = np.sort(order[first : first + batch])
        k, other = (_hollow(np.asarray(side[rows], np.float32)) for side in (x, y))
        sums += _unbiased(k, other), _unbiased(k, k), _unbiased(other, other)
    return float(sums[0] / np.sqrt(sums[1] * sums[2]))


def _hollow(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    k = x @ x.T
    np.fill_diagonal(k, 0)
    return k


def _unbiased(k: np.ndarray, other: np.ndarray) -> float:
    n, rows, columns = len(k), k.sum(0, dtype=np.float64), other.sum(0, dtype=np.float64)
    return float(np.vdot(k, other) + rows.sum() * columns.sum() / ((n - 1) * (n - 2)) - 2 * rows @ columns / (n - 2))
