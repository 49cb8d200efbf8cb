"""Bases: the polynomials p_0 .. p_K of an operator S by which a filter sum_k c_k p_k(S) x is written.

Monomial     p_k = S^k
Chebyshev    p_(k+1) = 2 S p_k - p_(k-1);  p_1 = S (first kind) or 2 S (second)
Bernstein    p_k = binomial(K, k) 2^-K (I + S)^(K-k) (I - S)^k: bumps along the spectrum, which sum to the identity
Resolvent    p_k = (I + S)^-k, by solving
Favard       sqrt(b_(k+1)) p_(k+1) = (S - g_k) p_k - sqrt(b_k) p_(k-1),  p_0 = 1 / sqrt(b_0): any orthogonal polynomials,
             b and g learned for every channel
Optimal      the same recurrence with the b and g under which p_0(S) x, p_1(S) x, ... are orthonormal for this x: Lanczos

A basis is asked for the terms p_k(S) x in turn, so that nobody has to hold them all. Those with `recurrence` can also sum
from the highest order down, which moves only the width of the result (Clenshaw).
References: Defferrard et al. 2016 (Chebyshev); He et al. 2021 (Bernstein); Guo & Wei 2023 (Favard, Optimal);
Koke & Cremers 2024 (Resolvent).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.operators import Operator
from semblance.errors import SemblanceError, unknown

LEAST_ROOT = 0.01  # of b, from below: the recurrence divides by it
VANISHED = 1e-8  # length below which a Lanczos vector is taken for zero: the space is exhausted


class Recurrent(nn.Module):
    """p_(k+1) = first_k S p_k - second_k p_(k-1), numbers only."""

    parameter_free = True

    def recurrence(self, k: int) -> tuple[float, float]:
        """first_k and second_k."""
        raise NotImplementedError

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        before, now = None, x
        yield now
        for k in range(depth):
            first, second = self.recurrence(k)
            after = operator(now)
            if first != 1:
                after = first * after
            if second and before is not None:
                after = after - second * before
            before, now = now, after
            yield now

    def summed(self, operator: Operator, parts: Sequence[Tensor]) -> Tensor:
        """sum_k p_k(S) parts_k, parts of [V, C] each, by as many products less one."""
        depth = len(parts) - 1
        after, now = None, parts[depth]
        for k in reversed(range(depth)):
            first, _ = self.recurrence(k)
            _, second = self.recurrence(k + 1)
            y = parts[k] + first * operator(now)
            if second and after is not None:
                y = y - second * after
            after, now = now, y
        return now


class Monomial(Recurrent):
    """Powers of the operator."""

    def recurrence(self, k: int) -> tuple[float, float]:
        return 1.0, 0.0


class Chebyshev(Recurrent):
    """Of the first or second kind. Polynomials of S, not of the rescaled Laplacian -S: odd orders have the other sign."""

    def __init__(self, kind: int = 1):
        super().__init__()
        if kind not in (1, 2):
            raise SemblanceError(f"there are Chebyshev polynomials of kind 1 and 2, not {kind}")
        self.kind = kind

    def extra_repr(self) -> str:
        return f"kind={self.kind}"

    def recurrence(self, k: int) -> tuple[float, float]:
        return (1.0 if k == 0 and self.kind == 1 else 2.0), 1.0


class Bernstein(nn.Module):
    """Bumps: order k answers where the eigenvalue of I - S is near 2 k / K. Takes K (K + 1) / 2 further products."""

    parameter_free = True

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        raised = [x]
        for _ in range(depth):
            raised.append(raised[-1] + operator(raised[-1]))  # (I + S)^j x
        for k in range(depth + 1):
            term = raised.pop()
            for _ in range(k):
                term = term - operator(term)
            yield comb(depth, k) / 2**depth * term


class Resolvent(nn.Module):
    """Powers of (I + S)^-1, for operators without the eigenvalue -1, such as a Laplacian."""

    parameter_free = True

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        yield x
        for _ in range(depth):
            x = operator.solve(x)
            yield x


class Favard(nn.Module):
    """A learned three-term recurrence for each of `channels`, up to order `depth`; it starts as Chebyshev's of the second
    kind (b = 1/4, g = 0)."""

    parameter_free = False

    def __init__(self, channels: int, depth: int):
        super().__init__()
        root = torch.full((depth + 1, channels), 0.5)
        root[0] = 1.0
        self.root, self.shift = nn.Parameter(root), nn.Parameter(torch.zeros(max(depth, 1), channels))

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        root = self.root.clamp(min=LEAST_ROOT)
        before, now = None, x / root[0]
        yield now
        for k in range(depth):
            after = operator(now) - self.shift[k] * now
            if before is not None:
                after = after - root[k] * before
            before, now = now, after / root[k + 1]
            yield now


class Optimal(nn.Module):
    """Vectors that are orthonormal for each channel of x. Once a channel's space is exhausted, the rest are zero.

    unit: length (each vector's is 1) or spread (its mean square is 1, so that the states of nodes do not shrink with their
    number: what a network wants to read).
    """

    parameter_free = True

    def __init__(self, unit: str = "length"):
        super().__init__()
        if unit not in ("length", "spread"):
            raise unknown("unit", unit, ("length", "spread"))
        self.unit = unit

    def extra_repr(self) -> str:
        return self.unit

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        before, now = None, _unit(x)
        size = 1.0 if self.unit == "length" else len(x) ** 0.5
        yield now * size
        for _ in range(depth):
            moved = operator(now)
            after = moved - (moved * now).sum(0) * now
            if before is not None:
                after = after - (moved * before).sum(0) * before
            before, now = now, _unit(after)
            yield now * size


def _unit(x: Tensor) -> Tensor:
    """Columns of length 1, or 0 where there is next to nothing: there no gradient passes either."""
    square = x.square().sum(0)
    gone = square < VANISHED**2
    return x * torch.where(gone, 0.0, torch.where(gone, 1.0, square).rsqrt())
