"""Fused steps of message passing: a sum over neighbours, a linear map, a bias and a ReLU as one node of autograd's
graph.

    y = f( A x W^T + b ),    A as in `geometry.products.spread`, f the ReLU or nothing

A (x W^T) = (A x) W^T: what is narrower is passed over the edges, and where x wants no gradient the sum comes first,
since its transposed pass then falls away. Rows are worked on in tiles that stay in the cache between sum, product and
ReLU; what is large is lent (`geometry.lent`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.geometry.graph import Rows
from semblance.geometry.lent import Lender, lender_of
from semblance.geometry.products import Factors, summed
from semblance.geometry.rows import TASKS, TILE, WORTH_SHARING, blocks
from semblance.geometry.threads import share


def propagated(
    rows: Rows, columns: Rows, x: Tensor, weight: Tensor, bias: Tensor | None, factors: Factors, bend: bool
) -> Tensor:
    """float32 x [V, f], weight [out, f], bias [out] -> [V, out]; no gradient for the factors."""
    out: Tensor = _Propagated.apply(x, weight, bias, rows, columns, factors, bend)
    return out


def _passed(columns: int) -> int:
    """Floats of a row that pass over an edge, padding included."""
    number, width = blocks(columns)
    return number * width


class _Propagated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rows: Rows,
        columns: Rows,
        factors: Factors,
        bend: bool,
    ) -> Tensor:
        lender = lender_of(rows)
        outputs, inputs = weight.shape
        wanted = ctx.needs_input_grad[0]
        back = any(ctx.needs_input_grad[:2])
        sum_first = _passed(inputs) <= (1 if wanted or not back else 2) * _passed(outputs)
        if sum_first:
            out = lender.lend(len(rows.start) - 1, outputs)
            turned = weight.detach().T

            def product(sums: Tensor, first: int, last: int) -> None:
                part = out[first:last]
                if bias is None:
                    torch.mm(sums[first:last], turned, out=part)
                else:
                    torch.addmm(bias.detach(), sums[first:last], turned, out=part)
                if bend:
                    part.relu_()

            kept = summed(rows, x, factors, lender, after=product)
        else:
            kept = x
            mapped = product_padded(x, weight, lender)
            out = summed(rows, mapped, factors, lender, bias, bend, columns=outputs)
        ctx.save_for_backward(kept, weight, out if bend else None)
        ctx.rows, ctx.columns, ctx.factors, ctx.sum_first, ctx.biased = (
            rows,
            columns,
            factors,
            sum_first,
            bias is not None,
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        kept, weight, out = ctx.saved_tensors
        lender, factors = lender_of(ctx.rows), ctx.factors
        wanted = ctx.needs_input_grad[0]
        if ctx.sum_first:
            of_weight, of_bias, of_sums = back_through(g, out, kept, weight, lender, wanted, ctx.biased)
            of_x = None if of_sums is None else summed(ctx.columns, of_sums, factors.turned(), lender)
            return of_x, of_weight, of_bias, None, None, None, None
        bent, of_bias = masked(g, out, lender, ctx.biased)
        of_mapped = summed(ctx.columns, bent, factors.turned(), lender, columns=len(weight))
        of_x = None
        if wanted:
            of_x = lender.lend(len(of_mapped), weight.shape[1])
            torch.mm(of_mapped, weight, out=of_x)
        return of_x, of_mapped.T @ kept, of_bias, None, None, None, None


def product_padded(x: Tensor, weight: Tensor, lender: Lender) -> Tensor:
    """x W^T [V, out], its rows followed by zeros up to the width in which they pass over edges."""
    wide = _passed(len(weight))
    whole = weight.detach()
    if wide != len(weight):
        whole = torch.zeros(wide, weight.shape[1])
        whole[: len(weight)] = weight.detach()
    mapped = lender.lend(len(x), wide)
    return torch.mm(x.detach(), whole.T, out=mapped)


def back_through(
    g: Tensor, out: Tensor | None, sums: Tensor, weight: Tensor, lender: Lender, wanted: bool, biased: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of out = f( sums W^T + b ) for W, b and (if wanted) the sums, tile by tile, on as many threads as torch
    has."""
    g, rows = g.contiguous(), len(g)
    threads = torch.get_num_threads()
    parts = 1 if threads == 1 or rows * weight.numel() < WORTH_SHARING * 64 else TASKS * threads
    of_weights, of_biases = torch.zeros(parts, *weight.shape), torch.zeros(parts, len(weight))
    of_sums = lender.lend(rows, weight.shape[1]) if wanted else None
    tiles = lender.lend(parts, min(TILE, rows), len(weight)) if out is not None else None

    def work(part: int) -> None:
        for first in range(rows * part // parts, rows * (part + 1) // parts, TILE):
            last = min(first + TILE, rows * (part + 1) // parts)
            tile = g[first:last]
            if out is not None and tiles is not None:
                tile = bent(tile, out[first:last], tiles[part, : last - first])
            of_weights[part].addmm_(tile.T, sums[first:last])
            if biased:
                of_biases[part] += tile.sum(0)
            if of_sums is not None:
                torch.mm(tile, weight, out=of_sums[first:last])

    share([partial(work, part) for part in range(parts)], min(threads, parts))
    return of_weights.sum(0), of_biases.sum(0) if biased else None, of_sums


def masked(g: Tensor, out: Tensor | None, lender: Lender, biased: bool) -> tuple[Tensor, Tensor | None]:
    """The gradient before the ReLU whose answer is `out` (None: no ReLU), and its sum over rows."""
    if out is not None:
        g = bent(g.contiguous(), out, lender.lend(*g.shape))
    return g, g.sum(0) if biased else None


def bent(g: Tensor, out: Tensor, into: Tensor) -> Tensor:
    """g where the ReLU let something through, 0 elsewhere."""
    return torch.ops.aten.threshold_backward.grad_input(g, out, 0, grad_input=into)
