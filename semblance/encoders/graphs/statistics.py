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
from numba.extending import intrinsic
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.geometry.graph import Graph, Rows
from semblance.geometry.lent import lender_of
from semblance.geometry.products import Factors, padded, summed
from semblance.geometry.rows import (
    FLAGS,
    compiled,
    lanes_of,
    new,
    over_columns,
    over_rows,
    place_of,
    put,
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
        ready = source.shape[1] == width and source.is_contiguous()
        u = source.detach().numpy() if ready else padded(source, 1, width, lender).numpy()
        c = np.empty((0, 0), np.float32) if target is None else target.detach().contiguous().numpy()
        out = lender.lend(len(source), len(codes) * columns)
        means = lender.lend(len(source), columns)
        chosen = lender.lend(len(source), 2 * columns, dtype=torch.int32)
        order = by_degree(graph)[0]
        where = _starts(rows, order)

        def work(first: int, last: int) -> None:
            for at in range(0, width, step):
                _observe_rows(
                    wide_of(step), rows.start, rows.index, order, u, c, at, min(step, columns - at), codes,
                    out.numpy(), means.numpy(), chosen.numpy(), first, last,
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
        arrays = (g.numpy(), out.numpy(), means.numpy())
        over_rows(
            _starts(rows, order),
            lambda first, last: _back(rows.start, order, *arrays, codes, linear.numpy(), c, first, last),
        )
        for place, code in enumerate(codes.tolist()):
            if code in (MAX, MIN):
                half = 0 if code == MAX else columns
                given = (rows.start, order, g.numpy(), place * columns, chosen.numpy(), half, of_source.numpy())
                over_columns(columns, lambda a, z, given=given: _scatter(*given, a, z))
        if set(codes.tolist()) - {MAX, MIN}:
            pulled = summed(graph.columns(), linear, Factors(), lender)
            of_source += pulled[:, :columns]
            if spreads:
                of_source.addcmul_(source, pulled[:, columns:])
        return of_source, of_target, None, None


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
            b.store(_everywhere(b, given[4], integers), b.bitcast(slot, integers.as_pointer()), align=64)
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
        number = _everywhere(b, given[4], integers)
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


def _everywhere(b: Any, value: Any, vector: Any) -> Any:
    """An integer in every lane."""
    u = ir.Constant(vector, ir.Undefined)
    zeros = ir.Constant(vector, [0] * vector.count)
    return b.shuffle_vector(b.insert_element(u, value, ir.Constant(ir.IntType(32), 0)), u, zeros)


@compiled
def _observe_rows(  # type: ignore[no-untyped-def]
    wide, start, index, order, u, c, at, count, codes, out, means, chosen, first, last
):
    held = (new(wide), new(wide), new(wide), new(wide), new(wide), new(wide), new(wide))
    width, columns, stride = 4 * len(wide), means.shape[1], u.shape[1]
    found = np.empty((7, width), np.float32)
    whole = found.view(np.int32)
    moved = np.zeros(width, np.float32)
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
        for k in range(7):
            put(wide, held[k], found, k * width, width)
        share = np.float32(1) / np.float32(z - a)
        for k in range(count):
            mean = found[1, k] * share
            found[2, k] = max(found[2, k] * share - mean * mean, np.float32(0))
            found[1, k] = found[0, k] + mean
            means[r, at + k] = found[1, k]
            chosen[r, at + k] = whole[5, k]
            chosen[r, columns + at + k] = whole[6, k]
        if len(c):
            for k in range(count):
                moved[k] = c[i, at + k]
        for place in range(len(codes)):
            code, to = codes[place], place * columns + at
            if code == MEAN:
                for k in range(count):
                    out[r, to + k] = found[1, k] + moved[k]
            elif code == MAX:
                for k in range(count):
                    out[r, to + k] = found[3, k] + moved[k]
            elif code == MIN:
                for k in range(count):
                    out[r, to + k] = found[4, k] + moved[k]
            elif code == SUM:
                for k in range(count):
                    out[r, to + k] = (found[1, k] + moved[k]) * np.float32(z - a)
            elif code == STD:
                for k in range(count):
                    out[r, to + k] = np.sqrt(found[2, k] + SMALL)
            else:
                for k in range(count):
                    v = found[2, k]
                    out[r, to + k] = np.sqrt(v) if v > SMALL else np.float32(0)


@compiled
def _back(start, order, g, out, means, codes, linear, c, first, last):  # type: ignore[no-untyped-def]
    """Row i sends P_i + u_j Q_i to every neighbour: linear[i] = [P | Q]; c's gradient is the sum of what moves with
    it."""
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
        linear[i, :columns] = p_sum
        if linear.shape[1] > columns:
            linear[i, columns:] = q_sum
        if len(c):
            c[i] = moved


@compiled
def _scatter(start, order, g, at, chosen, half, out, first, last):  # type: ignore[no-untyped-def]
    """out[who gave it, k] += g[r, at + k] for the columns first .. last: threads share columns, so none meet."""
    for r in range(len(order)):
        i = order[r]
        if start[i + 1] > start[i]:
            for k in range(first, last):
                out[chosen[r, half + k], k] += g[r, at + k]
