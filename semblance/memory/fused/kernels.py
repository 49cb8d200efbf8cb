"""Kernels: a search in one compiled call - table, scan of 4-bit codes in place, the best rows measured again exactly.

    score(row) = q . x - bias(row)          higher is nearer; bias = |x|^2 / 2 in flat space, nothing on the sphere

In flat space the best get the score -|q - x|^2 / 2 in the end, which is exact where q is near x and far from the origin.

    windowed     one query in the stretch of an order that a closed interval of values is
    nested       the same for one whole number of an attribute and an interval of another's values
    whole        the same without a condition
    combined     the same for any condition that `conjunction.py` makes of stretches by and, or and not
    answer       the best of a stretch: all rows measured; or its codes scanned and the best `depth` measured; or the
                 codes of the inverted lists nearest the query, each cut to the stretch

The first four take a query [d'] (d' >= d, zeros behind d), fill keys and distances [k], nearest first, and return how
many there are, -1 for a query that holds NaN or infinity; the others take queries [Q, d'] and fill scores and rows
[Q, k], best first, and how many there are [Q]. A stretch is [start, end) of positions in an order; `words` holds a bit
for each position that may come in, from block `first` on, or is empty where all may.

Between the steps there is no Python, no copy and no array the size of the stretch: while codes are scanned, a reservoir
keeps the best rows and raises the score from which a row is a candidate. Kernels give the interpreter free, write only
into what they are handed, and share nothing: each thread brings its own frames. A `frame` holds the addresses of all
that a search reads and works in, because to unpack 30 arrays at each call takes longer than a narrow search.

Each function here is compiled for one type of arguments (`windowed` and `nested` have a twin for whole numbers): to
compile takes seconds, and numba's cache may confuse two versions of a function that two processes write at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numba import carray, types
from numba.extending import intrinsic, register_jitable
from numpy.typing import NDArray

from semblance.memory.fused.shuffle import ROWS, bits_set, choose, fetch_ahead, lowest_bit, scorer, within

DEEPEST = 4096
"""The most rows that are measured again."""
MOST = 128
"""Neighbours that one query is answered with in one call."""
ALL, LOWER = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0xFFFFFFFF)
ZERO = np.int64(0)
"""A plain 0 is a type of its own to numba, for which it compiles every function once more."""
LEAST, ABOVE, MOST_TO, BELOW, OPEN, NULLS = range(6)
"""Where a leaf's stretch begins (from a value on, above it) and ends (up to it, below it), or at no value."""
OTHER, SINGLE, UNION = range(3)
"""A conjunct is a stretch, a union of stretches of one column, or anything else."""
PUT, MEET, JOIN, MEET_TOP, JOIN_TOP = range(5)
"""A program puts a leaf on top of others, joins one with the top by and, by or, or the two on top."""
COMPARED, LOOKED_UP = 0.15, 1.2
"""Nanoseconds a row for a comparison in a mask: of neighbours in memory, or of a place that has to be looked up."""
score_block = scorer(choose())
NO_WORDS = np.empty(0, np.uint64)
FAST = {"reassoc", "contract", "nsz"}
compiled = nb.njit(fastmath=FAST, nogil=True, cache=True)
inner = nb.njit(fastmath=FAST, nogil=True, cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


class Codes(NamedTuple):
    """Product codes of rows in some order: blocks [blocks, pairs, 64], the entries they stand for and their bias."""

    blocks: NDArray[np.uint8]
    books: NDArray[np.float32]  # [sub-quantisers, d' / sub-quantisers, 16]
    bias: NDArray[np.float32]  # [sub-quantisers, 16]


class Lists(NamedTuple):
    """Inverted lists: each row belongs to its nearest centre, and the rows of a list ascend."""

    centres: NDArray[np.float32]  # [lists, d]
    bias: NDArray[np.float32]  # [lists]
    rows: NDArray[np.int32]  # [n]
    first: NDArray[np.int64]  # [lists + 1], where a list begins in `rows`
    block: NDArray[np.int64]  # [lists], its first block of codes

    def none(self) -> Lists:
        """No lists, of the same kinds."""
        return Lists(self.centres[:0], self.bias[:0], self.rows[:0], self.first[:1], self.block[:0])


class Frame(NamedTuple):
    """What a search reads, and below `table` what it works in."""

    vectors: Any  # [n, d] float32
    bias: Any  # [n] float32, or empty
    order: Any  # [m] int32: position -> row; empty where the two are the same
    blocks: Any  # [blocks, pairs, 64] uint8, the codes in this order
    books: Any
    book_bias: Any
    centres: Any  # the inverted lists, all empty where there are none
    centre_bias: Any
    list_rows: Any
    list_first: Any
    list_block: Any
    list_blocks: Any  # the codes, list by list
    table: Any  # [pairs, 64] uint8
    scores: Any  # [64] uint16
    keys: Any  # [2 DEEPEST + 64] uint64
    near: Any  # [lists] uint64
    chosen: Any  # [DEEPEST] int32
    best: Any  # [1, MOST] float32
    rows: Any  # [1, MOST] int32
    found: Any  # [1] int64
    spans: Any  # [1, 2] int64


KINDS = (
    np.float32, np.float32, np.int32, np.uint8, np.float32, np.float32, np.float32, np.float32, np.int32, np.int64,
    np.int64, np.uint8, np.uint8, np.uint16, np.uint64, np.uint64, np.int32, np.float32, np.int32, np.int64, np.int64,
)  # fmt: skip


def frame(arrays: Frame) -> NDArray[np.int64]:
    """The addresses and shapes of the arrays, which have to live as long: [21, 4]."""
    held = np.zeros((len(KINDS), 4), np.int64)
    for line, array, kind, name in zip(held, arrays, KINDS, Frame._fields, strict=True):
        if array.dtype != kind or not array.flags.c_contiguous:
            raise TypeError(f"{name} is {array.dtype} or not in one piece, and kernels read {np.dtype(kind)}")
        line[0] = array.ctypes.data
        line[1 : 1 + array.ndim] = array.shape
    return held


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer, for compiled code."""

    def generate(context: Any, b: Any, signature: Any, given: Any) -> Any:
        return b.inttoptr(given[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@inner
def _opened(f):
    """The arrays of a frame."""
    return Frame(
        carray(_pointer(f[0, 0]), (f[0, 1], f[0, 2]), np.float32),
        carray(_pointer(f[1, 0]), f[1, 1], np.float32),
        carray(_pointer(f[2, 0]), f[2, 1], np.int32),
        carray(_pointer(f[3, 0]), (f[3, 1], f[3, 2], f[3, 3]), np.uint8),
        carray(_pointer(f[4, 0]), (f[4, 1], f[4, 2], f[4, 3]), np.float32),
        carray(_pointer(f[5, 0]), (f[5, 1], f[5, 2]), np.float32),
        carray(_pointer(f[6, 0]), (f[6, 1], f[6, 2]), np.float32),
        carray(_pointer(f[7, 0]), f[7, 1], np.float32),
        carray(_pointer(f[8, 0]), f[8, 1], np.int32),
        carray(_pointer(f[9, 0]), f[9, 1], np.int64),
        carray(_pointer(f[10, 0]), f[10, 1], np.int64),
        carray(_pointer(f[11, 0]), (f[11, 1], f[11, 2], f[11, 3]), np.uint8),
        carray(_pointer(f[12, 0]), (f[12, 1], f[12, 2]), np.uint8),
        carray(_pointer(f[13, 0]), f[13, 1], np.uint16),
        carray(_pointer(f[14, 0]), f[14, 1], np.uint64),
        carray(_pointer(f[15, 0]), f[15, 1], np.uint64),
        carray(_pointer(f[16, 0]), f[16, 1], np.int32),
        carray(_pointer(f[17, 0]), (f[17, 1], f[17, 2]), np.float32),
        carray(_pointer(f[18, 0]), (f[18, 1], f[18, 2]), np.int32),
        carray(_pointer(f[19, 0]), f[19, 1], np.int64),
        carray(_pointer(f[20, 0]), (f[20, 1], f[20, 2]), np.int64),
    )


@register_jitable
def _located(values, low, high):
    """The stretch of ascending values that lies in [low, high]."""
    start = np.searchsorted(values, low, side="left")
    return start, max(start, np.searchsorted(values, high, side="right"))


@compiled
def windowed(query, frames, values, low, high, steps, item_keys, flat, keys, distances):
    """The nearest of the positions whose values float64 lie in [low, high], by the step of its width.

    frames: one for each size of codes; steps [octave, 3]: size, probes, depth; item_keys [n] by row.
    """
    start, end = _located(values, low, high)
    return _one_answer(query, frames, len(values), start, end, steps, item_keys, flat, keys, distances)


@compiled
def windowed_whole(query, frames, values, low, high, steps, item_keys, flat, keys, distances):
    """As `windowed`, for values int64."""
    start, end = _located(values, low, high)
    return _one_answer(query, frames, len(values), start, end, steps, item_keys, flat, keys, distances)


@compiled
def nested(query, frames, values, value, outer, low, high, steps, item_keys, flat, keys, distances):
    """As `windowed`, for positions that hold the whole number `value` and whose rows hold [low, high] of the natural
    order's values float64."""
    begin, stop = _located(outer, low, high)
    return _nested(query, frames, values, value, begin, stop, steps, item_keys, flat, keys, distances)


@compiled
def nested_whole(query, frames, values, value, outer, low, high, steps, item_keys, flat, keys, distances):
    """As `nested`, for values int64 of the natural order."""
    begin, stop = _located(outer, low, high)
    return _nested(query, frames, values, value, begin, stop, steps, item_keys, flat, keys, distances)


@inner
def _nested(query, frames, values, value, begin, stop, steps, item_keys, flat, keys, distances):
    start, end = _located(values, value, value)
    rows = _opened(frames[0]).order[start:end]
    start, end = start + np.searchsorted(rows, begin), start + np.searchsorted(rows, stop)
    return _one_answer(query, frames, len(values), start, end, steps, item_keys, flat, keys, distances)


@compiled
def whole(query, frames, steps, item_keys, flat, keys, distances):
    """The nearest of all rows."""
    return _one_answer(query, frames, len(item_keys), ZERO, len(item_keys), steps, item_keys, flat, keys, distances)


@compiled
def combined(
    query, framed, columns, leaves, ends, conjuncts, program, steps, places, words, item_keys, flat, keys, distances
):
    """The nearest of the rows for which all of some conjuncts are true.

    framed [columns, sizes, 21, 4]; columns [columns, 6]: where its values are (ascending), how many, whether they are
    floats, where its order's rows are and each row's place among them (int32, -1 for null, whole blocks), the order's
    length; column 0 is the natural one, of which rows and places are the same.
    leaves [leaves, 5]: column, where its stretch begins and ends (LEAST to NULLS), negated, nulls fail; ends [leaves, 2]:
    int64, or the bits of float64. A leaf lets in a stretch of its column's values or, negated, all but the stretch.
    conjuncts [conjuncts, 4]: their lines of the program, kind, column; program [lines, 2]: what is done, leaf.
    steps [columns, octave of the width, octave of the matches, 4], the last the nanoseconds. Room to work in: places
    [2, leaves + 1, 2], words [depth of the program + 2, blocks].

    The rows are looked for in the stretches that cost least of those that the conjuncts confine them to: a window of the
    natural order, or a union of stretches of another one, those of a single value cut to the window. What other conjuncts
    say of these rows becomes a word of bits for each block. A union in the natural order is such a conjunct.
    """
    square = np.float32(0)
    for j in range(len(query)):
        square += query[j] * query[j]
    if not square < np.inf:  # NaN is not less either
        return -1
    located, spans = places[0], places[1]
    _locate(columns, leaves, ends, conjuncts, program, located)
    start, end = ZERO, len(item_keys)
    for c in range(len(conjuncts)):
        if conjuncts[c, 2] == SINGLE and conjuncts[c, 3] == 0:
            leaf = program[conjuncts[c, 0], 1]
            start, end = max(start, located[leaf, 0]), min(end, located[leaf, 1])
    width, chosen, cut, held = max(ZERO, end - start), np.int64(-1), True, np.int64(1)
    least = _expected(np.int64(-1), width, True, columns, conjuncts, program, located, steps)
    for c in range(len(conjuncts)):
        if width > 0 and conjuncts[c, 2] != OTHER and not (conjuncts[c, 2] == SINGLE and conjuncts[c, 3] == 0):
            count, wide, whole_cut = _united(c, columns, conjuncts, program, located, start, end, len(item_keys), spans)
            cost = _expected(np.int64(c), wide, whole_cut, columns, conjuncts, program, located, steps)
            if wide == 0 or cost < least:
                least, width, chosen, cut, held = cost, wide, np.int64(c), whole_cut, count
    if width == 0:
        return 0
    column = ZERO
    if chosen < 0:
        spans[0, 0], spans[0, 1] = start, end
    else:
        column = conjuncts[chosen, 3]
        _united(chosen, columns, conjuncts, program, located, start, end, len(item_keys), spans)
    spans = spans[:held]
    asked, buffer = False, np.empty(ROWS, np.int32)
    for c in range(len(conjuncts)):
        single, own = conjuncts[c, 2] == SINGLE, conjuncts[c, 3]
        sure = own == 0 and cut if own != column else chosen < 0 or conjuncts[chosen, 2] == SINGLE
        if c != chosen and not (single and sure):
            first, last = conjuncts[c, 0], conjuncts[c, 1]
            if asked and last - first == 1:
                _tested(MEET, program[first, 1], column, columns, leaves, located, spans, words[0], words[-1], buffer)
            else:
                free = words[1:] if asked else words
                _evaluated(program[first:last], column, columns, leaves, located, spans, free, buffer)
                if asked:
                    _joined(MEET_TOP, spans, words[0], words[1])
            asked = True
    matches = width
    if asked:
        matches = ZERO
        for at in range(held):
            for block in range(spans[at, 0] // ROWS, -(-spans[at, 1] // ROWS)):
                matches += bits_set(words[0, block] & _edges(block, spans[at, 0], spans[at, 1]))
    if matches == 0:
        return 0
    most, length = steps.shape[1], columns[column, 5]
    size, probes, depth, _ = steps[column, _octave(length, width, most), _octave(length, matches, most)]
    allowed = words[0] if asked else words[0, :0]
    return _named(query, square, framed[column, size], probes, depth, spans, allowed, item_keys, flat, keys, distances)


@inner
def _locate(columns, leaves, ends, conjuncts, program, located):
    """The stretches [leaves, 2] of the leaves; those of conjuncts on one column become what they share."""
    for leaf in range(len(leaves)):
        column, low, high = leaves[leaf, 0], leaves[leaf, 1], leaves[leaf, 2]
        count = columns[column, 1]
        if columns[column, 2]:
            reals = carray(_pointer(columns[column, 0]), count, np.float64)
            start, end = _ends(reals, ends[leaf].view(np.float64), low, high)
        else:
            start, end = _ends(carray(_pointer(columns[column, 0]), count, np.int64), ends[leaf], low, high)
        if low == NULLS:
            start, end = (count, columns[column, 5]) if column == 0 else (-1, ZERO)
        located[leaf, 0], located[leaf, 1] = start, max(start, end)
    for c in range(len(conjuncts)):
        for other in range(c):
            if conjuncts[c, 2] == SINGLE and conjuncts[other, 2] == SINGLE and conjuncts[c, 3] == conjuncts[other, 3]:
                one, two = located[program[conjuncts[c, 0], 1]], located[program[conjuncts[other, 0], 1]]
                start = max(one[0], two[0])
                end = max(start, min(one[1], two[1]))
                one[0], one[1], two[0], two[1] = start, end, start, end


@inner
def _ends(values, ends, low, high):
    """The stretch of ascending values from one end to the other."""
    start, end = ZERO, len(values)
    if low == LEAST:
        start = np.searchsorted(values, ends[0], side="left")
    elif low == ABOVE:
        start = np.searchsorted(values, ends[0], side="right")
    if high == MOST_TO:
        end = np.searchsorted(values, ends[1], side="right")
    elif high == BELOW:
        end = np.searchsorted(values, ends[1], side="left")
    return start, end


@inner
def _expected(chosen, width, cut, columns, conjuncts, program, located, steps):
    """Nanoseconds for a search through stretches of so many rows, as if conjuncts knew nothing of one another."""
    matches, tested, column = float(width), 0.0, conjuncts[chosen, 3] if chosen >= 0 else ZERO
    for c in range(len(conjuncts)):
        own, known = conjuncts[c, 3], conjuncts[c, 2] != OTHER
        if c == chosen or (known and own == 0 and cut):
            continue
        total = ZERO
        for line in range(conjuncts[c, 0], conjuncts[c, 1]):
            total += located[program[line, 1], 1] - located[program[line, 1], 0]
        if known:
            matches *= min(1.0, total / columns[0, 5])
        compared = column == 0 or (known and own == 0)
        tested += (conjuncts[c, 1] - conjuncts[c, 0]) * (COMPARED if compared else LOOKED_UP) * width
    most, length = steps.shape[1], columns[column, 5]
    wide, few = _octave(length, width, most), _octave(length, np.int64(matches), most)
    return tested + steps[column, wide, few, 3]


@inner
def _united(c, columns, conjuncts, program, located, start, end, count, spans):
    """The stretches of a conjunct that is a union: how many, their rows, and whether all were cut to rows [start, end)."""
    column, cut, held = conjuncts[c, 3], True, ZERO
    for line in range(conjuncts[c, 0], conjuncts[c, 1]):
        low, high = located[program[line, 1], 0], located[program[line, 1], 1]
        if high > low and (start > 0 or end < count):
            values = carray(_pointer(columns[column, 0]), columns[column, 1], np.int64)
            if values[low] == values[high - 1]:  # floats are equal if and only if their bits are, but for zeros
                rows = carray(_pointer(columns[column, 3]), columns[column, 1], np.int32)[low:high]
                low, high = low + np.searchsorted(rows, start), low + np.searchsorted(rows, end)
            else:
                cut = False
        if high > low:  # put where it belongs
            at = held
            while at > 0 and spans[at - 1, 0] > low:
                spans[at, 0], spans[at, 1] = spans[at - 1, 0], spans[at - 1, 1]
                at -= 1
            spans[at, 0], spans[at, 1] = low, high
            held += 1
    kept, width = ZERO, ZERO
    for place in range(held):
        low, high = spans[place, 0], spans[place, 1]
        if kept > 0 and low <= spans[kept - 1, 1]:
            high = max(high, spans[kept - 1, 1])
            width += high - spans[kept - 1, 1]
            spans[kept - 1, 1] = high
        else:
            spans[kept, 0], spans[kept, 1] = low, high
            width += high - low
            kept += 1
    return kept, width, cut


@inner
def _evaluated(program, column, columns, leaves, located, spans, words, buffer):
    """Runs a conjunct's lines over the blocks of stretches: its bits in words[0]."""
    top = np.int64(-1)
    for line in range(len(program)):
        what, leaf = program[line]
        if what == PUT:
            top += 1
        if what in (MEET_TOP, JOIN_TOP):
            top -= 1
            _joined(what, spans, words[top], words[top + 1])
        else:
            _tested(what, leaf, column, columns, leaves, located, spans, words[top], words[-1], buffer)


@inner
def _joined(what, spans, words, others):
    for at in range(len(spans)):
        for block in range(spans[at, 0] // ROWS, -(-spans[at, 1] // ROWS)):
            if what == MEET_TOP:
                words[block] &= others[block]
            else:
                words[block] |= others[block]


@inner
def _tested(what, leaf, column, columns, leaves, located, spans, words, spare, buffer):
    """Puts a leaf's bits into words, or joins them with what is there, by the positions of `column`'s order."""
    own, negated, nulls_fail = leaves[leaf, 0], leaves[leaf, 3], leaves[leaf, 4]
    low, high, count = located[leaf, 0], located[leaf, 1], columns[own, 1]
    length, spot = columns[column, 1], buffer.ctypes.data
    rows = carray(_pointer(columns[column, 3]), length if column > 0 else ZERO, np.int32)
    ranks = carray(_pointer(columns[own, 4]), columns[0, 5] if own > 0 else ZERO, np.int32)
    width = ZERO
    for at in range(len(spans)):
        width += spans[at, 1] - spans[at, 0]
    # A row costs a natural place's comparison a tenth of what it costs to be looked up.
    few = (high - low) * (8 if column == 0 else 1) < width and own > 0 and own != column and columns[own, 5] > 0
    strewn = few and low >= 0 and not (nulls_fail and count < columns[0, 5])
    if strewn:
        _strewn(low, high, own, column, columns, spans, spare)
    for at in range(len(spans)):
        for block in range(spans[at, 0] // ROWS, -(-spans[at, 1] // ROWS)):
            if what == MEET and words[block] == 0:
                continue
            if strewn:
                word, held = spare[block], ALL
            elif own == column:
                word, held = _bits(block, low, high), _bits(block, ZERO, count)
            else:
                begin = block * ROWS
                if column == 0:
                    address = columns[own, 4] + 4 * begin
                elif own == 0 and begin + ROWS <= length:
                    address = columns[column, 3] + 4 * begin
                else:
                    address = spot
                    for j in range(min(ROWS, length - begin)):
                        buffer[j] = ranks[rows[begin + j]] if own > 0 else rows[begin + j]
                word, held = within(address, low, high - low), within(address, ZERO, count)
            if negated:
                word = ~word
            if nulls_fail:
                word &= held
            if what == PUT:
                words[block] = word
            elif what == MEET:
                words[block] &= word
            else:
                words[block] |= word


@inner
def _strewn(low, high, own, column, columns, spans, words):
    """A bit in words for each position of `column`'s order whose row lies in a stretch of `own`'s."""
    for at in range(len(spans)):
        for block in range(spans[at, 0] // ROWS, -(-spans[at, 1] // ROWS)):
            words[block] = np.uint64(0)
    rows = carray(_pointer(columns[own, 3]), columns[own, 5], np.int32)
    places = carray(_pointer(columns[column, 4]), columns[0, 5] if column > 0 else ZERO, np.int32)
    for at in range(low, high):
        place = np.int64(places[rows[at]] if column > 0 else rows[at])
        if place >= 0:
            words[place // ROWS] |= np.uint64(1) << np.uint64(place % ROWS)


@inner
def _bits(block, start, end):
    """A bit for each position of a block that lies in [start, end), wherever that is."""
    if end <= block * ROWS or start >= (block + 1) * ROWS or end <= start:
        return np.uint64(0)
    return _edges(block, start, end)


@inner
def _one_answer(query, frames, length, start, end, steps, item_keys, flat, keys, distances):
    square = np.float32(0)
    for j in range(len(query)):
        square += query[j] * query[j]
    if not square < np.inf:  # NaN is not less either
        return -1
    size, probes, depth = steps[_octave(length, end - start, len(steps))]
    f = _opened(frames[size])
    f.spans[0, 0], f.spans[0, 1] = start, end
    return _named(query, square, frames[size], probes, depth, f.spans, f.keys[:0], item_keys, flat, keys, distances)


@inner
def _named(query, square, frame, probes, depth, spans, words, item_keys, flat, keys, distances):
    """Answers one query: item keys and distances; how many there are."""
    f = _opened(frame)
    shape = 1, len(keys)
    best, rows = f.best[0, : len(keys)].reshape(shape), f.rows[0, : len(keys)].reshape(shape)
    _answer(query.reshape((1, len(query))), frame, probes, depth, spans, words, ZERO, best, rows, f.found)
    for at in range(f.found[0]):
        keys[at] = item_keys[rows[0, at]]
        if flat:
            distances[at] = np.sqrt(np.float32(-2) * best[0, at])
        else:
            distances[at] = np.float32(1) - best[0, at] / np.sqrt(square) if square > 0 else np.float32(1)
    return f.found[0]


@inner
def _octave(length, width, most):
    """How often a window goes into a length, as a power of two, below `most`: the planner's `octave` in whole numbers."""
    octave, width = 0, max(1, width)
    while octave < most - 1 and length * 69 >> 6 >= width << octave + 1:
        octave += 1
    return octave


@compiled
def answer(queries, frame, probes, depth, start, end, words, first, best, rows, found):
    """The best of a stretch. depth 0 measures all its rows, probes 0 scans all its codes."""
    f = _opened(frame)
    f.spans[0, 0], f.spans[0, 1] = start, end
    _answer(queries, frame, probes, depth, f.spans, words, first, best, rows, found)


@inner
def _answer(queries, frame, probes, depth, spans, words, first, best, rows, found):
    """The best of several stretches, ascending; lists are looked into only where there is one of them."""
    # Not handed over: to copy the addresses of all arrays takes as long as a tenth of a narrow search.
    f = _opened(frame)
    k, start, end = best.shape[1], spans[0, 0], spans[len(spans) - 1, 1]
    for i in range(len(queries)):
        query = queries[i]
        if depth == 0:
            kept = ZERO
            if len(words):
                kept = _exact_allowed(query, k, spans, words, first, f, best[i], rows[i])
            elif len(f.order):
                for at in range(len(spans)):
                    chosen = f.order[spans[at, 0] : spans[at, 1]]
                    kept = _exact_rows(query, k, kept, chosen, f.vectors, f.bias, best[i], rows[i])
            else:
                for at in range(len(spans)):
                    low, high = spans[at, 0], spans[at, 1]
                    kept = _exact_range(query, k, kept, low, high, f.vectors, f.bias, best[i], rows[i])
            found[i] = kept
            _settle(query, f.vectors, f.bias, best[i], rows[i], found[i])
            continue
        held = 0
        if probes > 0:
            held = _probed(query, depth, probes, start, end, words, first, f)
        # Where the lists hold too few rows that may come in, more may lie elsewhere.
        if held < min(depth, end - start):
            held = _scanned(query, depth, spans, words, first, f)
        found[i] = _exact_rows(query, k, ZERO, f.chosen[:held], f.vectors, f.bias, best[i], rows[i])
        _settle(query, f.vectors, f.bias, best[i], rows[i], found[i])


@inner
def _settle(query, vectors, bias, best, rows, found):
    """In flat space: the scores of the best by what lies between, and the best in their order."""
    if len(bias) == 0:
        return
    for at in range(found):
        total, row, place = np.float32(0), rows[at], at
        for j in range(vectors.shape[1]):
            gap = query[j] - vectors[row, j]
            total += gap * gap
        score = np.float32(-0.5) * total
        while place > 0 and best[place - 1] < score:
            best[place] = best[place - 1]
            rows[place] = rows[place - 1]
            place -= 1
        best[place] = score
        rows[place] = row


@compiled
def code_scores(query, frame, start, end, scores):
    """The scores by their codes of positions [start, end): into `scores` [whole blocks, 64] uint16, from start's block."""
    f = _opened(frame)
    pairs, begin = f.blocks.shape[1], start // ROWS
    _tabulate(query, f.books, f.book_bias, f.table)
    for block in range(begin, -(-end // ROWS)):
        address = f.blocks.ctypes.data + block * pairs * ROWS
        out = scores.ctypes.data + (block - begin) * 2 * ROWS
        score_block(address, f.table.ctypes.data, pairs, ALL, np.uint16(0), out)


@inner
def _exact_range(query, k, kept, start, end, vectors, bias, best, rows):
    row = start
    width, base = vectors.shape[1] * 4, vectors.ctypes.data
    while row + 4 <= end:
        # The processor foresees what is read in a row, but not beyond a page.
        for line in range((row + 8) * width, min(row + 12, end) * width, 64):
            fetch_ahead(base + line)
        a, b, c, d = _four(query, vectors, row, row + 1, row + 2, row + 3)
        if len(bias):
            a, b, c, d = a - bias[row], b - bias[row + 1], c - bias[row + 2], d - bias[row + 3]
        # One comparison for four rows: few of many come among the best.
        if kept < k or max(max(a, b), max(c, d)) > best[kept - 1]:
            kept = _keep(best, rows, kept, k, a, row)
            kept = _keep(best, rows, kept, k, b, row + 1)
            kept = _keep(best, rows, kept, k, c, row + 2)
            kept = _keep(best, rows, kept, k, d, row + 3)
        row += 4
    while row < end:
        kept = _keep(best, rows, kept, k, _one(query, vectors, bias, row), row)
        row += 1
    return kept


@inner
def _exact_allowed(query, k, spans, words, first, f, best, rows):
    """Measures the rows of stretches that may come in, as many at a time as there is room for."""
    kept, held = ZERO, ZERO
    for at in range(len(spans)):
        start, end = spans[at, 0], spans[at, 1]
        for block in range(start // ROWS, -(-end // ROWS)):
            word = words[block - first] & _edges(block, start, end)
            while word:
                position = block * ROWS + np.int64(lowest_bit(word))
                word &= word - np.uint64(1)
                f.chosen[held] = f.order[position] if len(f.order) else position
                held += 1
            if held > DEEPEST - ROWS:
                kept = _exact_rows(query, k, kept, f.chosen[:held], f.vectors, f.bias, best, rows)
                held = ZERO
    return _exact_rows(query, k, kept, f.chosen[:held], f.vectors, f.bias, best, rows)


@inner
def _exact_rows(query, k, kept, chosen, vectors, bias, best, rows):
    """Puts rows [n] int32 among the best, of which there are `kept`; how many there are."""
    count, width = len(chosen), vectors.shape[1] * 4
    base = vectors.ctypes.data
    at = 0
    while at + 4 <= count:
        for ahead in range(at + 4, min(at + 8, count)):
            for line in range(0, width, 64):
                fetch_ahead(base + chosen[ahead] * width + line)
        one, two = np.int64(chosen[at]), np.int64(chosen[at + 1])
        three, four = np.int64(chosen[at + 2]), np.int64(chosen[at + 3])
        a, b, c, d = _four(query, vectors, one, two, three, four)
        if len(bias):
            a, b, c, d = a - bias[one], b - bias[two], c - bias[three], d - bias[four]
        if kept < k or max(max(a, b), max(c, d)) > best[kept - 1]:
            kept = _keep(best, rows, kept, k, a, one)
            kept = _keep(best, rows, kept, k, b, two)
            kept = _keep(best, rows, kept, k, c, three)
            kept = _keep(best, rows, kept, k, d, four)
        at += 4
    while at < count:
        row = np.int64(chosen[at])
        kept = _keep(best, rows, kept, k, _one(query, vectors, bias, row), row)
        at += 1
    return kept


@inner
def _scanned(query, depth, spans, words, first, f):
    """Scans stretches by their codes: the `depth` best rows go to `chosen`; how many there are."""
    keys, scores, pairs = f.keys, f.scores, f.blocks.shape[1]
    _tabulate(query, f.books, f.book_bias, f.table)
    base, table = f.blocks.ctypes.data, f.table.ctypes.data
    held, least, room = ZERO, np.uint16(0), 2 * depth
    for at in range(len(spans)):
        start, end = spans[at, 0], spans[at, 1]
        for block in range(start // ROWS, -(-end // ROWS)):
            word = _edges(block, start, end)
            if len(words):
                word &= words[block - first]
            if word == 0:
                continue
            hits = score_block(base + block * pairs * ROWS, table, pairs, word, least, scores.ctypes.data)
            while hits:
                place = lowest_bit(hits)
                hits &= hits - np.uint64(1)
                score = scores[place]
                if score >= least:
                    keys[held] = (np.uint64(score) << np.uint64(32)) | np.uint64(block * ROWS + np.int64(place))
                    held += 1
                    if held == room:
                        held, least = depth, _halve(keys, held, depth)
    if held > depth:
        _halve(keys, held, depth)
        held = depth
    for at in range(held):
        position = np.int64(keys[at] & LOWER)
        f.chosen[at] = f.order[position] if len(f.order) else position
    return held


@inner
def _probed(query, depth, probes, start, end, words, first, f):
    """Scans the lists nearest the query, each cut to [start, end), as `_scanned`."""
    keys, near, scores, pairs = f.keys, f.near, f.scores, f.list_blocks.shape[1]
    probes = min(probes, len(f.centres))
    _nearest_lists(query, f.centres, f.centre_bias, near, probes)
    _tabulate(query, f.books, f.book_bias, f.table)
    base, table = f.list_blocks.ctypes.data, f.table.ctypes.data
    held, least, room = ZERO, np.uint16(0), 2 * depth
    for probe in range(probes):
        number = np.int64(near[probe] & LOWER)
        begin, stop = f.list_first[number], f.list_first[number + 1]
        low = np.searchsorted(f.list_rows[begin:stop], start) if start > 0 else ZERO
        high = np.searchsorted(f.list_rows[begin:stop], end) if end < len(f.list_rows) else stop - begin
        for block in range(low // ROWS, -(-high // ROWS) if high > low else 0):
            word = _edges(block, low, high)
            address = base + (f.list_block[number] + block) * pairs * ROWS
            hits = score_block(address, table, pairs, word, least, scores.ctypes.data)
            while hits:
                place = lowest_bit(hits)
                hits &= hits - np.uint64(1)
                row = np.int64(f.list_rows[begin + block * ROWS + np.int64(place)])
                if len(words) and not (words[row // ROWS - first] >> np.uint64(row % ROWS)) & np.uint64(1):
                    continue
                score = scores[place]
                if score >= least:
                    keys[held] = (np.uint64(score) << np.uint64(32)) | np.uint64(row)
                    held += 1
                    if held == room:
                        held, least = depth, _halve(keys, held, depth)
    if held > depth:
        _halve(keys, held, depth)
        held = depth
    for at in range(held):
        f.chosen[at] = np.int32(keys[at] & LOWER)
    return held


@inner
def _edges(block, start, end):
    """A bit for each row of a block that lies in [start, end)."""
    word = ALL
    if block * ROWS < start:
        word <<= np.uint64(start - block * ROWS)
    if (block + 1) * ROWS > end:
        word &= ALL >> np.uint64((block + 1) * ROWS - end)
    return word


@inner
def _one(query, vectors, bias, row):
    total = np.float32(0)
    for j in range(vectors.shape[1]):
        total += query[j] * vectors[row, j]
    return total - bias[row] if len(bias) else total


@inner
def _four(query, vectors, one, two, three, four):
    """Inner products with four rows: four sums that do not wait for one another."""
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for j in range(vectors.shape[1]):
        x = query[j]
        a += x * vectors[one, j]
        b += x * vectors[two, j]
        c += x * vectors[three, j]
        d += x * vectors[four, j]
    return a, b, c, d


@inner
def _keep(best, rows, kept, k, score, row):
    """Puts a row into its place among the best; how many there are."""
    if kept == k:
        if not score > best[k - 1]:
            return kept
        kept -= 1
    at = kept
    while at > 0 and best[at - 1] < score:
        best[at] = best[at - 1]
        rows[at] = rows[at - 1]
        at -= 1
    best[at] = score
    rows[at] = row
    return kept + 1


@inner
def _tabulate(query, books, bias, table):
    """What each code adds to a score, in bytes: one scale for all sub-quantisers, each from its own least entry on."""
    count, size = books.shape[0], books.shape[1]
    entries = np.empty((count, 16), np.float32)
    span = np.float32(1e-30)
    for m in range(count):
        for code in range(16):
            entries[m, code] = -bias[m, code]
        for j in range(size):
            number = query[m * size + j]
            for code in range(16):
                entries[m, code] += number * books[m, j, code]
        low, high = entries[m, 0], entries[m, 0]
        for code in range(16):
            low, high = min(low, entries[m, code]), max(high, entries[m, code])
        for code in range(16):
            entries[m, code] -= low
        span = max(span, high - low)
    scale = np.float32(255) / span
    for m in range(count):
        line, place = m // 2, 32 * (m % 2)
        for code in range(16):
            entry = np.uint8(np.int32(entries[m, code] * scale + np.float32(0.5)))
            table[line, place + code] = entry
            table[line, place + 16 + code] = entry


@inner
def _nearest_lists(query, centres, bias, near, probes):
    """The lists nearest the query in the lower halves of `near`, nearest first."""
    count = len(centres)
    for number in range(count):
        total = -bias[number] if len(bias) else np.float32(0)
        for j in range(centres.shape[1]):
            total += query[j] * centres[number, j]
        near[number] = (np.uint64(_ordered(total)) << np.uint64(32)) | np.uint64(number)
    if probes < count:
        _halve(near, count, probes)
    for at in range(1, min(probes, count)):  # few: put each where it belongs
        key = near[at]
        place = at
        while place > 0 and near[place - 1] < key:
            near[place] = near[place - 1]
            place -= 1
        near[place] = key


@inner
def _ordered(number):
    """32 bits that sort as the float32 does."""
    bits = np.float32(number).view(np.uint32)
    return bits ^ (np.uint32(0xFFFFFFFF) if bits >> np.uint32(31) else np.uint32(0x80000000))


@inner
def _halve(keys, count, kept):
    """Moves the `kept` largest of `count` keys to the front; the score above the least of them (their upper bits + 1)."""
    low, high = 0, count - 1
    while low < high:
        pivot = keys[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while keys[left] > pivot:
                left += 1
            while keys[right] < pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                left += 1
                right -= 1
        if kept - 1 <= right:
            high = right
        elif kept - 1 >= left:
            low = left
        else:
            break
    least = keys[0]
    for at in range(1, kept):
        least = min(least, keys[at])
    return np.uint16(min(np.uint64(0xFFFF), (least >> np.uint64(32)) + np.uint64(1)))
