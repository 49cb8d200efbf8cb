"""Log-sums: log sum_j exp(a_i . b_j) of every row, and of every column, without the matrix of products.

    within     one set: each row's sum over the others (or over all, itself included); the matrix is symmetric
    between    two sets: the sums of the rows and of the columns, from the same tiles

A tile of T by T products is made, used for its rows and for its columns, and forgotten; the backward pass makes it again:

    d/da_i = sum_j W_ij b_j,    W_ij = exp(a_i . b_j) (g_i / r_i + h_j / c_j)

with r and c the sums of rows and columns, g and h what comes back to their logarithms. Within one set W is as symmetric as
the products, so upper tiles suffice: four half products for value and gradient, where row blocks take six halves.

Where the products are known to stay below `bound` (cosines over a temperature), one shift for all keeps exponentials in
range and no running maximum is needed. Only a row whose products all lie some 120 below the bound would vanish (cosines
below 1 - 120 temperature, so temperatures under 0.06 at most): it is noticed, and everything is summed again with each
row's and column's own running maximum. Without a bound it is so from the start.

`low` is the type of the factors of products, sums staying as they are: torch.bfloat16 doubles the speed where a processor
multiplies it, at an error of some 0.4% of a product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 512  # a tile of float32 is 1 MB: it stays in the second cache between its passes
ROOM = {torch.float32: 40.0, torch.float64: 300.0}  # how far exponents may rise, with room for sums and weights


def within(
    a: Tensor, *, itself: bool = False, bound: float | None = None, low: torch.dtype | None = None, tile: int = TILE
) -> Tensor:
    """a [N, d] -> [N]; `itself` says whether a row counts in its own sum."""
    sums: Tensor = _LogSums.apply(a, a, True, itself, bound, low, tile)[0]
    return sums


def between(
    a: Tensor, b: Tensor, *, bound: float | None = None, low: torch.dtype | None = None, tile: int = TILE
) -> tuple[Tensor, Tensor]:
    """a [N, d], b [M, d] -> [N] over the columns, [M] over the rows."""
    sums: tuple[Tensor, Tensor] = _LogSums.apply(a, b, False, True, bound, low, tile)
    return sums


class _Tiles(NamedTuple):
    """The products of a and b, tile by tile; of one set only the upper tiles."""

    a: Tensor
    b: Tensor
    one_set: bool
    itself: bool
    size: int
    wide: torch.dtype

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor, bool]]:  # type: ignore[override]
        """Rows, columns, products [h, w] (to be overwritten, good until the next), whether the diagonal runs through."""
        size = self.size
        made = self.a.new_empty(min(size, len(self.a)), min(size, len(self.b)))
        for i in range(0, len(self.a), size):
            rows = slice(i, min(i + size, len(self.a)))
            for j in range(i if self.one_set else 0, len(self.b), size):
                columns = slice(j, min(j + size, len(self.b)))
                out = made[: rows.stop - i, : columns.stop - j]
                torch.mm(self.a[rows], self.b[columns].T, out=out)
                yield rows, columns, out.to(self.wide), self.one_set and i == j

    def drops(self, diagonal: bool) -> bool:
        """Whether this tile's diagonal does not count."""
        return diagonal and not self.itself


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        one_set: bool,
        itself: bool,
        bound: float | None,
        low: torch.dtype | None,
        size: int,
    ) -> tuple[Tensor, Tensor]:
        tiles = _tiles(a, b, one_set, itself, low, size)
        shift = None if bound is None else max(0.0, bound - ROOM[a.dtype])
        sums = None if shift is None else _bounded(tiles, shift)
        if sums is None:
            shift, logs = None, _running(tiles)
            sums = logs
        else:
            logs = sums[0].log().add_(shift or 0.0), sums[1].log().add_(shift or 0.0)
        # Weights g / r are taken from the sums themselves: the difference of two logarithms of 50 loses five digits.
        ctx.save_for_backward(a, b, *sums)
        ctx.how = (one_set, itself, shift, low, size)
        return logs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, h: Tensor) -> Any:
        a, b, rows, columns = ctx.saved_tensors
        one_set, itself, shift, low, size = ctx.how
        tiles = _tiles(a, b, one_set, itself, low, size)
        by_a = torch.zeros_like(a)
        by_b = by_a if one_set else torch.zeros_like(b)
        if one_set:
            h = g
        if shift is not None:
            g, h = g / rows, h / columns
        weight = a.new_empty(min(size, len(a)), min(size, len(b)))
        for i, j, scores, diagonal in tiles:
            w = weight[: scores.shape[0], : scores.shape[1]]
            if shift is not None:
                torch.add(g[i, None], h[j], out=w)
                w.mul_(scores.sub_(shift).exp_() if shift else scores.exp_())
            else:
                torch.sub(scores, rows[i, None], out=w).exp_().mul_(g[i, None])
                w.add_(scores.sub_(columns[j]).exp_().mul_(h[j]))
            if tiles.drops(diagonal):
                w.fill_diagonal_(0)
            narrow = w.to(tiles.a.dtype)
            _add_product(by_a[i], narrow, tiles.b[j])
            if not diagonal:
                _add_product(by_b[j], narrow.T, tiles.a[i])
        return by_a, None if one_set else by_b, None, None, None, None, None


