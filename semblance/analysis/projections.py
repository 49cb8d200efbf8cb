"""Projections: a few numbers t [d] as a direction P t [D] in a space of very many, P made again from its seed alone.

    dense      Gaussian columns of length 1                                                       D d numbers
    sparse     random signs, about sqrt(D) of them a column, of length 1                          sqrt(D) d numbers
    fastfood   Hadamard, Gaussian diagonal, permutation, Hadamard, signs, cut to D rows           3 D numbers, D log D steps

Columns of random directions in many dimensions are nearly orthogonal, so t and P t have nearly the same length. All answer
P t, `back` P^T g, and gradients; t may be [d, R], several at once.
References: Li et al. 2018 "Measuring the Intrinsic Dimension of Objective Landscapes"; Li, Hastie & Church 2006 "Very
Sparse Random Projections"; Le, Sarlos & Smola 2013 "Fastfood".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown


class Dense:
    """P is a matrix [D, d]."""

    def __init__(self, size: int, dim: int, seed: int):
        columns = torch.randn(dim, size, generator=torch.Generator().manual_seed(seed))
        self.matrix = (columns / columns.norm(dim=1, keepdim=True)).T.contiguous()

    def __call__(self, t: Tensor) -> Tensor:
        """[d] or [d, R] -> [D] or [D, R]"""
        return self.matrix @ t

    def back(self, g: Tensor) -> Tensor:
        """[D] or [D, R] -> [d] or [d, R]"""
        return self.matrix.T @ g


class Sparse:
    """P holds a sign at about sqrt(D) places of a column, as rows of places."""

    def __init__(self, size: int, dim: int, seed: int):
        chance = np.random.default_rng(seed)
        taken = np.maximum(1, chance.binomial(size, 1 / math.sqrt(size), dim))
        places = [np.sort(chance.choice(size, n, replace=False)) for n in taken]
        rows, columns = np.concatenate(places), np.repeat(np.arange(dim), taken)
        value = (chance.integers(2, size=len(rows)) * 2 - 1) / np.sqrt(taken[columns])
        self.size, self.dim = size, dim
        self.rows, self.columns = torch.from_numpy(rows), torch.from_numpy(columns)
        self.value = torch.from_numpy(value).float()

    def __call__(self, t: Tensor) -> Tensor:
        """[d] or [d, R] -> [D] or [D, R]"""
        return self._moved(t, self.columns, self.rows, self.size)

    def back(self, g: Tensor) -> Tensor:
        """[D] or [D, R] -> [d] or [d, R]"""
        return self._moved(g, self.rows, self.columns, self.dim)

    def _moved(self, x: Tensor, source: Tensor, target: Tensor, size: int) -> Tensor:
        value = self.value.to(x).view(-1, *[1] * (x.ndim - 1))
        return x.new_zeros(size, *x.shape[1:]).index_add(0, target, x[source] * value)


class Fastfood:
    """P = cut(H G Pi H B) / length, over the next power of two; nothing of size D d is ever held."""

    def __init__(self, size: int, dim: int, seed: int):
        self.size, self.dim = size, dim
        self.wide = 1 << max(0, (max(size, dim) - 1).bit_length())
        chance = torch.Generator().manual_seed(seed)
        self.sign = torch.randint(2, (self.wide,), generator=chance) * 2.0 - 1
        self.order = torch.randperm(self.wide, generator=chance)
        gauss = torch.randn(self.wide, generator=chance)
        # H e_j has equal entries, so every column has the length of the diagonal, but for the rows that are cut.
        self.gauss = gauss / gauss.norm() * math.sqrt(self.wide / size) * math.sqrt(self.wide)
        self.back_order = torch.argsort(self.order)

    def __call__(self, t: Tensor) -> Tensor:
        """[d] or [d, R] -> [D] or [D, R]"""
        x = torch.cat([t, t.new_zeros(self.wide - self.dim, *t.shape[1:])])
        x = hadamard(x * self._column(self.sign, x))[self.order]
        return hadamard(x * self._column(self.gauss, x))[: self.size]

    def back(self, g: Tensor) -> Tensor:
        """[D] or [D, R] -> [d] or [d, R]"""
        x = torch.cat([g, g.new_zeros(self.wide - self.size, *g.shape[1:])])
        x = (hadamard(x) * self._column(self.gauss, x))[self.back_order]
        return (hadamard(x) * self._column(self.sign, x))[: self.dim]

    def _column(self, values: Tensor, x: Tensor) -> Tensor:
        return values.to(x).view(-1, *[1] * (x.ndim - 1))


def hadamard(x: Tensor) -> Tensor:
    """The orthogonal Walsh-Hadamard transform along the first dimension [n, ...], n a power of two."""
    n = len(x)
    if n & (n - 1):
        raise SemblanceError(f"{n} rows cannot be transformed: their number has to be a power of two")
    y = x.reshape(n, -1)
    half = 1
    while half < n:
        pairs = y.view(n // (2 * half), 2, half, -1)
        y = torch.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], 1).view(n, -1)
        half *= 2
    return (y / math.sqrt(n)).view(x.shape)


Projection = Dense | Sparse | Fastfood
PROJECTIONS: dict[str, Callable[[int, int, int], Projection]] = {"dense": Dense, "sparse": Sparse, "fastfood": Fastfood}


def projection(kind: str, size: int, dim: int, seed: int) -> Projection:
    """dense, sparse or fastfood, from `dim` numbers to `size`."""
    if kind not in PROJECTIONS:
        raise unknown("projection", kind, PROJECTIONS)
    if not 1 <= dim <= size:
        raise SemblanceError(f"{dim} directions of a space of {size} dimensions: give 1 to {size}")
    return PROJECTIONS[kind](size, dim, seed)
