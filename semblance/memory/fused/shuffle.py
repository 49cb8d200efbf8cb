"""Shuffle: scores of 64 rows from their 4-bit codes, by the processor's byte shuffle.

    score(row) = sum over sub-quantisers m of table[m, code(row, m)]

Sixteen table entries of one byte fit into a vector register, and one instruction looks up as many codes as the register
has bytes (Andre, Kermarrec & Le Scouarnec 2015, "Cache locality is not enough: high-performance nearest neighbor search
with product quantization fast scan"). The instruction is written as an LLVM intrinsic: numba compiles it, and nobody
needs a compiler to install. Everything else is LLVM's generic vectors, which it fits to what the processor has.

What varies: the bytes a shuffle takes - 64 (AVX-512), 32 (AVX2), 16 (SSSE3, ARM), or none: the plain loop, with equal
scores. `choose` looks at the features that numba compiles for.

Layout of a block of 64 rows: [pairs, 64] bytes, a line for two sub-quantisers. Byte j (j < 32) holds the codes of rows
j (low half) and j + 32 (high half) for the even sub-quantiser, byte 32 + j the same for the odd one. A table is laid
out alike: its 16 entries twice for the even and twice for the odd one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numba as nb
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

ROWS = 64
"""Rows in a block, which is also the bytes of a line of codes."""
Values = Any  # of LLVM, which llvmlite does not type

_byte, _short, _int, _long = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_LINE, _WORDS = ir.VectorType(_byte, 64), ir.VectorType(_short, 32)

SHUFFLES = {
    "avx512": (64, "llvm.x86.avx512.pshuf.b.512"),
    "avx2": (32, "llvm.x86.avx2.pshuf.b"),
    "ssse3": (16, "llvm.x86.ssse3.pshuf.b.128"),
    "neon": (16, "llvm.aarch64.neon.tbl1.v16i8"),
}
"""The bytes that one instruction looks up, and its intrinsic."""


def choose() -> str:
    """The best row of SHUFFLES for the processor that numba compiles for, or `plain`."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "neon"
    told = config.CPU_FEATURES
    found = dict(binding.get_host_cpu_features()) if told is None else {
        name.lstrip("+"): not name.startswith("-") for name in told.split(",") if name
    }  # fmt: skip
    for name, feature in (("avx512", "avx512bw"), ("avx2", "avx2"), ("ssse3", "ssse3")):
        if found.get(feature):
            return name
    return "plain"


def scorer(name: str) -> Callable[..., Any]:
    """A function for compiled code: (codes, table, pairs, word, least, scores) -> hits.

    codes, table, scores: addresses of a block [pairs, 64] uint8, of a table [pairs, 64] uint8 and of room for 64 uint16;
    word: a bit for each row that may come in; least: the score from which a row is a hit. Returns a bit for each hit.
    """
    return _plain if name == "plain" else _vector(*SHUFFLES[name])


def _vector(width: int, name: str) -> Callable[..., Any]:
    piece = ir.VectorType(_byte, width)

    def shuffled(b: Values, table: Values, codes: Values) -> Values:
        """64 bytes of a table looked up by 64 codes, in as many instructions as it takes."""
        call = cgutils.get_or_insert_function(b.module, ir.FunctionType(piece, [piece, piece]), name)
        parts = []
        for start in range(0, ROWS, width):
            lanes = list(range(start, start + width))
            parts.append(b.call(call, [_lanes(b, table, table, lanes), _lanes(b, codes, codes, lanes)]))
        while len(parts) > 1:
            size = parts[0].type.count
            parts = [
                _lanes(b, one, two, list(range(2 * size))) for one, two in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]

    @intrinsic
    def score(typing: Any, codes: Any, table: Any, pairs: Any, word: Any, least: Any, scores: Any) -> Any:
        def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
            return _sums(b, shuffled, *given)

        address = types.intp
        return types.uint64(address, address, address, types.uint64, types.uint16, address), generate

    return score


