"""Lanes for compiled code: sixteen small problems side by side, a vector for each number of a problem.

Loops over a few numbers do not become vector instructions by themselves, and the compiler cannot prove sums unaliased. The
functions here are LLVM vector code for numba, unrolled for matrices of d x d. Sizes are read from the *types* of tuples -
`size(3)` is (0, 0, 0) - so that one kernel is compiled, and cached, once for each size it meets.

    work     a work array [rows, 16] float32; the matrix from row r on has its entry (a, b) in row r + a d + b
    table    [n, k] float32: what a problem reads or writes is a row of it, turned into lanes in registers
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 16
FAST = ("contract", "reassoc", "nsz")
FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


@lru_cache
def size(count: int) -> tuple[int, ...]:
    """A number as a type: a tuple of that many zeros."""
    return (0,) * count


def vector(lanes: int) -> ir.VectorType:
    return ir.VectorType(FLOAT, lanes)


def pointer(context: Any, b: Any, kind: Any, array: Any, floats: Any) -> Any:
    """The address this many floats into an array."""
    return b.gep(make_array(kind)(context, b, array).data, [floats])


def load(b: Any, pointer: Any, offset: int, lanes: int) -> Any:
    at = b.gep(pointer, [INT64(offset)])
    return b.load(b.bitcast(at, vector(lanes).as_pointer()), align=4)


def store(b: Any, value: Any, pointer: Any, offset: int) -> None:
    at = b.gep(pointer, [INT64(offset)])
    b.store(value, b.bitcast(at, value.type.as_pointer()), align=4)


def plus(b: Any, total: Any, x: Any, y: Any) -> Any:
    product = b.fmul(x, y, flags=FAST)
    return product if total is None else b.fadd(total, product, flags=FAST)


def _matrices(work: Any, to: Any, x: Any, y: Any, d: Any, how: str, onto: bool = False) -> Any:
    """In lanes, d x d matrices of d^2 rows each from `x` and `y` on: those from `to` on become (or gain) their product."""
    n = d.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        base = [pointer(context, b, signature.args[0], given[0], b.mul(at, INT64(LANES))) for at in given[1:4]]
        for r in range(n):
            for s in range(n):
                total = load(b, base[0], (r * n + s) * LANES, LANES) if onto else None
                for k in range(n):
                    left = k * n + r if how[0] == "t" else r * n + k
                    right = s * n + k if how[1] == "t" else k * n + s
                    total = plus(
                        b, total, load(b, base[1], left * LANES, LANES), load(b, base[2], right * LANES, LANES)
                    )
                store(b, total, base[0], (r * n + s) * LANES)
        return context.get_dummy_value()

    return types.void(work, types.int64, types.int64, types.int64, d), generate


@intrinsic
def turned_times(typing: Any, work: Any, to: Any, x: Any, y: Any, d: Any) -> Any:
    """X^T Y"""
    return _matrices(work, to, x, y, d, "tn")


@intrinsic
def times_turned(typing: Any, work: Any, to: Any, x: Any, y: Any, d: Any) -> Any:
    """X Y^T"""
    return _matrices(work, to, x, y, d, "nt")


@intrinsic
def times(typing: Any, work: Any, to: Any, x: Any, y: Any, d: Any) -> Any:
    """X Y"""
    return _matrices(work, to, x, y, d, "nn")


@intrinsic
def plus_times(typing: Any, work: Any, to: Any, x: Any, y: Any, d: Any) -> Any:
    """What there is, plus X Y"""
    return _matrices(work, to, x, y, d, "nn", onto=True)


@intrinsic
def cayley(typing: Any, work: Any, to: Any, x: Any, d: Any) -> Any:
    """Rotations (1 + S)^-1 (1 - S) = 2 (1 + S)^-1 - 1 in lanes: d^2 rows from `to` on, of the entries below the diagonal of
    S = -S^T in rows from x on. 1 + S has a positive symmetric part, so that Gauss and Jordan need no pivots."""
    n = d.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        out, source = (pointer(context, b, signature.args[0], given[0], b.mul(at, INT64(LANES))) for at in given[1:3])
        one = ir.Constant(vector(LANES), [1.0] * LANES)
        a = [[one if r == s else None for s in range(n)] for r in range(n)]
        for e, (r, s) in enumerate(below(n)):
            a[r][s] = load(b, source, e * LANES, LANES)
            a[s][r] = b.fneg(a[r][s])
        for k in range(n):
            inverse = b.fdiv(one, a[k][k])
            a[k][k] = one
            a[k] = [b.fmul(v, inverse, flags=FAST) for v in a[k]]
            for r in range(n):
                if r != k:
                    factor = b.fneg(a[r][k])
                    a[r][k] = ir.Constant(vector(LANES), [0.0] * LANES)
                    a[r] = [plus(b, v, factor, w) for v, w in zip(a[r], a[k], strict=True)]
        for r in range(n):
            for s in range(n):
                twice = b.fadd(a[r][s], a[r][s])
                store(b, b.fsub(twice, one) if r == s else twice, out, (r * n + s) * LANES)
        return context.get_dummy_value()

    return types.void(work, types.int64, types.int64, d), generate


@intrinsic
def cayley_back(typing: Any, work: Any, to: Any, m: Any, g: Any, d: Any) -> Any:
    """From the gradient g of rotations m (d^2 rows each) to that of S: -(m + 1)^T g (m + 1)^T / 2, below less above."""
    n = d.count

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        base = [pointer(context, b, signature.args[0], given[0], b.mul(at, INT64(LANES))) for at in given[1:4]]
        one, half = (ir.Constant(vector(LANES), [v] * LANES) for v in (1.0, -0.5))
        held = [[[load(b, p, (r * n + s) * LANES, LANES) for s in range(n)] for r in range(n)] for p in base[1:]]
        turn = [[b.fadd(v, one) if r == s else v for s, v in enumerate(row)] for r, row in enumerate(held[0])]
        left = [[_sum(b, [(turn[k][r], held[1][k][s]) for k in range(n)]) for s in range(n)] for r in range(n)]
        both = [[_sum(b, [(left[r][k], turn[s][k]) for k in range(n)]) for s in range(n)] for r in range(n)]
        for e, (r, s) in enumerate(below(n)):
            store(b, b.fmul(half, b.fsub(both[r][s], both[s][r])), base[0], e * LANES)
        return context.get_dummy_value()

    return types.void(work, types.int64, types.int64, types.int64, d), generate


def below(n: int) -> list[tuple[int, int]]:
    """The entries below the diagonal, row by row."""
    return [(r, s) for r in range(n) for s in range(r)]


def _sum(b: Any, products: list[tuple[Any, Any]]) -> Any:
    total = None
    for x, y in products:
        total = plus(b, total, x, y)
    return total


def _turned(b: Any, held: list[Any]) -> list[Any]:
    """Sixteen vectors of sixteen as the rows of a matrix -> its columns, in four rounds of swapped blocks."""
    distance = LANES // 2
    while distance:
        first = [lane if not lane & distance else LANES + lane - distance for lane in range(LANES)]
        second = [lane + distance if not lane & distance else LANES + lane for lane in range(LANES)]
        masks = [ir.Constant(ir.VectorType(INT32, LANES), order) for order in (first, second)]
        for i in range(LANES):
            if not i & distance:
                x, y = held[i], held[i + distance]
                held[i], held[i + distance] = (b.shuffle_vector(x, y, mask) for mask in masks)
        distance //= 2
    return held


def _narrow(count: int) -> int:
    """Floats that are read or written at once for so many of use."""
    return 4 if count <= 4 else 8 if count <= 8 else LANES


def _resized(b: Any, value: Any, lanes: int) -> Any:
    """A vector cut to its first lanes, or filled up with whatever."""
    have = value.type.count
    if have == lanes:
        return value
    order = [min(lane, have) for lane in range(lanes)]
    return b.shuffle_vector(
        value, ir.Constant(value.type, ir.Undefined), ir.Constant(ir.VectorType(INT32, lanes), order)
    )


def _places(context: Any, b: Any, kind: Any, table: Any, node_kind: Any, node: Any, column: Any) -> list[Any]:
    """For sixteen rows of a table, whose numbers stand in `node`, the address of a column."""
    array = make_array(kind)(context, b, table)
    width = cgutils.unpack_tuple(b, array.shape)[1]
    rows = make_array(node_kind)(context, b, node).data
    out = []
    for lane in range(LANES):
        row = b.load(b.gep(rows, [INT64(lane)]))
        out.append(b.gep(array.data, [b.add(b.mul(row, width), column)]))
    return out


@intrinsic
def lanes_of(typing: Any, work: Any, to: Any, table: Any, node: Any, column: Any, k: Any) -> Any:
    """Rows `to` to `to + k` of the lanes: table[node[lane], column to column + k]. node: int64 [16]. Reads up to 15 floats
    more than it uses, so the table needs that room behind it (what is lent has it)."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(LANES)))
        spots = _places(context, b, signature.args[2], given[2], signature.args[3], given[3], given[4])
        for first in range(0, k.count, LANES):
            use = min(LANES, k.count - first)
            rows = [_resized(b, load(b, spot, first, _narrow(use)), LANES) for spot in spots]
            for e, row in enumerate(_turned(b, rows)[:use]):
                store(b, row, place, (first + e) * LANES)
        return context.get_dummy_value()

    return types.void(work, types.int64, table, node, types.int64, k), generate


