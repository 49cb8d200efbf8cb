"""Products: what a sparse matrix, given by its rows of entries, makes of features; the step that all propagation
shares.

    spread(rows, columns, x, weight=None, left=None, right=None, own=None) -> [M, C]

    out_i = left_i ( own_i right_i x_i + sum over entries p = (i <- j) of weight_p right_j x_j )

rows: `Rows` of M targets, columns: `Rows` of V sources, the same entries grouped by their other end (a graph's
`rows()` and `columns()`, a hypergraph's `by_edge()` and `by_node()`: M and V may differ). x: [V, C]. weight: [E] in
the order of the edge list that the rows were made of (`rows.order` points there), or [E, H]: then x is H blocks of
equal width, each with its own weights. left: [M]; right: [V]; own: [V] or a number, where M = V. The gradient reaches
x, weight, left, right, own.

float32 on the CPU is compiled: rows in registers, the transposed product by columns, nothing of size [E, C]; the rest
goes by plain torch operations, with equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.errors import SemblanceError
from semblance.geometry.graph import Rows
from semblance.geometry.lent import Lender, lender_of
from semblance.geometry.rows import add, blocks, clear, compiled, dot, new, over_rows, positive, put, scale, wide_of

NONE = np.empty(0, np.float32)
ONE = np.ones(1, np.float32)


@dataclass(frozen=True)
class Factors:
    """What a sum's terms are multiplied by, as `spread` takes it; none of them has a gradient."""

    weight: Tensor | None = None
    left: Tensor | None = None
    right: Tensor | None = None
    own: Tensor | float | None = None

    def turned(self) -> Factors:
        """Those of the transposed product."""
        return Factors(self.weight, self.right, self.left, self.own)


def spread(
    rows: Rows,
    columns: Rows,
    x: Tensor,
    weight: Tensor | None = None,
    left: Tensor | None = None,
    right: Tensor | None = None,
    own: Tensor | float | None = None,
) -> Tensor:
    """[V, C] -> [M, C]: every target's weighted sum over its sources."""
    targets, sources = len(rows.start) - 1, len(columns.start) - 1
    if len(x) != sources:
        raise SemblanceError(f"x has {len(x)} rows, but there are {sources} sources: give one row for each")
    if own is not None and targets != sources:
        raise SemblanceError(
            f"{targets} targets and {sources} sources differ, so a target has no value of its own: own=None"
        )
    if weight is not None and weight.ndim == 2 and x.shape[1] % weight.shape[1]:
        raise SemblanceError(
            f"rows of {x.shape[1]} do not split into {weight.shape[1]} equal blocks, one for each column of weights"
        )
    learned = [value for value in (left, right, own) if isinstance(value, Tensor) and value.requires_grad]
    if learned and torch.is_grad_enabled():
        scaled = x if right is None else x * right[:, None]
        out = spread(rows, columns, scaled, weight)
        if own is not None:
            out = out + (own[:, None] * scaled if isinstance(own, Tensor) and own.ndim else own * scaled)
        return out if left is None else out * left[:, None]
    if not fits(x):
        return _plainly(rows, x, Factors(weight, left, right, own))
    if weight is not None:
        weight = weight.float()
    answer: Tensor = _Spread.apply(x, weight, rows, columns, Factors(None, left, right, own))
    return answer


def fits(*tensors: Tensor) -> bool:
    """Whether the compiled kernels take these: float32 on the CPU."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" and t.layout == torch.strided for t in tensors)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, rows: Rows, columns: Rows, factors: Factors) -> Tensor:
        ctx.rows, ctx.columns, ctx.factors = rows, columns, factors
        learned = weight is not None and weight.requires_grad
        ctx.save_for_backward(weight, x if learned else None)
        given = Factors(weight, factors.left, factors.right, factors.own)
        return summed(rows, x, given, lender_of(rows))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        weight, x = ctx.saved_tensors
        factors, rows, columns = ctx.factors, ctx.rows, ctx.columns
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            turned = Factors(weight, factors.right, factors.left, factors.own)
            of_x = summed(columns, g, turned, lender_of(rows))
        if ctx.needs_input_grad[1]:
            of_weight = weighed(rows, g, x, weight.shape, factors)
        return of_x, of_weight, None, None, None


def summed(
    rows: Rows,
    x: Tensor,
    factors: Factors,
    lender: Lender,
    bias: Tensor | None = None,
    bend: bool = False,
    columns: int | None = None,
    after: Callable[[Tensor, int, int], None] | None = None,
) -> Tensor:
    """The compiled sum, without gradient: f(out + bias), f the ReLU if `bend`; float32 [V, C] -> [M, C] on lent memory.

    x may hold more columns than the `columns` that count, as padding. after(out, first, last) is called with rows that
    are ready, a tile at a time while they are in the cache.
    """
    weight = factors.weight
    heads = 1 if weight is None or weight.ndim == 1 else weight.shape[1]
    wanted = x.shape[1] if columns is None else columns
    inner = wanted // heads
    number, width = blocks(inner)
    if x.shape[1] == heads * number * width and x.is_contiguous():
        held = x.detach().numpy()
    else:
        held = padded(x[:, :wanted], heads, number * width, lender).numpy()
    out = lender.lend(len(rows.start) - 1, wanted)
    target, wide = out.numpy(), wide_of(width)
    order = rows.order if weight is not None else rows.order[:0]
    values, right, left, own = (_flat(v) for v in (weight, factors.right, factors.left, factors.own))
    shift = NONE if bias is None else np.concatenate([_flat(bias), np.zeros(width, np.float32)])

    def work(first: int, last: int) -> None:
        for head in range(heads):
            for block in range(number):
                at, to = (head * number + block) * width, head * inner + block * width
                _sum_rows(
                    wide, rows.start, rows.index, order, values, heads, head, right, own, left, shift, bend,
                    held, at, target, to, min(width, inner - block * width), first, last,
                )  # fmt: skip

    over_rows(rows.start, work, None if after is None else lambda first, last: after(out, first, last))
    return out


def padded(x: Tensor, heads: int, width: int, lender: Lender) -> Tensor:
    """[V, heads * c] -> contiguous [V, heads * width], every head's block followed by zeros."""
    inner = x.shape[1] // heads
    held = lender.lend(len(x), heads, width)
    held[:, :, :inner] = x.detach().reshape(len(x), heads, inner)
    held[:, :, inner:] = 0
    return held.view(len(x), heads * width)


