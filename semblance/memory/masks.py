"""Masks: attributes in memory, and the rows for which a condition over them is true, without SQL.

    true(c)         rows where the column's value meets c, less those that hold null
    true(a and b)   true(a) & true(b)          false(a and b)   false(a) | false(b)
    true(a or b)    true(a) | true(b)          false(a or b)    false(a) & false(b)
    true(not a)     false(a)                   false(not a)     true(a)

A row for which a condition is unknown is in neither: SQL's logic of three values. The answers are those of SQLite:
whole numbers and floats compare by their exact values (2^53 + 1 is more than the float 2^53), text by its code points.
A comparison becomes a closed interval of what the column can hold, text one of places among the column's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.memory.columns import counts_nanoseconds, is_time, storable
from semblance.memory.conditions import (
    Among,
    And,
    Between,
    Compare,
    CompareColumns,
    Condition,
    Is,
    IsNull,
    Like,
    Not,
    Or,
    Parameter,
    Sign,
    Value,
    columns_of,
    unbound,
)
from semblance.memory.words import Words

Mask: TypeAlias = NDArray[np.bool_]
Interval: TypeAlias = tuple[int, int] | tuple[float, float]
EMPTY = (1, 0)
FEW = 16
"""So many values of an `in` are compared one by one; more are looked up."""
COMPARED: dict[Sign, Callable[..., Mask]] = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
OPPOSITE: dict[Sign, Sign] = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """An attribute of N rows, in numbers that compare as SQLite compares what it stores.

    `values` [N]: numbers in their own width (unsigned 64 bits as signed ones), true and false as int8, times as int64
    micro- or nanoseconds, text as int32 places among `words`. Where `null` [N] is true they are 0, in text -1.
    """

    kind: Literal["number", "truth", "time", "text", "list"]
    values: NDArray[Any]
    null: Mask | None = None
    words: Words | None = None

    @classmethod
    def of(cls, array: pa.Array | pa.ChunkedArray, name: str = "column") -> Column:
        """The column that holds an Arrow array; NaN is null. `name` stands in the error for what cannot be kept."""
        column = storable(pa.table({name: array}))[name]
        mask = np.asarray(pc.is_null(column, nan_is_null=at.is_floating(column.type)).to_numpy(), np.bool_)
        null = mask if mask.any() else None
        if at.is_list(column.type):
            return cls("list", np.zeros(len(mask), np.int8), null)
        if at.is_string(column.type):
            words, codes = Words.of(column)
            return cls("text", codes, null, words)
        kind: Literal["number", "truth", "time"] = "number"
        if is_time(column.type):
            unit = "ns" if counts_nanoseconds(column.type) else "us"
            kind, column = "time", column.cast(pa.timestamp(unit)).cast(pa.int64())
        elif at.is_boolean(column.type):
            kind, column = "truth", column.cast(pa.int8())
        elif at.is_uint64(column.type):
            try:
                column = column.cast(pa.int64())
            except pa.ArrowInvalid:
                raise SemblanceError(f"attribute {name!r} holds a whole number that needs more than 63 bits") from None
        values = np.array(pc.fill_null(column, 0).to_numpy())
        if null is not None:
            values[null] = 0  # what was NaN
        return cls(kind, values, null)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, but for the few words that are kept as Python strings."""
        return sum(part.nbytes for part in (self.values, self.null, self.words) if part is not None)

    def at(self, rows: NDArray[np.integer[Any]] | slice) -> Column:
        """The column of these rows only: views for a slice, else copies."""
        return Column(self.kind, self.values[rows], None if self.null is None else self.null[rows], self.words)


def true_rows(
    condition: Condition, columns: Mapping[str, Column], rows: NDArray[np.integer[Any]] | slice | None = None
) -> Mask:
    """Whether the condition is true (neither false nor unknown): [N], or [len(rows)] at these rows only.

    >>> year = Column.of(pa.array([2019, 2021, None]))
    >>> true_rows(Not(Compare("year", ">", 2020)), {"year": year}).tolist()
    [True, False, False]
    """
    read: dict[str, Column] = {}
    for name in columns_of(condition):
        if name not in columns:
            raise unknown("column", name, columns)
        read[name] = columns[name] if rows is None else columns[name].at(rows)
    return _rows(condition, read, True)