@intrinsic
def lanes_of_two(typing: Any, work: Any, to: Any, table: Any, one: Any, at: Any, two: Any, further: Any, k: Any) -> Any:
    """The same of table[one[lane], at ...] + table[two[lane], further ...]."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(LANES)))
        kinds = signature.args
        left = _places(context, b, kinds[2], given[2], kinds[3], given[3], given[4])
        right = _places(context, b, kinds[2], given[2], kinds[5], given[5], given[6])
        for first in range(0, k.count, LANES):
            use = min(LANES, k.count - first)
            wide = _narrow(use)
            sums = [
                b.fadd(load(b, x, first, wide), load(b, y, first, wide), flags=FAST)
                for x, y in zip(left, right, strict=True)
            ]
            for e, row in enumerate(_turned(b, [_resized(b, v, LANES) for v in sums])[:use]):
                store(b, row, place, (first + e) * LANES)
        return context.get_dummy_value()

    return types.void(work, types.int64, table, one, types.int64, two, types.int64, k), generate


def _columns(b: Any, place: Any, first: int, use: int) -> list[Any]:
    """Of sixteen lanes, the `use` rows from `first` on as a vector a lane, 0 behind them."""
    none = ir.Constant(vector(LANES), [0.0] * LANES)
    rows = [load(b, place, (first + e) * LANES, LANES) for e in range(use)]
    return [_resized(b, v, _narrow(use)) for v in _turned(b, [*rows, *[none] * (LANES - use)])]


@intrinsic
def lanes_onto(typing: Any, work: Any, at: Any, table: Any, node: Any, column: Any, k: Any) -> Any:
    """table[node[lane], column to column + k] += the rows from `at` on. Adds 0 to what stands up to 15 floats behind."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(LANES)))
        spots = _places(context, b, signature.args[2], given[2], signature.args[3], given[3], given[4])
        for first in range(0, k.count, LANES):
            use = min(LANES, k.count - first)
            for spot, value in zip(spots, _columns(b, place, first, use), strict=True):
                store(b, b.fadd(load(b, spot, first, _narrow(use)), value, flags=FAST), spot, first)
        return context.get_dummy_value()

    return types.void(work, types.int64, table, node, types.int64, k), generate


