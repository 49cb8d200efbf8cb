"""Rows of floats as vector values, for compiled code: numba keeps a loop's sums in memory and checks for aliases;
these keep them in registers, by LLVM's generic vectors, which it fits to what the processor has.

    acc = new(wide)                        a row of floats in registers, 0
    get(wide, acc, x, at)                  acc = x[at : at + width]
    add(wide, acc, w, x, at)               acc += w x[...]
    dot(wide, x, at, y, to)                x[...] . y[...]
    put(wide, acc, out, at, count)         out[at : at + count] = acc, the first `count` of it

`wide` is a tuple whose length says the width in fours: `wide_of(64)`; code is compiled per width and kept on disk.
Arrays are float32 and C-contiguous, positions count floats from their start. A width is 4, 8 or a multiple of 16 up to
MOST; what is wider is passed over in blocks (`blocks`). Rows that are read must be padded to the width (`padded`).

`over_rows` shares rows out to threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from semblance.geometry.threads import share

MOST = 128
"""Floats of the widest vector value: eight registers of AVX-512."""
WORTH_SHARING = 50_000  # entries and rows below which a second thread costs more than it brings
LINE = 16  # floats of a cache line
TILE = 2048  # rows that stay in the cache from one pass to the next
TASKS = 4  # ranges of rows a thread gets: who is disturbed leaves some to the others

# Infinities and nan may come, so no nnan and ninf; products may join sums (contract).
FAST = {"contract", "nsz", "arcp", "afn", "reassoc"}
compiled = njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
FLAGS = ("contract", "nsz")
_float, _int, _long = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def width_of(columns: int) -> int:
    """Columns of a row, padded."""
    return 4 if columns <= 4 else 8 if columns <= 8 else -(-columns // 16) * 16


def blocks(columns: int) -> tuple[int, int]:
    """(number of blocks, width of each) in which rows of so many columns are passed over."""
    number = max(1, -(-columns // MOST))
    return number, width_of(-(-columns // number))


@cache
def wide_of(width: int) -> tuple[int, ...]:
    """The tuple that tells compiled code a width."""
    return (0,) * (width // 4)


def lanes_of(wide: Any) -> Any:
    """The vector type of a width."""
    return ir.VectorType(_float, 4 * wide.count)


def place_of(context: Any, b: Any, kind: Any, array: Any, at: Any, vector: Any) -> Any:
    """Where a row of that vector type stands in an array."""
    first = make_array(kind)(context, b, array).data
    return b.bitcast(b.gep(first, [at]), vector.as_pointer())


def every_lane(b: Any, value: Any, vector: Any) -> Any:
    """A number in every lane of a vector type."""
    u = ir.Constant(vector, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(_int, vector.count), [0] * vector.count)
    return b.shuffle_vector(b.insert_element(u, value, ir.Constant(_int, 0)), u, zeros)


def slot_of(b: Any, acc: Any, wide: Any) -> Any:
    """A row in registers, as a pointer to its vector."""
    return b.bitcast(acc, lanes_of(wide).as_pointer())


@intrinsic
def new(typing: Any, wide: Any) -> Any:
    """A row of zeros; the stack slot becomes registers."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        slot = cgutils.alloca_once(b, lanes_of(wide))
        slot.align = 64
        b.store(ir.Constant(lanes_of(wide), [0.0] * (4 * wide.count)), slot, align=64)
        return b.bitcast(slot, _float.as_pointer())

    return types.CPointer(types.float32)(wide), generate


@intrinsic
def clear(typing: Any, wide: Any, acc: Any) -> Any:
    """acc = 0."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        b.store(ir.Constant(lanes_of(wide), [0.0] * (4 * wide.count)), slot_of(b, given[1], wide), align=64)
        return context.get_dummy_value()

    return types.void(wide, acc), generate


@intrinsic
def get(typing: Any, wide: Any, acc: Any, x: Any, at: Any) -> Any:
    """acc = x[at ...]."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        row = b.load(place_of(context, b, signature.args[2], given[2], given[3], lanes_of(wide)), align=4)
        b.store(row, slot_of(b, given[1], wide), align=64)
        return context.get_dummy_value()

    return types.void(wide, acc, x, types.int64), generate


