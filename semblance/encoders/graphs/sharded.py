"""Sharded factorisation: vectors of rows and columns whose products are the PMI of what was met, and bounded by it where
nothing was.

    met          1/2 f(x_ij) (w_i . c_j - pmi_ij)^2,    pmi_ij = log x_ij + log n - log r_i - log c_j,  f = b0 + b x^alpha
    never met    log(1 + exp(w_i . c_j - pmi*_ij)),     pmi* the PMI if the pair had been met once

So two frequent things that were never met are pushed apart, and of two rare ones little is said. Rows and columns are
sorted by frequency and dealt round in turn, so that every shard has frequent and rare ones; a step is one dense shard: one
product W_r C_c^T, its slope in place, two products back, Adagrad. No more than a shard is ever dense.

What varies: the counts (any sparse matrix: words in windows, places of walks, users and items), the size of a shard, the
bound for pairs never met (without it: what was met only, as in GloVe).

Shazeer, Doherty, Evans & Waterson 2016, Swivel: Improving embeddings by noticing what's missing, arXiv:1602.02215.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semblance.errors import SemblanceError

Array = NDArray[Any]
MOST = np.float32(80)
"""Above it exp would overflow."""


@dataclass(frozen=True)
class Sharded:
    """size: rows and columns of a shard. level, rise, alpha: b0, b and alpha of f. bounded: whether pairs that were never
    met count. begin: what Adagrad's sums of squares start with; the smaller, the larger the first steps."""

    epochs: int = 50
    size: int = 512
    lr: float = 1.0
    level: float = 0.1
    rise: float = 0.25
    alpha: float = 0.5
    bounded: bool = True
    begin: float = 0.1

    def of(self, matrix: Any, dim: int, seed: int) -> tuple[Array, Array]:
        """The factors of counts [R, C], sparse or dense, 0 or more: float32 [R, dim] and [C, dim]. A row or column of zeros
        has the vector 0."""
        counts = sparse.coo_array(sparse.csr_array(matrix))  # what is listed twice adds up
        counts.eliminate_zeros()
        if counts.nnz and not counts.data.min() > 0:
            raise SemblanceError(f"a pair was met {counts.data.min():g} times: counts are 0 or more")
        rng = np.random.default_rng(seed)
        sides = [_Side.of(counts, axis, self, dim, rng) for axis in (0, 1)]
        if counts.nnz:
            shards = _dealt(counts, *sides)
            for _ in range(self.epochs):
                for number in rng.permutation(len(shards)):
                    self._step(sides, *shards[number], math.log(counts.data.sum()))
        return sides[0].found(), sides[1].found()

    def _step(self, sides: list[_Side], r: int, c: int, row: Array, column: Array, x: Array, whole: float) -> None:
        rows, columns = (side.shard(number) for side, number in zip(sides, (r, c), strict=True))
        (w, squares_w, log_r), (z, squares_z, log_c) = rows, columns
        slope = w @ z.T
        # What is met, first: its products are still there.
        weight = (self.level + self.rise * x**self.alpha).astype(np.float32)
        pmi = (np.log(x) + whole - log_r[row] - log_c[column]).astype(np.float32)
        met = weight * (slope[row, column] - pmi)
        if self.bounded:  # 1 / (1 + exp(pmi* - product)), in place
            np.subtract((np.float32(whole) - log_r)[:, None] - log_c, slope, out=slope)
            np.exp(np.minimum(slope, MOST, out=slope), out=slope)
            slope += 1
            np.reciprocal(slope, out=slope)
        else:
            slope[:] = 0
        slope[row, column] = met
        # Means over the other side of the shard, so that the step suits shards of any size.
        of_w, of_z = slope @ z / np.float32(len(z)), slope.T @ w / np.float32(len(w))
        for values, squares, gradient in ((w, squares_w, of_w), (z, squares_z, of_z)):
            squares += gradient**2
            values -= np.float32(self.lr) * gradient / np.sqrt(squares)


@dataclass(frozen=True)
class _Side:
    """The rows, or the columns, in the order in which they are dealt: order [n] of those that were met at all, their
    vectors and Adagrad's sums [n, d], the logarithm of how often each was met [n], where shards begin [S + 1]."""

    order: Array
    vectors: Array
    squares: Array
    log: Array
    start: Array
    size: int

    @classmethod
    def of(cls, counts: sparse.coo_array, axis: int, how: Sharded, dim: int, rng: np.random.Generator) -> _Side:
        often = np.asarray(counts.sum(1 - axis)).ravel()
        there = np.argsort(-often, kind="stable")[: int((often > 0).sum())]
        shards = max(-(-len(there) // how.size), 1)
        dealt = [there[s::shards] for s in range(shards)]
        order = np.concatenate(dealt)
        vectors = (rng.normal(size=(len(order), dim)) / math.sqrt(dim)).astype(np.float32)
        start = np.cumsum([0, *map(len, dealt)])
        squares, log = np.full_like(vectors, how.begin), np.log(often[order]).astype(np.float32)
        return cls(order, vectors, squares, log, start, len(often))

    def shard(self, number: int) -> tuple[Array, Array, Array]:
        """Vectors, sums and logarithms of a shard, as views."""
        at = slice(self.start[number], self.start[number + 1])
        return self.vectors[at], self.squares[at], self.log[at]

    def found(self) -> Array:
        """Vectors in the order of the counts."""
        out = np.zeros((self.size, self.vectors.shape[1]), np.float32)
        out[self.order] = self.vectors
        return out


def _dealt(counts: sparse.coo_array, rows: _Side, columns: _Side) -> list[tuple[int, int, Array, Array, Array]]:
    """Of every shard: its number of rows and of columns, and where in it what was met how often."""
    shard, within = [], []
    for side, at in ((rows, counts.row), (columns, counts.col)):
        place = np.full(side.size, -1)
        place[side.order] = np.arange(len(side.order))
        shard.append(np.searchsorted(side.start, place[at], side="right") - 1)
        within.append((place[at] - side.start[shard[-1]]).astype(np.int32))
    across = len(columns.start) - 1
    number = shard[0] * across + shard[1]
    order = np.argsort(number, kind="stable")
    bound = np.searchsorted(number[order], np.arange((len(rows.start) - 1) * across + 1))
    held = [part[order] for part in (*within, counts.data.astype(np.float64))]
    return [(n // across, n % across, *(part[bound[n] : bound[n + 1]] for part in held)) for n in range(len(bound) - 1)]
