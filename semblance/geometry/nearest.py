"""Nearest: the k most similar of N items for each of Q queries, exactly, in memory bounded by a block.

    cosine      s(q, x) = q.x / |q||x|
    inner       s(q, x) = q.x
    euclidean   s(q, x) = -|q - x|      found by the largest q.x - |x|^2 / 2, both moved so that the items' mean is 0

The product of a block of queries with the items goes to a buffer that stays. The k best columns lie in the k groups of
columns with the largest group maxima, so halving the block a few times by `maximum`, a topk of groups and a topk of
their columns replace a topk over all columns, which would cost as much as the product. Equal similarities go to the
lower position; where the k-th and the (k+1)-th are equal, the row is settled by counting.

With int8 products (cosine and inner, on processors with dot-product instructions for them: 3.5 times the rate of
float32, where bfloat16 without matrix units had 0.6 times) twice as many candidates are ranked again in float32. Items
are first moved by their mean, which changes all similarities of a query alike and makes the rounding smaller; queries
whose k-th similarity is not clear of the candidates' edge by several deviations of the rounding error go the float32
way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown

GEOMETRIES = ("cosine", "inner", "euclidean")
PRECISIONS = ("auto", "float32", "int8")
ROWS = 256  # queries per block: tall enough for the product's full rate, 64 MB of float32 scores with COLUMNS
COLUMNS = 65536  # items per block, a multiple of GROUP
GROUP = 16  # columns per group, a power of two
WORTH_ROUNDING = 2**32  # multiply-adds below which float32 is quick anyway
DEVIATIONS = 5.0  # of the rounding error of an int8 product
LEFT_OUT = -(2**31)  # the score that stands for -inf among int32
HOPELESS = 0.25  # share of unclear queries in the first block above which float32 takes over


def nearest(
    queries: np.ndarray | Tensor,
    items: np.ndarray | Tensor,
    k: int,
    geometry: str = "cosine",
    leave_out: str | np.ndarray | None = None,
    precision: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """[Q, d], [N, d] -> positions [Q, k] int64 and similarities [Q, k] float32, the most similar first.

    `leave_out`: "self" where query i is item i and must not find itself, or one position per query (-1: none).
    `precision`: "auto" takes int8 products where the processor has them and the work is worth it.
    """
    q, x = _matrix(queries, "queries"), _matrix(items, "items")
    absent = _left_out(leave_out, len(q), len(x))
    _check(q, x, k, geometry, precision, absent is not None)
    if not len(q):
        return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    bias = None
    if geometry == "cosine":
        q, x = _unit(q), _unit(x)
    elif geometry == "euclidean":
        middle = x.mean(0)
        q, x = q - middle, x - middle
        bias = -(x * x).sum(1) / 2
    low = precision == "int8" or (precision == "auto" and _rounds_quickly(len(q) * len(x) * x.shape[1]))
    if low and bias is None:
        position, similarity = _rounded(q, x, k, absent)
    else:
        # Distances from products lose digits, so more are proposed than asked for, and ranked by their differences.
        proposed = k if bias is None else min(2 * k + 8, len(x) - (absent is not None))
        position, similarity = _scan(q, x, proposed, absent, bias)
    if geometry == "euclidean":
        position, similarity = (part[:, :k].contiguous() for part in _by_distance(q, x, position))
    elif geometry == "cosine":
        similarity = similarity.clamp(-1, 1)
    return position.numpy(), similarity.numpy()


def has_int8() -> bool:
    """Whether this processor multiplies int8 several times faster than float32, and this torch lets it."""
    able = torch.cpu.get_capabilities()
    return hasattr(torch, "_int_mm") and bool(able.get("avx512_vnni") or able.get("avx_vnni") or able.get("amx_int8"))


def _rounds_quickly(work: int) -> bool:
    return work >= WORTH_ROUNDING and has_int8()


def _matrix(vectors: np.ndarray | Tensor, name: str) -> Tensor:
    """Any [n, d] as contiguous float32; what is not finite has no place in an order."""
    z = torch.as_tensor(vectors).detach().to("cpu", torch.float32).contiguous()
    if z.ndim != 2:
        raise SemblanceError(f"{name} have shape {tuple(z.shape)}, but a matrix [n, d] is needed: one row per unit")
    if not bool(torch.isfinite(z.sum())) and not bool(torch.isfinite(z).all()):
        raise SemblanceError(f"{name} hold NaN or infinity, which have no order: remove or repair those rows")
    return z


def _left_out(leave_out: str | np.ndarray | None, queries: int, items: int) -> Tensor | None:
    if leave_out is None:
        return None
    if isinstance(leave_out, str):
        if leave_out != "self":
            raise unknown("way to leave out", leave_out, ["self"])
        if queries != items:
            raise SemblanceError(f"leave_out='self' with {queries} queries and {items} items: query i must be item i")
        return torch.arange(items)
    absent = torch.as_tensor(leave_out).long()
    if absent.shape != (queries,):
        raise SemblanceError(f"leave_out has shape {tuple(absent.shape)}: give one position per query, [{queries}]")
    return absent


def _check(q: Tensor, x: Tensor, k: int, geometry: str, precision: str, leaving_out: bool) -> None:
    if geometry not in GEOMETRIES:
        raise unknown("geometry", geometry, GEOMETRIES)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if q.shape[1] != x.shape[1]:
        raise SemblanceError(f"queries have {q.shape[1]} columns and items {x.shape[1]}: both must come from one model")
    if not 1 <= k <= len(x) - leaving_out:
        left = f"{len(x)} items{' of which each query leaves one out' if leaving_out else ''}"
        raise SemblanceError(f"k is {k}, but there are {left}: give a k from 1 to {len(x) - leaving_out}")


def _unit(z: Tensor) -> Tensor:
    """Rows of length 1; a zero row stays zero."""
    length: Tensor = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    return z / length.clamp_min(torch.finfo(z.dtype).tiny)


def _blocks(q: Tensor, x: Tensor, bias: Tensor | None, absent: Tensor | None) -> Iterator[tuple[int, int, Tensor]]:
    """Scores of each block of queries with each block of items, (row, column, [r, c]), all in one buffer."""
    buffer = torch.empty(min(ROWS, len(q)) * min(COLUMNS, len(x)), dtype=_score_type(q))
    for row in range(0, len(q), ROWS):
        some = q[row : row + ROWS]
        for column in range(0, len(x), COLUMNS):
            part = x[column : column + COLUMNS]
            scores = buffer[: len(some) * len(part)].view(len(some), len(part))
            if q.dtype == torch.int8:
                torch._int_mm(some, part.T, out=scores)
            elif bias is None:
                torch.mm(some, part.T, out=scores)
            else:
                torch.addmm(bias[column : column + COLUMNS], some, part.T, out=scores)
            if absent is not None:
                at = absent[row : row + ROWS] - column
                here = ((at >= 0) & (at < len(part))).nonzero()[:, 0]
                scores[here, at[here]] = -torch.inf if scores.is_floating_point() else LEFT_OUT
            yield row, column, scores


def _score_type(q: Tensor) -> torch.dtype:
    return torch.int32 if q.dtype == torch.int8 else q.dtype


class _Groups:
    """The c largest of each row of scores, by way of group maxima in a buffer that stays."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.buffer = torch.empty(0, dtype=dtype)

    def __call__(self, scores: Tensor, c: int) -> tuple[Tensor, Tensor]:
        """[r, n] -> values [r, c] float32, falling, and columns [r, c]. Group g is the columns g + j n / GROUP."""
        rows, n = scores.shape
        width = n // GROUP
        if width < 4 * c:
            best = scores.float().topk(min(c, n))
            return best.values, best.indices
        main = width * GROUP
        half = main // 2
        if len(self.buffer) < rows * half:
            self.buffer = torch.empty(rows * half, dtype=scores.dtype)
        top = torch.maximum(scores[:, :half], scores[:, half:main], out=self.buffer[: rows * half].view(rows, half))
        while top.shape[1] > width:
            half = top.shape[1] // 2
            top = torch.maximum(top[:, :half], top[:, half:], out=top[:, :half])
        group = top.float().topk(c, sorted=False).indices  # [r, c]
        column = (group[:, :, None] + torch.arange(0, main, width)).flatten(1)  # [r, c * GROUP]
        rest = torch.arange(main, n).expand(rows, -1)  # the columns that fill no group are always candidates
        column = torch.cat([column, rest], 1)
        best = scores.gather(1, column).float().topk(c)
        return best.values, column.gather(1, best.indices)