@intrinsic
def add(typing: Any, wide: Any, acc: Any, w: Any, x: Any, at: Any) -> Any:
    """acc += w x[at ...]."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        slot = slot_of(b, given[1], wide)
        row = b.load(place_of(context, b, signature.args[3], given[3], given[4], lanes_of(wide)), align=4)
        row = b.fmul(every_lane(b, given[2], lanes_of(wide)), row, flags=FLAGS)
        b.store(b.fadd(b.load(slot, align=64), row, flags=FLAGS), slot, align=64)
        return context.get_dummy_value()

    return types.void(wide, acc, types.float32, x, types.int64), generate


@intrinsic
def scale(typing: Any, wide: Any, acc: Any, w: Any) -> Any:
    """acc *= w."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        slot = slot_of(b, given[1], wide)
        b.store(b.fmul(b.load(slot, align=64), every_lane(b, given[2], lanes_of(wide)), flags=FLAGS), slot, align=64)
        return context.get_dummy_value()

    return types.void(wide, acc, types.float32), generate


@intrinsic
def positive(typing: Any, wide: Any, acc: Any) -> Any:
    """acc = max(acc, 0); nan stays."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        slot = slot_of(b, given[1], wide)
        row, none = b.load(slot, align=64), ir.Constant(lanes_of(wide), [0.0] * (4 * wide.count))
        b.store(b.select(b.fcmp_ordered("<", row, none), none, row), slot, align=64)
        return context.get_dummy_value()

    return types.void(wide, acc), generate


@intrinsic
def dot(typing: Any, wide: Any, x: Any, at: Any, y: Any, to: Any) -> Any:
    """x[at ...] . y[to ...]."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        one = b.load(place_of(context, b, signature.args[1], given[1], given[2], vector), align=4)
        two = b.load(place_of(context, b, signature.args[3], given[3], given[4], vector), align=4)
        return reduced(b, b.fmul(one, two, flags=FLAGS))

    return types.float32(wide, x, types.int64, y, types.int64), generate


def reduced(b: Any, row: Any) -> Any:
    """The sum of a vector's lanes."""
    kind = ir.FunctionType(_float, [_float, row.type])
    total = cgutils.get_or_insert_function(b.module, kind, f"llvm.vector.reduce.fadd.v{row.type.count}f32")
    return b.call(total, [ir.Constant(_float, 0.0), row], fastmath=("reassoc",))


@intrinsic
def put(typing: Any, wide: Any, acc: Any, out: Any, at: Any, count: Any) -> Any:
    """out[at : at + count] = acc."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        vector = lanes_of(wide)
        row = b.load(slot_of(b, given[1], wide), align=64)
        place = place_of(context, b, signature.args[2], given[2], given[3], vector)
        whole = b.icmp_signed(">=", given[4], ir.Constant(_long, vector.count))
        with b.if_else(whole) as (then, otherwise):
            with then:
                b.store(row, place, align=4)
            with otherwise:
                lanes = ir.VectorType(_int, vector.count)
                mask = b.icmp_signed(
                    "<", ir.Constant(lanes, list(range(vector.count))), every_lane(b, b.trunc(given[4], _int), lanes)
                )
                kind = ir.FunctionType(ir.VoidType(), [vector, vector.as_pointer(), _int, mask.type])
                name = f"llvm.masked.store.v{vector.count}f32.p0"
                store = cgutils.get_or_insert_function(b.module, kind, name)
                b.call(store, [row, place, ir.Constant(_int, 4), mask])
        return context.get_dummy_value()

    return types.void(wide, acc, out, types.int64, types.int64), generate


def over_rows(
    start: np.ndarray, work: Callable[[int, int], None], after: Callable[[int, int], None] | None = None
) -> None:
    """Call work(first, last) for ranges that cover all rows, on as many threads as torch has; `work` must release the
    interpreter. Ranges hold about equally many entries and no row is shared, so no sum depends on their number.

    after: called with a tile of rows when they are done, on the same thread, while they are in its cache.
    """
    rows, threads = len(start) - 1, torch.get_num_threads()
    cost = int(start[-1]) + rows

    def tiles(first: int, last: int) -> None:
        if after is None:
            work(first, last)
            return
        for at in range(first, last, TILE):
            work(at, min(at + TILE, last))
            after(at, min(at + TILE, last))

    if threads == 1 or cost < WORTH_SHARING:
        tiles(0, rows)
        return
    goals = np.arange(1, TASKS * threads) * (cost / (TASKS * threads))
    inner = np.searchsorted(start + np.arange(rows + 1), goals)
    bounds = [0, *inner.tolist(), rows]
    share([partial(tiles, a, z) for a, z in pairwise(bounds) if a < z], threads)


def over_columns(columns: int, work: Callable[[int, int], None]) -> None:
    """Call work(first, last) for ranges of columns, one a thread: where rows are written in no order."""
    threads = min(torch.get_num_threads(), columns // LINE)
    if threads <= 1:
        work(0, columns)
        return
    bounds = [columns * t // threads // LINE * LINE for t in range(threads)] + [columns]
    share([partial(work, a, z) for a, z in pairwise(bounds)], threads)
