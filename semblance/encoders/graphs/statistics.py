"""Statistics: several summaries of linear messages in one pass over the edges.

    m_ij = u_j + c_i        so every summary is that of u over the row, moved by c_i:
    sum, mean, max, min, std, deviation     (`aggregators.py` says what they are)

Rows come out in the order of their degrees (`by_degree`): what follows scales a summary by the degree, and rows of one
degree share a weight. Back: mean and deviation reach u_j as sum over i of P_i + u_j Q_i, one gather; maximum and
minimum by the index of who gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.geometry.graph import Graph, Rows
from semblance.geometry.lent import Lender, lender_of
from semblance.geometry.products import Factors, padded, summed
from semblance.geometry.rows import (
    FLAGS,
    add,
    compiled,
    every_lane,
    lanes_of,
    new,
    over_columns,
    over_rows,
    place_of,
    put,
    scale,
    slot_of,
    wide_of,
    width_of,
)

KNOWN = ("sum", "mean", "max", "min", "std", "deviation")
SUM, MEAN, MAX, MIN, STD, DEVIATION = range(6)
BLOCK = 64  # columns at a time: seven rows of it fill the registers
SMALL = np.float32(1e-5)


def by_degree(graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, degrees, ends): nodes in ascending order of degree, the distinct degrees, and where each of them ends."""

    def make() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        degree = graph.rows().degree
        order = np.argsort(degree, kind="stable")
        values, counts = np.unique(degree, return_counts=True)
        return order, values, np.cumsum(counts)

    return graph.once("by degree", make)


def statistics(graph: Graph, source: Tensor, target: Tensor | None, names: Sequence[str]) -> Tensor:
    """float32 source u and target c [V, C] -> [V, len(names) * C], row r of node order[r]."""
    codes = np.array([KNOWN.index(name) for name in names])
    found: Tensor = _Statistics.apply(source, target, graph, codes)
    return found


