"""Orders: rows in the order of an attribute, where a condition on it is a stretch of positions.

Rows of one value ascend, so that a value and a stretch of the rows' own order are a stretch again (a category within a
window). Nulls have no position. The `natural` order is that of the rows themselves: position and row are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semblance.memory.fused import kernels
from semblance.memory.fused.kernels import DEEPEST, MOST, Codes, Frame, Lists
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.masks import Column, Interval
from semblance.memory.segments import Floats, Ints

Places = NDArray[np.int32]


class Rows(NamedTuple):
    """What a search reads in whatever order: vectors [n, d] in the natural order, their bias, lists and lists' codes."""

    vectors: Floats
    bias: Floats
    lists: Lists
    list_codes: tuple[Codes, ...]


class Order(NamedTuple):
    """`rows` [m] by position, empty in the natural order; `values` [m] ascending int64 or float64, empty without an
    attribute; the rows' codes in this order, coarse and fine."""

    column: str
    length: int
    rows: Places
    values: NDArray[Any]
    codes: tuple[Codes, ...]

    @property
    def natural(self) -> bool:
        return not len(self.rows)

    def stretch(self, interval: Interval) -> tuple[int, int]:
        """The positions whose values lie in the closed interval."""
        kind = self.values.dtype.type
        low, high = (kind(end) for end in interval)
        start = int(np.searchsorted(self.values, low))
        return start, max(start, int(np.searchsorted(self.values, high, side="right")))

    def within(self, start: int, end: int, low: int, high: int) -> tuple[int, int]:
        """The positions of [start, end), which hold one value, whose rows lie in [low, high)."""
        rows = self.rows[start:end]
        return start + int(np.searchsorted(rows, low)), start + int(np.searchsorted(rows, high))

    def rows_of(self, start: int, end: int) -> Places:
        """The rows of a stretch."""
        return np.arange(start, end, dtype=np.int32) if self.natural else self.rows[start:end]


def sorted_rows(column: Column) -> tuple[Ints, NDArray[Any]]:
    """Positions -> rows that hold a value, by value and then by row; and their values, ascending, as int64 or float64."""
    values = column.values.astype(np.float64 if column.values.dtype.kind == "f" else np.int64, copy=False)
    held = np.flatnonzero(~column.null) if column.null is not None else np.arange(len(values))
    rows = held[np.argsort(values[held], kind="stable")]
    return rows, np.ascontiguousarray(values[rows])


def words(allowed: NDArray[np.bool_], start: int) -> tuple[NDArray[np.uint64], int]:
    """Which positions from `start` on may come in -> a bit for each, in words of 64 positions, and the first word."""
    first, lead = divmod(start, 64)
    bits = np.zeros(-(-(lead + len(allowed)) // 64) * 64, np.bool_)
    bits[lead : lead + len(allowed)] = allowed
    return np.packbits(bits, bitorder="little").view(np.uint64), first


def frames(order: Order, rows: Rows) -> tuple[NDArray[np.int64], list[Any]]:
    """What kernels are handed: frames [sizes, 21, 4], with room to work in, and the arrays that have to live as long."""
    pairs = max(codes.blocks.shape[1] for codes in order.codes)
    room = (
        np.zeros((pairs, ROWS), np.uint8),
        np.zeros(ROWS, np.uint16),
        np.zeros(2 * DEEPEST + ROWS, np.uint64),
        np.zeros(len(rows.lists.centres), np.uint64),
        np.zeros(DEEPEST, np.int32),
        np.zeros((1, MOST), np.float32),
        np.zeros((1, MOST), np.int32),
        np.zeros(1, np.int64),
        np.zeros((1, 2), np.int64),
    )
    lists = rows.lists if order.natural else rows.lists.none()
    held = []
    for codes, listed in zip(order.codes, rows.list_codes, strict=True):
        own = Frame(
            rows.vectors, rows.bias, order.rows, codes.blocks, codes.books, codes.bias, lists.centres, lists.bias,
            lists.rows, lists.first, lists.block, listed.blocks, *room,
        )  # fmt: skip
        held.append(own)
    return np.stack([kernels.frame(own) for own in held]), [held]