def span(condition: Condition, column: Column) -> Interval | None:
    """The closed interval that holds those values of the column, and no others, for which the condition is true.

    The condition reads this column only. Whole numbers (of text: places among the words) or floats, as the column
    holds; (1, 0) where nothing can match; None where it is no interval (`<>`, most of `in`, `is null`, `or`, ...).
    Rows that hold null may lie within and do not match.

    >>> span(Compare("year", ">", 2020), Column.of(pa.array([2019, 2021], pa.int16())))
    (2021, 32767)
    """
    if isinstance(condition, Not):
        inner = condition.part
        if isinstance(inner, Compare):
            return span(Compare(inner.column, OPPOSITE[inner.sign], inner.value), column)
        return span(inner.part, column) if isinstance(inner, Not) else None
    if isinstance(condition, Is):
        return int(condition.truth), int(condition.truth)
    if isinstance(condition, Compare) and condition.sign == "<>":
        return None
    if isinstance(condition, (Compare, Between, Among, Like)):
        chosen = _chosen(condition, column)
        return chosen if isinstance(chosen, tuple) else None
    return None


def _rows(tree: Condition, columns: Mapping[str, Column], wanted: bool) -> Mask:
    """The rows for which the condition is true, or (not wanted) false: an array that belongs to the caller."""
    if isinstance(tree, Not):
        return _rows(tree.part, columns, not wanted)
    if isinstance(tree, (And, Or)):
        join = np.logical_and if isinstance(tree, And) == wanted else np.logical_or
        found = _rows(tree.parts[0], columns, wanted)
        for part in tree.parts[1:]:
            join(found, _rows(part, columns, wanted), out=found)
        return found
    if isinstance(tree, CompareColumns):
        left, right = columns[tree.left], columns[tree.right]
        met, nulls = _compared(left, tree.sign, right), [left.null, right.null]
    else:
        column = columns[tree.column]
        if isinstance(tree, IsNull):
            missing = np.zeros(len(column), np.bool_) if column.null is None else column.null
            return missing.copy() if wanted else ~missing
        if isinstance(tree, Is) and not wanted:  # never unknown: null is neither true nor false
            return ~_rows(tree, columns, True)
        met, nulls = _met(tree, column), [column.null]
    if not wanted:
        np.logical_not(met, out=met)
    for null in nulls:
        if null is not None:
            np.greater(met, null, out=met)  # met and not null
    return met


def _met(tree: Compare | Between | Among | Like | Is, column: Column) -> Mask:
    """Rows whose value meets the condition; those that hold null may or may not."""
    if isinstance(tree, Compare) and tree.sign == "<>":
        equal = _met(Compare(tree.column, "=", tree.value), column)
        return np.logical_not(equal, out=equal)
    chosen = (int(tree.truth), int(tree.truth)) if isinstance(tree, Is) else _chosen(tree, column)
    values = column.values
    if isinstance(chosen, tuple):
        return _within(values, chosen, _ends(column))
    if len(chosen) <= FEW:
        found = values == chosen[0]
        for value in chosen[1:]:
            found |= values == value
        return found
    if column.words is not None:
        table = np.zeros(len(column.words) + 1, np.bool_)  # null, -1, is the last
        table[chosen] = True
        return table[values]
    nearest = np.minimum(np.searchsorted(chosen, values), len(chosen) - 1)
    return np.equal(chosen[nearest], values)


def _within(values: NDArray[Any], interval: Interval, ends: Interval) -> Mask:
    low, high = interval
    if low > high:
        return np.zeros(len(values), np.bool_)
    if low == high:
        return np.equal(values, low)
    if low <= ends[0]:
        return np.less_equal(values, high)
    met = np.greater_equal(values, low)
    return met if high >= ends[1] else np.logical_and(met, np.less_equal(values, high), out=met)


def _chosen(tree: Compare | Between | Among | Like, column: Column) -> Interval | NDArray[Any]:
    """The values (of text, places) that a condition other than `<>` picks: an interval, or else all, ascending."""
    if isinstance(tree, Between):
        return _ordered(_least_from(column, tree.low), _most_to(column, tree.high))
    if isinstance(tree, Compare):
        least, most = _ends(column)
        low, high = _least_from(column, tree.value), _most_to(column, tree.value)
        match tree.sign:
            case "=":
                return _ordered(low, high)
            case "<=":
                return _ordered(least, high)
            case ">=":
                return _ordered(low, most)
            case "<":
                return EMPTY if low == -math.inf else _ordered(least, _next(column, low, -1))
            case _:
                return EMPTY if high == math.inf else _ordered(_next(column, high, 1), most)
    if isinstance(tree, Like):
        assert column.words is not None, "only text is like a pattern"
        if isinstance(tree.pattern, Parameter):
            raise unbound(tree.pattern)
        met = column.words.like(str(tree.pattern), tree.escape) != tree.negate
        held = np.flatnonzero(met).astype(column.values.dtype)
    else:
        ends = {(_least_from(column, value), _most_to(column, value)) for value in tree.values}
        held = np.array(sorted(low for low, high in ends if low == high), column.values.dtype)
    whole = _joined(held)
    return held if whole is None else whole


