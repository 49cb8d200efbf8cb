"""Blocks times rows for compiled code: the d rows of a node's stalk, w floats each, and d x d blocks (or their diagonal).

    rows     x [n d, w] float32, w = 8 or a multiple of 16: node j has the d rows from j d on
    blocks   c [m, k] float32: k = d^2 a whole block (row by row), k = d its diagonal (for d > 1)

LLVM vector code for numba, as in `lanes.py`: sizes are types. What is held stays in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from semblance.geometry.lanes import FAST, FLOAT, INT32, INT64, LANES, load, plus, pointer, store, vector


def padded(width: int) -> int:
    """The width of a row of this many floats in whole vectors: 8, or the next multiple of 16."""
    return 8 if width <= 8 else -(-width // LANES) * LANES


def _all(b: Any, number: Any, lanes: int) -> Any:
    """A number in every lane."""
    none = ir.Constant(vector(lanes), ir.Undefined)
    one = b.insert_element(none, number, INT32(0))
    return b.shuffle_vector(one, none, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


def _pieces(w: int) -> list[tuple[int, int]]:
    """Offset and width of the vectors that a row is made of."""
    lanes = min(LANES, w)
    return [(at, lanes) for at in range(0, w, lanes)]


def _entry(k: int, d: int, a: int, b: int) -> int | None:
    """Where the entry (a, b) of a block stands; None: it is 0."""
    if k == d * d:
        return a * d + b
    return a if a == b else None


@intrinsic
def new_rows(typing: Any, d: Any, w: Any) -> Any:
    """Room for the d rows of one cell, which the compiler keeps in registers."""
    floats = d.count * w.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = cgutils.alloca_once(b, ir.ArrayType(FLOAT, floats))
        place.align = 64
        return b.bitcast(place, FLOAT.as_pointer())

    return types.CPointer(types.float32)(d, w), generate


@intrinsic
def get_rows(typing: Any, held: Any, x: Any, j: Any, d: Any, w: Any) -> Any:
    """held = the rows of cell j."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[1], given[1], b.mul(given[2], INT64(d.count * w.count)))
        for at, lanes in _pieces(w.count):
            for a in range(d.count):
                store(b, load(b, place, a * w.count + at, lanes), given[0], a * w.count + at)
        return context.get_dummy_value()

    return types.void(held, x, types.int64, d, w), generate