@intrinsic
def lanes_onto_one(typing: Any, work: Any, at: Any, table: Any, row: Any, column: Any, k: Any) -> Any:
    """The same where all lanes go to one row: their sum is added once."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(LANES)))
        array = make_array(signature.args[2])(context, b, given[2])
        width = cgutils.unpack_tuple(b, array.shape)[1]
        spot = b.gep(array.data, [b.add(b.mul(given[3], width), given[4])])
        for first in range(0, k.count, LANES):
            use = min(LANES, k.count - first)
            values = _columns(b, place, first, use)
            while len(values) > 1:
                values = [b.fadd(x, y, flags=FAST) for x, y in zip(values[::2], values[1::2], strict=True)]
            store(b, b.fadd(load(b, spot, first, _narrow(use)), values[0], flags=FAST), spot, first)
        return context.get_dummy_value()

    return types.void(work, types.int64, table, types.int64, types.int64, k), generate


@intrinsic
def lanes_put(typing: Any, work: Any, at: Any, table: Any, q: Any, k: Any) -> Any:
    """table[q + lane, 0 to k] = the rows from `at` on, lane after lane: what stands up to 15 floats behind is overwritten,
    which the next rows make good."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        place = pointer(context, b, signature.args[0], given[0], b.mul(given[1], INT64(LANES)))
        start = pointer(context, b, signature.args[2], given[2], b.mul(given[3], INT64(k.count)))
        pieces = [(f, min(LANES, k.count - f)) for f in range(0, k.count, LANES)]
        columns = [_columns(b, place, first, use) for first, use in pieces]
        for lane in range(LANES):
            for (first, _), values in zip(pieces, columns, strict=True):
                store(b, values[lane], start, lane * k.count + first)
        return context.get_dummy_value()

    return types.void(work, types.int64, table, types.int64, k), generate


@intrinsic
def as_float(typing: Any, bits: Any) -> Any:
    """The float32 of these 32 bits."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        return b.bitcast(given[0], FLOAT)

    return types.float32(types.int32), generate