def _scan(q: Tensor, x: Tensor, k: int, absent: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """float32 throughout: the k largest scores of each query, ties by position."""
    groups = _Groups(torch.float32)
    position = torch.empty(len(q), k, dtype=torch.long)
    similarity = torch.empty(len(q), k)
    seen: list[tuple[Tensor, Tensor]] = []
    for row, column, scores in _blocks(q, x, bias, absent):
        n = scores.shape[1]
        value, index = groups(scores, min(k + 1, n))
        if value.shape[1] > k:
            tied = (value[:, k] == value[:, k - 1]).nonzero()[:, 0]
            value, index = value[:, :k].contiguous(), index[:, :k].contiguous()
            if len(tied):
                index[tied] = _settled(scores[tied], value[tied, k - 1 :], k)
                value[tied] = scores[tied].gather(1, index[tied])
        seen.append((value, index + column))
        if column + n == len(x):
            every, where = (torch.cat(parts, 1) for parts in zip(*seen, strict=True))
            where, every = _ordered(where, every)
            position[row : row + ROWS], similarity[row : row + ROWS] = where[:, :k], every[:, :k]
            seen = []
    return position, similarity


def _settled(scores: Tensor, edge: Tensor, k: int) -> Tensor:
    """[t, n] and the k-th largest value [t, 1] -> columns [t, k]: all above it, and the first of those equal to it."""
    above, equal = scores > edge, scores == edge
    room = k - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1) <= room))
    return chosen.nonzero()[:, 1].view(-1, k)


