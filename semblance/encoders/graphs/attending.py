"""Attending: static attention over the rows of a graph, forward and backward, as one node of autograd's graph.

    h = x W^T,  s = h . a_s,  t = h . a_t        one product with [W; a_s W; a_t W]
    alpha_p = softmax over p in row i of leaky(s_j + t_i),    y_i = f( sum_p drop(alpha_p) h_j + b )
    d alpha_p needs g_i . h_j, and the softmax's correction sum_p alpha_p (g_i . h_j) is g_i . (y_i - b): one number a
    node, so one gather of g_i serves the transposed sum and the scores.

alpha is stored by edge and head, nothing else is of the size of the edges. Rows hold several heads side by side; the
weight of a head is spread over its lanes by a shuffle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.encoders.graphs.fused import product_padded
from semblance.geometry.graph import Graph
from semblance.geometry.lent import lender_of
from semblance.geometry.products import NONE
from semblance.geometry.rows import (
    FLAGS,
    MOST,
    add,
    blocks,
    clear,
    compiled,
    dot,
    lanes_of,
    new,
    over_rows,
    place_of,
    positive,
    put,
    reduced,
    slot_of,
    wide_of,
    width_of,
)

WIDEST = 256
"""Floats of the widest head: more go by edges."""


def attended(
    graph: Graph, x: Tensor, weight: Tensor, bias: Tensor | None, heads: int, slope: float, dropout: float, bend: bool
) -> Tensor:
    """float32 x [V, f], weight [heads * d + 2 heads, f]: the map, then what scores sources, then targets -> [V, heads
    * d]."""
    y: Tensor = _Attended.apply(x, weight, bias, graph, heads, slope, dropout, bend)
    return y


def groups(heads: int, each: int) -> list[tuple[int, int]]:
    """(first head, heads) that pass together: as many as fit into a vector value."""
    step = max(1, MOST // each)
    return [(first, min(step, heads - first)) for first in range(0, heads, step)]


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        graph: Graph,
        heads: int,
        slope: float,
        dropout: float,
        bend: bool,
    ) -> Tensor:
        rows = graph.rows()
        lender = lender_of(rows)
        width = len(weight) - 2 * heads
        h = product_padded(x, weight, lender)
        scores = lender.lend(len(x), 2 * heads)
        scores.copy_(h[:, width : width + 2 * heads])
        alpha = lender.lend(len(rows.index), heads)
        flat, table = alpha.numpy().reshape(-1), scores.numpy()
        over_rows(rows.start, lambda a, z: _scores(rows.start, rows.index, table, heads, slope, flat, a, z))
        alpha.exp_()
        over_rows(rows.start, lambda a, z: _normalise(rows.start, flat, heads, a, z))
        used = F.dropout(alpha, dropout) if dropout else alpha
        y = lender.lend(len(x), width)
        source, target, weights = h.numpy(), y.numpy(), used.numpy().reshape(-1)
        each = width // heads
        shift = NONE if bias is None else np.concatenate([bias.detach().numpy(), np.zeros(WIDEST, np.float32)])

        def work(first: int, last: int) -> None:
            for head, many in groups(heads, each):
                _attend(
                    wide_of(width_of(many * each)), (0,) * many, (0,) * each, rows.start, rows.index, weights, heads, head,
                    source, head * each, shift, bend, target, many * each, first, last,
                )  # fmt: skip

        over_rows(rows.start, work)
        ctx.save_for_backward(x, weight, bias, h, scores, alpha, used, y)
        ctx.graph, ctx.heads, ctx.slope, ctx.bend = graph, heads, slope, bend
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight, bias, h, scores, alpha, used, y = ctx.saved_tensors
        heads, slope, columns = ctx.heads, ctx.slope, ctx.graph.columns()
        lender = lender_of(ctx.graph.rows())
        width = y.shape[1]
        each = width // heads
        lines = blocks(width)
        held = lender.lend(
            len(y), max(lines[0] * lines[1], width)
        )  # padded: rows are read to the width of the last group
        correction = lender.lend(len(y), heads)
        moved = NONE if bias is None else bias.detach().numpy()
        arrays = (g.contiguous().numpy(), y.numpy(), moved, ctx.bend, held.numpy(), correction.numpy())
        totals: dict[int, np.ndarray] = {}

        def prepare(first: int, last: int) -> None:
            totals[first] = np.zeros(width, np.float32)
            _prepare(*arrays, totals[first], first, last)

        over_rows(columns.start, prepare)
        of_bias = None if bias is None else torch.from_numpy(sum(totals[first] for first in sorted(totals)))
        of_h = lender.lend(*h.shape)
        if h.shape[1] > width + 2 * heads:
            of_h[:, width + 2 * heads :] = 0
        seen = ctx.graph.once("places in rows", lambda: _places(ctx.graph))
        parts: dict[int, np.ndarray] = {}
        table, gradient, source, out = scores.numpy(), held.numpy(), h.numpy(), of_h.numpy()
        flat, weights = alpha.numpy().reshape(-1), used.numpy().reshape(-1)
        # What an edge reads and adds of its target stands in one cache line: t, correction, gradient of t.
        nodes = np.stack([table[:, heads:], correction.numpy(), np.zeros_like(correction.numpy())], 2)

        def work(first: int, last: int) -> None:
            part = nodes if (first, last) == (0, len(y)) else nodes.copy()
            for head, many in groups(heads, each):
                _attend_back(
                    wide_of(width_of(many * each)), (0,) * many, (0,) * each, columns.start, columns.index, seen, weights,
                    flat, heads, head, table, slope, gradient, source, head * each, out, width + head, many * each,
                    part, first, last,
                )  # fmt: skip
            parts[first] = part

        over_rows(columns.start, work)
        of_h[:, width + heads : width + 2 * heads] = torch.from_numpy(
            sum(parts[first][:, :, 2] for first in sorted(parts))
        )
        of_weight = of_h.T @ x
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = lender.lend(*x.shape)
            torch.mm(of_h[:, : len(weight)], weight, out=of_x)
        return of_x, of_weight[: len(weight)], of_bias, None, None, None, None, None


def _places(graph: Graph) -> np.ndarray:
    """int32 [E]: for every entry of the columns, where the same edge stands in the rows."""
    rows, columns = graph.rows(), graph.columns()
    place = np.empty(len(rows.order), np.int32)
    place[rows.order] = np.arange(len(place), dtype=np.int32)
    return place[columns.order]


@intrinsic
def add_each(typing: Any, wide: Any, many: Any, each: Any, acc: Any, w: Any, q: Any, x: Any, at: Any) -> Any:
    """acc += w[q + head of the lane] x[at ...]."""
    heads, size = many.count, each.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        few = ir.VectorType(vector.element, heads)
        told = b.load(place_of(context, b, signature.args[4], given[4], given[5], few), align=4)
        lanes = [min(lane // size, heads - 1) for lane in range(vector.count)]
        told = b.shuffle_vector(told, told, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), lanes))
        slot = slot_of(b, given[3], wide)
        row = b.load(place_of(context, b, signature.args[6], given[6], given[7], vector), align=4)
        row = b.fmul(told, row, flags=FLAGS)
        b.store(b.fadd(b.load(slot, align=64), row, flags=FLAGS), slot, align=64)
        return context.get_dummy_value()

    return types.void(wide, many, each, acc, w, types.int64, x, types.int64), generate


@intrinsic
def dots(typing: Any, wide: Any, many: Any, each: Any, x: Any, at: Any, y: Any, to: Any, out: Any) -> Any:
    """out[head] = x[at ...] . y[to ...] over the lanes of a head."""
    heads, size = many.count, each.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        one = b.load(place_of(context, b, signature.args[3], given[3], given[4], vector), align=4)
        two = b.load(place_of(context, b, signature.args[5], given[5], given[6], vector), align=4)
        product = b.fmul(one, two, flags=FLAGS)
        whole = ir.VectorType(vector.element, heads)
        found = ir.Constant(whole, ir.Undefined)
        for head in range(heads):
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(head * size, (head + 1) * size)))
            total = reduced(b, b.shuffle_vector(product, product, lanes))
            found = b.insert_element(found, total, ir.Constant(ir.IntType(32), head))
        none = ir.Constant(ir.IntType(64), 0)
        b.store(found, place_of(context, b, signature.args[7], given[7], none, whole), align=4)
        return context.get_dummy_value()

    return types.void(wide, many, each, x, types.int64, y, types.int64, out), generate


@compiled
def _scores(start, index, table, heads, slope, e, first, last):  # type: ignore[no-untyped-def]
    """e = leaky(s_j + t_i) less its maximum over the row; table is [s | t]."""
    leak = np.float32(slope)
    for i in range(first, last):
        for head in range(heads):
            t, most = table[i, heads + head], np.float32(-np.inf)
            for p in range(start[i], start[i + 1]):
                v = table[index[p], head] + t
                v = v if v > 0 else leak * v
                e[p * heads + head] = v
                most = max(most, v)
            for p in range(start[i], start[i + 1]):
                e[p * heads + head] -= most


@compiled
def _normalise(start, e, heads, first, last):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        for head in range(heads):
            total = np.float32(0)
            for p in range(start[i], start[i + 1]):
                total += e[p * heads + head]
            share = np.float32(1) / total
            for p in range(start[i], start[i + 1]):
                e[p * heads + head] *= share


@compiled
def _attend(  # type: ignore[no-untyped-def]
    wide, many, each, start, index, w, heads, head, h, at, bias, bend, out, count, first, last
):
    acc = new(wide)
    stride, step = h.shape[1], out.shape[1]
    for i in range(first, last):
        clear(wide, acc)
        for p in range(start[i], start[i + 1]):
            place = np.int64(index[p]) * stride + at
            if len(many) == 1:
                add(wide, acc, w[p * heads + head], h, place)
            else:
                add_each(wide, many, each, acc, w, p * heads + head, h, place)
        if len(bias):
            add(wide, acc, np.float32(1), bias, at)
        if bend:
            positive(wide, acc)
        put(wide, acc, out, i * step + at, count)


@compiled
def _prepare(g, y, bias, bend, out, correction, total, first, last):  # type: ignore[no-untyped-def]
    """out = g before the ReLU, followed by zeros; correction [V, heads] = out . (y - bias); total: the sum of out's
    rows."""
    heads, width = correction.shape[1], g.shape[1]
    each = width // heads
    for i in range(first, last):
        for k in range(width):
            v = g[i, k] if not bend or y[i, k] > 0 else np.float32(0)
            out[i, k] = v
            total[k] += v
        for k in range(width, out.shape[1]):
            out[i, k] = 0
        for head in range(heads):
            product = np.float32(0)
            if len(bias):
                for k in range(head * each, (head + 1) * each):
                    product += out[i, k] * (y[i, k] - bias[k])
            else:
                for k in range(head * each, (head + 1) * each):
                    product += out[i, k] * y[i, k]
            correction[i, head] = product


@compiled
def _attend_back(  # type: ignore[no-untyped-def]
    wide, many, each, start, index, seen, w, alpha, heads, head, table, slope, g, h, at, of_h, to, count, part,
    first, last,
):  # fmt: skip
    """Columns of the transposed sum into of_h[:, at ...], the scores' gradient of sources into of_h[:, to ...], that of
    targets added to part [V, heads, 2]."""
    acc = new(wide)
    stride, step, leak = h.shape[1], g.shape[1], np.float32(slope)
    products, sums = np.empty(len(many), np.float32), np.empty(len(many), np.float32)
    for j in range(first, last):
        clear(wide, acc)
        sums[:] = 0
        total = np.float32(0)
        for p in range(start[j], start[j + 1]):
            i = np.int64(index[p])
            q = np.int64(seen[p]) * heads + head
            if len(many) == 1 and (heads == 1 or 4 * len(wide) == len(each)):  # no lane of another head
                add(wide, acc, w[q], g, i * step + at)
                d = w[q] * dot(wide, g, i * step + at, h, j * stride + at) - alpha[q] * part[i, head, 1]
                d = d if table[j, head] + part[i, head, 0] > 0 else leak * d
                total += d
                part[i, head, 2] += d
            else:
                add_each(wide, many, each, acc, w, q, g, i * step + at)
                dots(wide, many, each, g, i * step + at, h, j * stride + at, products)
                for k in range(len(many)):
                    d = w[q + k] * products[k] - alpha[q + k] * part[i, head + k, 1]
                    d = d if table[j, head + k] + part[i, head + k, 0] > 0 else leak * d
                    sums[k] += d
                    part[i, head + k, 2] += d
        put(wide, acc, of_h, j * stride + at, count)
        sums[0] += total
        for k in range(len(many)):
            of_h[j, to + k] = sums[k]