def _sums(
    b: Values, shuffled: Any, codes: Values, table: Values, pairs: Values, word: Values, least: Values, scores: Values
) -> Values:
    """Adds up bytes in 16 bits: the even bytes by adding whole words, less what the odd ones carried in."""
    low, eight, none = _splat(_LINE, 15), _splat(_WORDS, 8), _splat(_WORDS, 0)
    sums = [cgutils.alloca_once_value(b, none) for _ in range(4)]  # words and odd bytes; of low halves, of high halves
    with cgutils.for_range(b, pairs, intp=_long) as line:
        offset = b.mul(line.index, ir.Constant(_long, ROWS))
        held = b.load(b.inttoptr(b.add(codes, offset), _LINE.as_pointer()), align=1)
        entries = b.load(b.inttoptr(b.add(table, offset), _LINE.as_pointer()), align=1)
        halves = b.and_(held, low), b.lshr(held, _splat(_LINE, 4))
        for number, half in enumerate(halves):
            found = b.bitcast(shuffled(b, entries, half), _WORDS)
            both, odd = sums[2 * number], sums[2 * number + 1]
            b.store(b.add(b.load(both), found), both)
            b.store(b.add(b.load(odd), b.lshr(found, eight)), odd)
    first, second = list(range(16)), list(range(16, 32))
    hits = []
    for number in range(2):
        odd = b.load(sums[2 * number + 1])
        even = b.sub(b.load(sums[2 * number]), b.shl(odd, eight))
        # The lower 16 words are of the even sub-quantisers, the upper 16 of the odd ones, for the same 32 rows.
        odd = b.add(_lanes(b, odd, odd, first), _lanes(b, odd, odd, second))
        even = b.add(_lanes(b, even, even, first), _lanes(b, even, even, second))
        total = _lanes(b, even, odd, [lane for pair in zip(first, second, strict=True) for lane in pair])
        b.store(total, b.inttoptr(b.add(scores, ir.Constant(_long, ROWS * number)), _WORDS.as_pointer()), align=1)
        first_of = b.insert_element(none, least, ir.Constant(_int, 0))
        floor = _lanes(b, first_of, first_of, [0] * 32)
        hits.append(b.zext(b.bitcast(b.icmp_unsigned(">=", total, floor), _int), _long))
    return b.and_(b.or_(hits[0], b.shl(hits[1], ir.Constant(_long, 32))), word)


def _splat(kind: Values, value: int) -> Values:
    return ir.Constant(kind, [value] * kind.count)


def _lanes(b: Values, one: Values, two: Values, lanes: list[int]) -> Values:
    return b.shuffle_vector(one, two, ir.Constant(ir.VectorType(_int, len(lanes)), lanes))


@intrinsic
def byte_at(typing: Any, address: Any) -> Any:
    """The byte at an address, for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        return b.load(b.inttoptr(given[0], _byte.as_pointer()))

    return types.uint8(types.intp), generate


@intrinsic
def put_short(typing: Any, address: Any, value: Any) -> Any:
    """Writes 16 bits at an address, for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        b.store(given[1], b.inttoptr(given[0], _short.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.uint16), generate


@intrinsic
def lowest_bit(typing: Any, word: Any) -> Any:
    """The number of the lowest bit that is set, for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        return b.cttz(given[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def bits_set(typing: Any, word: Any) -> Any:
    """How many bits are set, for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        return b.ctpop(given[0])

    return types.int64(types.uint64), generate


@intrinsic
def within(typing: Any, address: Any, low: Any, width: Any) -> Any:
    """A bit for each of the 64 int32 at an address that lies in [low, low + width), for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        numbers = ir.VectorType(_int, ROWS)

        def all_of(value: Values) -> Values:
            first = b.insert_element(_splat(numbers, 0), b.trunc(value, _int), ir.Constant(_int, 0))
            return _lanes(b, first, first, [0] * ROWS)

        held = b.load(b.inttoptr(given[0], numbers.as_pointer()), align=4)
        # What lies below is far above once it is taken for a number without a sign: one comparison for both ends.
        met = b.icmp_unsigned("<", b.sub(held, all_of(given[1])), all_of(given[2]))
        return b.bitcast(met, _long)

    return types.uint64(types.intp, types.int64, types.int64), generate


@intrinsic
def fetch_ahead(typing: Any, address: Any) -> Any:
    """Asks for the cache line at an address that is read soon, for compiled code."""

    def generate(context: Any, b: Values, signature: Any, given: Any) -> Values:
        pointer = _byte.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _int, _int, _int])
        call = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        b.call(call, [b.inttoptr(given[0], pointer), *(ir.Constant(_int, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@nb.njit(nogil=True)
def _plain(codes: Any, table: Any, pairs: Any, word: Any, least: Any, scores: Any) -> Any:
    hits = nb.uint64(0)
    for row in range(ROWS):
        total, place = nb.uint16(0), row & 31
        for line in range(2 * pairs):  # even and odd sub-quantisers in turn, half a line each
            held = byte_at(codes + 32 * line + place)
            code = held >> nb.uint8(4) if row >= 32 else held & nb.uint8(15)
            total = nb.uint16(total + byte_at(table + 32 * line + code))
        put_short(scores + 2 * row, total)
        if total >= least:
            hits |= nb.uint64(1) << nb.uint64(row)
    return hits & nb.uint64(word)