def in_order(graph: Graph, summaries: Tensor) -> Tensor:
    """Summaries by degree -> by node."""
    order = by_degree(graph)[0]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return summaries[torch.from_numpy(place)]


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor | None, graph: Graph, codes: np.ndarray) -> Tensor:
        rows = graph.rows()
        lender = lender_of(rows)
        columns = source.shape[1]
        width = width_of(columns) if columns <= BLOCK else -(-columns // BLOCK) * BLOCK
        step = min(width, BLOCK)
        u = ready_rows(source, width, lender)
        c = np.empty((0, 0), np.float32) if target is None else ready_rows(target, width, lender)
        out = lender.lend(len(source), len(codes) * columns)
        means = lender.lend(len(source), columns)
        chosen = lender.lend(len(source), 2 * columns, dtype=torch.int32)
        order = by_degree(graph)[0]
        where = _starts(rows, order)

        def work(first: int, last: int) -> None:
            for at in range(0, width, step):
                _observe_rows(
                    wide_of(step), rows.start, rows.index, order, u, c, at, min(step, columns - at), codes,
                    out.numpy(), means.numpy(), chosen.view(torch.float32).numpy(), first, last,
                )  # fmt: skip

        over_rows(where, work)
        ctx.save_for_backward(source, out, means, chosen)
        ctx.graph, ctx.codes = graph, codes
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        source, out, means, chosen = ctx.saved_tensors
        graph, codes = ctx.graph, ctx.codes
        rows, lender = graph.rows(), lender_of(graph.rows())
        count, columns = source.shape
        order, g = by_degree(graph)[0], g.contiguous()
        spreads = bool(set(codes.tolist()) & {STD, DEVIATION})
        linear = lender.lend(count, (1 + spreads) * columns)
        of_source = lender.lend(count, columns).zero_()
        of_target = lender.lend(count, columns) if ctx.needs_input_grad[1] else None
        c = np.empty((0, 0), np.float32) if of_target is None else of_target.numpy()
        arrays = (g.numpy(), out.numpy(), means.numpy(), codes, chosen.numpy(), linear.numpy())
        here, one = of_source.numpy(), torch.get_num_threads() == 1
        given = here if one else here[:0]
        over_rows(_starts(rows, order), lambda first, last: _back(rows.start, order, *arrays, given, c, first, last))
        if not one and set(codes.tolist()) & {MAX, MIN}:
            over_columns(columns, lambda a, z: _give_all(rows.start, order, arrays[0], codes, arrays[4], here, a, z))
        if set(codes.tolist()) - {MAX, MIN}:
            pulled = summed(graph.columns(), linear, Factors(), lender)
            of_source += pulled[:, :columns]
            if spreads:
                of_source.addcmul_(source, pulled[:, columns:])
        return of_source, of_target, None, None


def ready_rows(x: Tensor, width: int, lender: Lender) -> np.ndarray:
    """Rows of that width: x itself, or x and zeros."""
    if x.shape[1] == width and x.is_contiguous():
        return x.detach().numpy()
    return padded(x, 1, width, lender).numpy()


def _starts(rows: Rows, order: np.ndarray) -> np.ndarray:
    """Where the entries of the ordered rows would start: what shares work out evenly."""
    return np.concatenate([[0], np.cumsum(rows.degree[order])])


@intrinsic
def begin(typing: Any, wide: Any, held: Any, x: Any, at: Any, j: Any) -> Any:
    """held: (first, sum, square, most, least, who, whom) as after one message."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        slots, integers = _slots(b, given[1], wide)
        row = b.load(place_of(context, b, signature.args[2], given[2], given[3], vector), align=4)
        none = ir.Constant(vector, [0.0] * vector.count)
        for slot, value in zip(slots[:5], (row, none, none, row, row), strict=True):
            b.store(value, slot, align=64)
        for slot in slots[5:]:
            b.store(every_lane(b, given[4], integers), b.bitcast(slot, integers.as_pointer()), align=64)
        return context.get_dummy_value()

    return types.void(wide, held, x, types.int64, types.int32), generate


@intrinsic
def observe(typing: Any, wide: Any, held: Any, x: Any, at: Any, j: Any) -> Any:
    """One more message; sums are of what it exceeds the first by, so that squares do not cancel."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        slots, integers = _slots(b, given[1], wide)
        row = b.load(place_of(context, b, signature.args[2], given[2], given[3], vector), align=4)
        first, total, square = (b.load(slot, align=64) for slot in slots[:3])
        moved = b.fsub(row, first, flags=FLAGS)
        b.store(b.fadd(total, moved, flags=FLAGS), slots[1], align=64)
        b.store(b.fadd(square, b.fmul(moved, moved, flags=FLAGS), flags=FLAGS), slots[2], align=64)
        number = every_lane(b, given[4], integers)
        for slot, at_slot, sign in ((slots[3], slots[5], ">"), (slots[4], slots[6], "<")):
            held_at = b.bitcast(at_slot, integers.as_pointer())
            best = b.load(slot, align=64)
            better = b.fcmp_ordered(sign, row, best)
            b.store(b.select(better, row, best), slot, align=64)
            b.store(b.select(better, number, b.load(held_at, align=64)), held_at, align=64)
        return context.get_dummy_value()

    return types.void(wide, held, x, types.int64, types.int32), generate


def _slots(b: Any, held: Any, wide: Any) -> Any:
    slots = [slot_of(b, b.extract_value(held, k), wide) for k in range(7)]
    return slots, ir.VectorType(ir.IntType(32), 4 * wide.count)


@intrinsic
def settle(typing: Any, wide: Any, held: Any, share: Any) -> Any:
    """sum and square become mean and variance; share: one over the number of messages."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        slots, _ = _slots(b, given[1], wide)
        vector = lanes_of(wide)
        first, total, square = (b.load(slot, align=64) for slot in slots[:3])
        part = every_lane(b, given[2], vector)
        total = b.fmul(total, part, flags=FLAGS)
        square = b.fsub(b.fmul(square, part, flags=FLAGS), b.fmul(total, total, flags=FLAGS), flags=FLAGS)
        none = ir.Constant(vector, [0.0] * vector.count)
        b.store(b.fadd(first, total, flags=FLAGS), slots[1], align=64)
        b.store(b.select(b.fcmp_ordered("<", square, none), none, square), slots[2], align=64)
        return context.get_dummy_value()

    return types.void(wide, held, types.float32), generate


@intrinsic
def copy(typing: Any, wide: Any, acc: Any, other: Any) -> Any:
    """acc = other."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        b.store(b.load(slot_of(b, given[2], wide), align=64), slot_of(b, given[1], wide), align=64)
        return context.get_dummy_value()

    return types.void(wide, acc, other), generate


@intrinsic
def root(typing: Any, wide: Any, acc: Any, other: Any, small: Any, moved: Any) -> Any:
    """acc = sqrt(other + small) if moved, else sqrt(other) where other > small and 0 elsewhere."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        value, few = b.load(slot_of(b, given[2], wide), align=64), every_lane(b, given[3], vector)
        kind = ir.FunctionType(vector, [vector])
        square_root = cgutils.get_or_insert_function(b.module, kind, f"llvm.sqrt.v{vector.count}f32")
        lifted = b.call(square_root, [b.fadd(value, few)])
        none = ir.Constant(vector, [0.0] * vector.count)
        cut = b.select(b.fcmp_ordered(">", value, few), b.call(square_root, [value]), none)
        b.store(b.select(given[4], lifted, cut), slot_of(b, given[1], wide), align=64)
        return context.get_dummy_value()

    return types.void(wide, acc, other, types.float32, types.boolean), generate


@compiled
def _observe_rows(  # type: ignore[no-untyped-def]
    wide, start, index, order, u, c, at, count, codes, out, means, chosen, first, last
):
    held = (new(wide), new(wide), new(wide), new(wide), new(wide), new(wide), new(wide))
    acc = new(wide)
    columns, stride, total = means.shape[1], u.shape[1], out.shape[1]
    for r in range(first, last):
        i = order[r]
        a, z = start[i], start[i + 1]
        if a == z:
            means[r, at : at + count] = 0
            for place in range(len(codes)):
                value = np.sqrt(SMALL) if codes[place] == STD else np.float32(0)
                out[r, place * columns + at : place * columns + at + count] = value
            continue
        begin(wide, held, u, np.int64(index[a]) * stride + at, index[a])
        for p in range(a + 1, z):
            observe(wide, held, u, np.int64(index[p]) * stride + at, index[p])
        settle(wide, held, np.float32(1) / np.float32(z - a))
        put(wide, held[1], means, r * columns + at, count)
        put(wide, held[5], chosen, 2 * r * columns + at, count)
        put(wide, held[6], chosen, (2 * r + 1) * columns + at, count)
        for place in range(len(codes)):
            code = codes[place]
            if code in (STD, DEVIATION):
                root(wide, acc, held[2], SMALL, code == STD)
            else:
                if code == MAX:
                    copy(wide, acc, held[3])
                elif code == MIN:
                    copy(wide, acc, held[4])
                else:
                    copy(wide, acc, held[1])
                if len(c):
                    add(wide, acc, np.float32(1), c, i * stride + at)
                if code == SUM:
                    scale(wide, acc, np.float32(z - a))
            put(wide, acc, out, r * total + place * columns + at, count)


@compiled
def _back(  # type: ignore[no-untyped-def]
    start, order, g, out, means, codes, chosen, linear, of_source, c, first, last
):
    """Row i sends P_i + u_j Q_i to every neighbour: linear[i] = [P | Q]; c's gradient is the sum of what moves with it.
    What maxima and minima send goes to of_source at once, unless it is empty."""
    columns = means.shape[1]
    p_sum, moved, q_sum = np.zeros(columns, np.float32), np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for r in range(first, last):
        i = order[r]
        degree = start[i + 1] - start[i]
        p_sum[:] = 0
        moved[:] = 0
        q_sum[:] = 0
        if degree:
            share = np.float32(1) / np.float32(degree)
            for place in range(len(codes)):
                code, at = codes[place], place * columns
                if code == SUM:
                    for k in range(columns):
                        p_sum[k] += g[r, at + k]
                        moved[k] += g[r, at + k] * np.float32(degree)
                elif code == MEAN:
                    for k in range(columns):
                        p_sum[k] += g[r, at + k] * share
                        moved[k] += g[r, at + k]
                elif code in (MAX, MIN):
                    for k in range(columns):
                        moved[k] += g[r, at + k]
                else:
                    for k in range(columns):
                        root = out[r, at + k]
                        q = g[r, at + k] * share / max(root, np.float32(1e-20)) if root > 0 else np.float32(0)
                        p_sum[k] -= means[r, k] * q
                        q_sum[k] += q
            if len(of_source):
                _give(g, codes, chosen, r, of_source, 0, columns)
        linear[i, :columns] = p_sum
        if linear.shape[1] > columns:
            linear[i, columns:] = q_sum
        if len(c):
            c[i] = moved


@compiled
def _give(g, codes, chosen, r, out, first, last):  # type: ignore[no-untyped-def]
    """out[who gave it, k] += g[r, k] for maxima and minima and the columns first .. last."""
    columns = out.shape[1]
    for place in range(len(codes)):
        if codes[place] in (MAX, MIN):
            half, at = (0 if codes[place] == MAX else columns), place * columns
            for k in range(first, last):
                out[chosen[r, half + k], k] += g[r, at + k]


@compiled
def _give_all(start, order, g, codes, chosen, out, first, last):  # type: ignore[no-untyped-def]
    """The same of all rows: threads share columns, so none meet."""
    for r in range(len(order)):
        if start[order[r] + 1] > start[order[r]]:
            _give(g, codes, chosen, r, out, first, last)