def _tiles(a: Tensor, b: Tensor, one_set: bool, itself: bool, low: torch.dtype | None, size: int) -> _Tiles:
    narrow = a.detach().to(low or a.dtype)
    return _Tiles(narrow, narrow if one_set else b.detach().to(low or b.dtype), one_set, itself, size, a.dtype)


def _add_product(out: Tensor, w: Tensor, z: Tensor) -> None:
    if w.dtype == out.dtype:
        out.addmm_(w, z)
    else:
        out.add_(w @ z)


def _bounded(tiles: _Tiles, shift: float) -> tuple[Tensor, Tensor] | None:
    """The sums, relative to exp(shift), or None where one is too small to be right."""
    rows = tiles.a.new_zeros(len(tiles.a), dtype=tiles.wide)
    columns = rows if tiles.one_set else tiles.a.new_zeros(len(tiles.b), dtype=tiles.wide)
    for i, j, scores, diagonal in tiles:
        e = scores.sub_(shift).exp_() if shift else scores.exp_()
        if tiles.drops(diagonal):
            e.fill_diagonal_(0)
        rows[i] += e.sum(1)
        if not diagonal:
            columns[j] += e.sum(0)
    least = math.exp(-1.5 * ROOM[tiles.wide])
    if shift and min(float(rows.min()), float(columns.min())) < least:
        return None
    return rows, columns


def _running(tiles: _Tiles) -> tuple[Tensor, Tensor]:
    """The logarithms of the sums, every row and column taken relative to the largest product it has met so far."""
    held = [
        (tiles.a.new_full((count,), -math.inf, dtype=tiles.wide), tiles.a.new_zeros(count, dtype=tiles.wide))
        for count in (len(tiles.a), len(tiles.b))
    ]
    if tiles.one_set:
        held[1] = held[0]
    for i, j, scores, diagonal in tiles:
        if tiles.drops(diagonal):
            scores.fill_diagonal_(-math.inf)
        for (top, total), part, along in zip(held, (i, j), (1, 0), strict=True):
            if along == 0 and diagonal:
                continue
            now = torch.maximum(top[part], scores.amax(along))
            # A row alone in its tile has met nothing yet: relative to 0, nothing stays nothing.
            base = now.where(now.isfinite(), 0)
            fresh = (scores - (base[:, None] if along else base)).exp_().sum(along)
            total[part] = total[part] * (top[part] - base).exp_() + fresh
            top[part] = now
    if tiles.one_set:
        held = held[:1]
    logs = [top + total.log() for top, total in held]
    return logs[0], logs[-1].clone()