@intrinsic
def put_rows(typing: Any, held: Any, x: Any, j: Any, d: Any, w: Any) -> Any:
    """The rows of cell j = held."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[1], given[1], b.mul(given[2], INT64(d.count * w.count)))
        for at, lanes in _pieces(w.count):
            for a in range(d.count):
                store(b, load(b, given[0], a * w.count + at, lanes), place, a * w.count + at)
        return context.get_dummy_value()

    return types.void(held, x, types.int64, d, w), generate


def _product(typing: Any, onto: Any, c: Any, q: Any, t: Any, j: Any, d: Any, w: Any, k: Any, how: str) -> Any:
    """onto = or -= block q (or its transpose) times the rows of cell j; `onto` is held rows, or (array, cell)."""
    size_, width, entries = d.count, w.count, k.count
    in_memory = isinstance(onto, types.BaseTuple)

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        target, block, which, rows, cell = given[:5]
        stride = INT64(size_ * width)
        if in_memory:
            kinds = signature.args[0]
            array, at = cgutils.unpack_tuple(b, target, 2)
            target = pointer(context, b, kinds[0], array, b.mul(at, stride))
        numbers = pointer(context, b, signature.args[1], block, b.mul(which, INT64(entries)))
        source = pointer(context, b, signature.args[3], rows, b.mul(cell, stride))
        factors = []
        for e in range(entries):
            number = b.load(b.gep(numbers, [INT64(e)]))
            factors.append(number if how == "set" else b.fneg(number))
        for at, lanes in _pieces(width):
            theirs = [load(b, source, a * width + at, lanes) for a in range(size_)]
            for a in range(size_):
                total = None if how == "set" else load(b, target, a * width + at, lanes)
                for other in range(size_):
                    spot = _entry(entries, size_, *((other, a) if how == "turned" else (a, other)))
                    if spot is not None:
                        total = plus(b, total, _all(b, factors[spot], lanes), theirs[other])
                store(b, total, target, a * width + at)
        return context.get_dummy_value()

    return types.void(onto, c, types.int64, t, types.int64, d, w, k), generate


@intrinsic
def block_times(typing: Any, held: Any, c: Any, q: Any, t: Any, j: Any, d: Any, w: Any, k: Any) -> Any:
    """held = block q times the rows of cell j."""
    return _product(typing, held, c, q, t, j, d, w, k, "set")


@intrinsic
def less_block(typing: Any, held: Any, c: Any, q: Any, t: Any, j: Any, d: Any, w: Any, k: Any) -> Any:
    """held -= block q times the rows of cell j."""
    return _product(typing, held, c, q, t, j, d, w, k, "less")


@intrinsic
def less_turned(typing: Any, onto: Any, c: Any, q: Any, t: Any, j: Any, d: Any, w: Any, k: Any) -> Any:
    """x_i -= (block q)^T times the rows of cell j; onto = (x, i)."""
    return _product(typing, onto, c, q, t, j, d, w, k, "turned")


@intrinsic
def less_dots(typing: Any, out: Any, q: Any, x: Any, i: Any, y: Any, j: Any, d: Any, w: Any, k: Any) -> Any:
    """out[q, (a, b)] = - x_ia . y_jb for every entry of a block. Sixteen sums across lanes are made together, in 15 steps
    of two shuffles instead of 16 times 4."""
    size_, width, entries = d.count, w.count, k.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        stride = INT64(size_ * width)
        mine = pointer(context, b, signature.args[2], given[2], b.mul(given[3], stride))
        theirs = pointer(context, b, signature.args[4], given[4], b.mul(given[5], stride))
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(entries)))
        spots = [(a, o) for a in range(size_) for o in range(size_) if _entry(entries, size_, a, o) is not None]
        lanes = min(LANES, width)
        for first in range(0, len(spots), lanes):
            sums: list[Any] = []
            for a, o in spots[first : first + lanes]:
                total: Any = None
                for at, _ in _pieces(width):
                    left = load(b, mine, a * width + at, lanes)
                    total = plus(b, total, left, load(b, theirs, o * width + at, lanes))
                sums.append(total)
            found = b.fneg(_across(b, sums, lanes), flags=FAST)
            for e in range(len(sums)):
                b.store(b.extract_element(found, INT32(e)), b.gep(place, [INT64(first + e)]))
        return context.get_dummy_value()

    return types.void(out, types.int64, x, types.int64, y, types.int64, d, w, k), generate


def _across(b: Any, vectors: list[Any], lanes: int) -> Any:
    """The vector whose lane r is the sum over the lanes of vectors[r]."""
    none = ir.Constant(vector(lanes), [0.0] * lanes)
    held, group = [*vectors, *[none] * (lanes - len(vectors))], 1
    while len(held) > 1:
        keep, add = [], []
        for lane in range(lanes):
            base = lane // (2 * group) * (2 * group) + lane % group
            side = lanes if lane % (2 * group) >= group else 0
            keep.append(side + base)
            add.append(side + base + group)
        masks = [ir.Constant(ir.VectorType(INT32, lanes), order) for order in (keep, add)]
        halves = []
        for x, y in zip(held[::2], held[1::2], strict=True):
            if x is none and y is none:
                halves.append(none)
                continue
            halves.append(b.fadd(*(b.shuffle_vector(x, y, mask) for mask in masks), flags=FAST))
        held, group = halves, 2 * group
    return held[0]


@intrinsic
def ahead(typing: Any, x: Any, j: Any, d: Any, w: Any) -> Any:
    """Ask for the rows of cell j before they are needed."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(d.count * w.count)))
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        fetch = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        for line in range(0, d.count * w.count, 16):
            b.call(fetch, [b.bitcast(b.gep(place, [INT64(line)]), byte), INT32(0), INT32(3), INT32(1)])
        return context.get_dummy_value()

    return types.void(x, types.int64, d, w), generate