def _joined(held: NDArray[Any]) -> Interval | None:
    """The interval that holds exactly these ascending values, if there is one."""
    if len(held) == 0:
        return EMPTY
    low, high = held[0].item(), held[-1].item()
    if len(held) == 1 or (isinstance(low, int) and high - low == len(held) - 1):
        return low, high
    return None


def _ordered(low: Any, high: Any) -> Interval:
    return (low, high) if low <= high else EMPTY


def _ends(column: Column) -> Interval:
    """The least and the greatest value that the column can hold."""
    if column.words is not None:
        return 0, len(column.words) - 1
    if column.values.dtype.kind == "f":
        return -math.inf, math.inf
    info = np.iinfo(column.values.dtype)
    return int(info.min), int(info.max)


def _least_from(column: Column, value: Value) -> int | float:
    """The least value that the column can hold and that is not below this one."""
    if column.words is not None or isinstance(value, (str, Parameter)):
        return _words(column, value).before(str(value))
    if column.values.dtype.kind != "f":
        least, most = _ends(column)
        return most + 1 if value > most else least if value < least else math.ceil(value)
    near = _nearest(column, value)
    return near if near >= value else _next(column, near, 1)


def _most_to(column: Column, value: Value) -> int | float:
    """The greatest value that the column can hold and that is not above this one."""
    if column.words is not None or isinstance(value, (str, Parameter)):
        return _words(column, value).until(str(value)) - 1
    if column.values.dtype.kind != "f":
        least, most = _ends(column)
        return least - 1 if value < least else most if value > most else math.floor(value)
    near = _nearest(column, value)
    return near if near <= value else _next(column, near, -1)


def _words(column: Column, value: Value) -> Words:
    if isinstance(value, Parameter):
        raise unbound(value)
    assert column.words is not None and isinstance(value, str), "where lets text meet text only"
    return column.words


def _nearest(column: Column, value: int | float) -> float:
    if column.values.dtype.itemsize == 8:
        return float(value)
    with np.errstate(over="ignore"):
        return float(column.values.dtype.type(value))


def _next(column: Column, value: int | float, way: int) -> int | float:
    """The neighbour of a value that the column can hold."""
    if column.values.dtype.kind != "f":
        return value + way
    return float(np.nextafter(column.values.dtype.type(value), column.values.dtype.type(way * math.inf)))


def _compared(left: Column, sign: Sign, right: Column) -> Mask:
    """Rows where the left column's value stands so to the right one's; those that hold null may or may not."""
    a, b = left.values, right.values
    if left.words is not None and right.words is not None:
        both = Words.of(pa.chunked_array([left.words.array, right.words.array]))[1]
        a, b = np.append(both[: len(left.words)], -1)[a], np.append(both[len(left.words) :], -1)[b]
    elif (a.dtype.kind == "f") != (b.dtype.kind == "f"):
        order = -_order(b, a) if a.dtype.kind == "f" else _order(a, b)
        return COMPARED[sign](order, 0)
    return COMPARED[sign](a, b)


def _order(whole: NDArray[Any], floats: NDArray[Any]) -> NDArray[np.int8]:
    """-1, 0 or 1 as the whole number is less, equal or more, by their exact values."""
    rounded, floats = whole.astype(np.float64), floats.astype(np.float64)
    order = (rounded > floats).astype(np.int8) - (rounded < floats)
    # Rounding keeps the order but for ties; there the float is a whole number, at most 2^63, which int64 cannot hold.
    tied = order == 0
    beyond = floats >= 2.0**63
    exact = np.where(tied & ~beyond, floats, 0).astype(np.int64)
    ties = np.where(beyond, -1, (whole > exact).astype(np.int8) - (whole < exact))
    return np.where(tied, ties, order).astype(np.int8)