def _ordered(position: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Rows by falling value, equal values by position."""
    position, order = position.sort(1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    return position.gather(1, order), value


def _int8(z: Tensor, largest: Tensor) -> Tensor:
    """To whole numbers from -127 to 127, `largest` (a scalar or [N, 1]) becoming 127."""
    return (z * (127 / largest.clamp_min(torch.finfo(z.dtype).tiny))).round_().to(torch.int8)


def _rounded(q: Tensor, x: Tensor, k: int, absent: Tensor | None) -> tuple[Tensor, Tensor]:
    """int8 products propose, float32 decides."""
    middle = x.mean(0)
    moved = x - middle
    shift = q @ middle  # [Q]
    step_q, step_x = q.abs().amax(1, keepdim=True) / 127, moved.abs().max() / 127
    unit = (step_q * step_x)[:, 0]  # [Q], a similarity per unit of the int32 score
    # Rounding errs evenly within half a step, a deviation of step / sqrt(12) per number; d of them add up as squares.
    spread = (q.norm(dim=1) * step_x).square() + (step_q[:, 0] * moved.norm(dim=1).max()).square()
    margin = DEVIATIONS * (spread / 12).sqrt()
    groups = _Groups(torch.int32)
    low, items = _int8(q, step_q * 127), _int8(moved, step_x * 127)
    position, similarity = torch.empty(len(q), k, dtype=torch.long), torch.empty(len(q), k)
    unclear = torch.zeros(len(q), dtype=torch.bool)
    seen: list[tuple[Tensor, Tensor]] = []
    more = 2 * k + 8
    for row, column, scores in _blocks(low, items, None, absent):
        value, index = groups(scores, min(more, scores.shape[1]))
        seen.append((value, index + column))
        if column + scores.shape[1] < len(x):
            continue
        rows = slice(row, row + len(scores))
        rough, where = (torch.cat(parts, 1) for parts in zip(*seen, strict=True))
        best = rough.topk(min(more, len(x)))
        where = where.gather(1, best.indices)
        exact = torch.bmm(x[where], q[rows, :, None])[:, :, 0].masked_fill(best.values == LEFT_OUT, -torch.inf)
        where, exact = _ordered(where, exact)
        position[rows], similarity[rows] = where[:, :k], exact[:, :k]
        if where.shape[1] < len(x):
            edge = best.values[:, -1] * unit[rows] + shift[rows]  # what was not named scored no better than this
            unclear[rows] = exact[:, k - 1] <= edge + margin[rows]
            if row == 0 and float(unclear[rows].float().mean()) > HOPELESS:
                return _scan(q, x, k, absent, None)
        seen = []
    again = unclear.nonzero()[:, 0]
    if len(again):
        position[again], similarity[again] = _scan(q[again], x, k, None if absent is None else absent[again], None)
    return position, similarity


def _by_distance(q: Tensor, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """-|q - x| of the chosen, by differences, which lose no digits to |q|^2 - 2 q.x + |x|^2; and their order by it."""
    distance = torch.empty(position.shape)
    for row in range(0, len(q), ROWS):
        rows = slice(row, row + ROWS)
        distance[rows] = (x[position[rows]] - q[rows, None]).norm(dim=2)
    return _ordered(position, -distance)