def weighed(rows: Rows, g: Tensor, x: Tensor, shape: Sequence[int], factors: Factors) -> Tensor:
    """The gradient of the weights: left_i right_j g_i . x_j for every entry (and head), in the order of the edge
    list."""
    heads = 1 if len(shape) == 1 else shape[1]
    lender = lender_of(rows)
    number, width = blocks(x.shape[1] // heads)
    one, two = (padded(t, heads, number * width, lender).numpy() for t in (g, x))
    out = np.zeros((shape[0], heads), np.float32)
    right, left, wide = _flat(factors.right), _flat(factors.left), wide_of(width)
    for head in range(heads):
        for block in range(number):
            at = (head * number + block) * width

            def work(first: int, last: int, at: int = at, head: int = head) -> None:
                _dots(wide, rows.start, rows.index, rows.order, left, right, one, two, at, out, head, first, last)

            over_rows(rows.start, work)
    return torch.from_numpy(out).view(tuple(shape))


def _flat(value: Tensor | float | None) -> np.ndarray:
    if value is None:
        return NONE
    if not isinstance(value, Tensor):
        return np.full(1, value, np.float32)
    return value.detach().float().contiguous().view(-1).numpy()


@compiled
def _sum_rows(  # type: ignore[no-untyped-def]
    wide, start, index, order, weight, heads, head, right, own, left, bias, bend, x, at, out, to, count, first, last
):
    acc = new(wide)
    stride, step = x.shape[1], out.shape[1]
    for i in range(first, last):
        clear(wide, acc)
        if len(weight):
            for p in range(start[i], start[i + 1]):
                j = np.int64(index[p])
                w = weight[order[p] * heads + head]
                add(wide, acc, w * right[j] if len(right) else w, x, j * stride + at)
        elif len(right):
            for p in range(start[i], start[i + 1]):
                j = np.int64(index[p])
                add(wide, acc, right[j], x, j * stride + at)
        else:
            for p in range(start[i], start[i + 1]):
                add(wide, acc, np.float32(1), x, np.int64(index[p]) * stride + at)
        if len(own):
            w = own[i] if len(own) > 1 else own[0]
            add(wide, acc, w * right[i] if len(right) else w, x, i * stride + at)
        if len(left):
            scale(wide, acc, left[i])
        if len(bias):
            add(wide, acc, np.float32(1), bias, to)
        if bend:
            positive(wide, acc)
        put(wide, acc, out, i * step + to, count)


@compiled
def _dots(wide, start, index, order, left, right, g, x, at, out, head, first, last):  # type: ignore[no-untyped-def]
    stride = x.shape[1]
    for i in range(first, last):
        for p in range(start[i], start[i + 1]):
            j = np.int64(index[p])
            w = dot(wide, g, i * stride + at, x, j * stride + at)
            if len(left):
                w *= left[i]
            if len(right):
                w *= right[j]
            out[order[p], head] += w


def ends(rows: Rows) -> tuple[Tensor, Tensor]:
    """Target and source of every entry, int64 [E] each, in the order of the rows."""
    target = torch.repeat_interleave(torch.arange(len(rows.start) - 1), torch.from_numpy(rows.degree))
    return target, torch.from_numpy(rows.index).long()


def _plainly(rows: Rows, x: Tensor, factors: Factors) -> Tensor:
    target, source = ends(rows)
    x = x if factors.right is None else x * factors.right[:, None]
    messages = x[source]
    if factors.weight is not None:
        mine = factors.weight[torch.from_numpy(rows.order)].to(x)
        heads = 1 if mine.ndim == 1 else mine.shape[1]
        wide = messages.view(len(source), heads, x.shape[1] // heads) * mine.view(len(source), heads, 1)
        messages = wide.view(messages.shape)
    out = x.new_zeros(len(rows.start) - 1, x.shape[1]).index_add(0, target, messages)
    own = factors.own
    if own is not None:
        out = out + (own[:, None] * x if isinstance(own, Tensor) and own.ndim else own * x)
    return out if factors.left is None else out * factors.left[:, None]
