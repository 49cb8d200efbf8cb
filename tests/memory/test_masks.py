"""Masks: what is found in memory is what SQLite finds, row by row, also where values are unknown or barely differ."""

from __future__ import annotations

import math
import operator
import sqlite3
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory.conditions_drawn import KINDS, SCHEMA, escapes, leaves, likes, pairs, tables, text, trees

from semblance.errors import SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.conditions import (
    Among,
    And,
    Between,
    Compare,
    CompareColumns,
    Condition,
    IsNull,
    Like,
    Not,
    Or,
    Sign,
    columns_of,
)
from semblance.memory.masks import Column, span, true_rows
from semblance.memory.where import compile_where, parse_where
from semblance.memory.words import Words


def by_sqlite(condition: Condition, table: pa.Table) -> list[bool]:
    """The answer over a table written as a space writes it, asked by the text of the condition."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")
    arrow.add_columns(connection, pa.schema([]), table.schema)
    arrow.put(connection, table.schema, range(table.num_rows), table)
    sql, values = compile_where(str(condition), KINDS, arrow.places(table.schema))
    found = {row for (row,) in connection.execute(f"SELECT row FROM attributes WHERE {sql}", values)}
    connection.close()
    return [row in found for row in range(table.num_rows)]


def held(table: pa.Table) -> dict[str, Column]:
    return {name: Column.of(table[name]) for name in table.column_names}


@settings(max_examples=200)
@given(trees, tables)
def test_the_true_rows_are_those_that_sqlite_finds(condition: Condition, table: pa.Table) -> None:
    assert true_rows(condition, held(table)).tolist() == by_sqlite(condition, table)


@settings(max_examples=100)
@given(pairs | likes, tables)
def test_columns_against_columns_and_patterns_answer_as_in_sqlite(condition: Condition, table: pa.Table) -> None:
    assert true_rows(condition, held(table)).tolist() == by_sqlite(condition, table)


@settings(max_examples=200)
@given(st.lists(text.map(lambda word: word * 2), max_size=8), text, escapes)
def test_a_pattern_matches_the_words_that_sqlite_matches(words: list[str], pattern: str, escape: str | None) -> None:
    table = pa.table({'city"s': pa.array(words, pa.string())}, schema=pa.schema([SCHEMA.field('city"s')]))
    condition = Like('city"s', pattern, False, escape)
    assert true_rows(condition, held(table)).tolist() == by_sqlite(condition, table)


@pytest.mark.parametrize("pattern", ["\ufffd", "%\ufffe", "\uffff%", "_", "%_", "é", "É", "k", "a", "A_", "", "%"])
def test_letters_that_sqlite_reads_in_its_own_way_are_read_so(pattern: str) -> None:
    words = ["\ufffd", "\ufffe", "\uffff", "é", "É", "K", "\u212a", "k", "😀", "a\0b", "\0", "ab", "a\n", "", "%"]
    table = pa.table({'city"s': pa.array(words)}, schema=pa.schema([SCHEMA.field('city"s')]))
    condition = Like('city"s', pattern)
    assert true_rows(condition, held(table)).tolist() == by_sqlite(condition, table)


def test_the_comparison_with_sqlite_can_fail() -> None:
    table = pa.Table.from_pylist([{"whole": 1}, {}], SCHEMA)
    assert (~true_rows(Compare("whole", "=", 2), held(table))).tolist() != by_sqlite(
        Not(Compare("whole", "=", 2)), table
    )


@given(trees, tables, st.data())
def test_at_chosen_rows_the_answer_is_that_part_of_the_whole_answer(
    condition: Condition, table: pa.Table, data: st.DataObject
) -> None:
    columns, count = held(table), table.num_rows
    whole = true_rows(condition, columns)
    some = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=6)) if count else [], np.int64)
    assert true_rows(condition, columns, some).tolist() == whole[some].tolist()
    piece = slice(data.draw(st.integers(0, count)), data.draw(st.integers(0, count)))
    assert true_rows(condition, columns, piece).tolist() == whole[piece].tolist()


@settings(max_examples=150)
@given(leaves | leaves.map(Not), tables)
def test_a_span_holds_the_true_values_and_no_others(condition: Condition, table: pa.Table) -> None:
    names = columns_of(condition)
    column = held(table)[names[0]]
    found = span(condition, column) if len(names) == 1 else None
    if found is None:
        return
    within = (column.values >= found[0]) & (column.values <= found[1])
    if column.null is not None:
        within &= ~column.null
    assert within.tolist() == true_rows(condition, {names[0]: column}).tolist()


def spanned(text: str, values: list[Any], kind: pa.DataType) -> Any:
    return span(parse_where(text, {"x": kind}), Column.of(pa.array(values, kind)))


def test_spans_are_closed_and_exact() -> None:
    assert spanned("x > 3", [1], pa.int64()) == (4, 2**63 - 1)
    assert spanned("x < 2.5", [1], pa.int8()) == (-128, 2)
    assert spanned("x = 2.5", [1], pa.int64()) == spanned("x > 127", [1], pa.int8()) == (1, 0)
    assert spanned("x between -1 and 9e999", [1], pa.int32()) == (-1, 2**31 - 1)
    assert spanned("x > 0.5", [1.0], pa.float64()) == (math.nextafter(0.5, 1), math.inf)
    assert spanned("x = 9007199254740993", [1.0], pa.float64()) == (1, 0)
    assert spanned("x <= 9007199254740995", [1.0], pa.float64()) == (-math.inf, 2.0**53 + 2)
    assert spanned("x >= 9007199254740993", [1.0], pa.float64()) == (2.0**53 + 2, math.inf)
    assert spanned("x < 9e999", [1.0], pa.float64()) == (-math.inf, math.nextafter(math.inf, 0))
    low, high = spanned("x > 0.1", [1.0], pa.float32())
    assert low == float(np.nextafter(np.float32(0.1), np.float32(1))) and high == math.inf
    below = float(np.nextafter(np.float32(0.1), np.float32(0)))  # 0.1 itself lies between two that 32 bits can hold
    assert span(Compare("x", "<=", 0.1), Column.of(pa.array([1.0], pa.float32()))) == (-math.inf, below)
    assert spanned("x in (2, 3, 4)", [1], pa.int64()) == (2, 4)
    assert spanned("not x > 3", [1], pa.int64()) == (-(2**63), 3)
    for asked in ("x <> 3", "x in (1, 3)", "x is null", "not x is null", "x = 1 or x = 2", "not x in (1, 2)"):
        assert spanned(asked, [1], pa.int64()) is None


def test_spans_of_text_are_places_among_the_words_in_order() -> None:
    words = ["pear", "apple", None, "Pear", "fig", "apple"]
    assert spanned("x = 'apple'", words, pa.string()) == (1, 1)
    assert spanned("x = 'plum'", words, pa.string()) == (1, 0)
    assert spanned("x >= 'b'", words, pa.string()) == (2, 3)
    assert spanned("x < 'apple'", words, pa.string()) == (0, 0)
    assert spanned("x like 'f%'", words, pa.string()) == (2, 2)
    assert spanned("x like 'p%'", words, pa.string()) is None
    assert spanned("x in ('fig', 'apple', 'kiwi')", words, pa.string()) == (1, 2)


def test_the_place_of_a_word_is_the_same_among_many_words() -> None:
    many = [f"w{number * 2:06d}" for number in range(10_000)]
    words, codes = Words.of(pa.chunked_array([many[5000:], many[:5000]], pa.string()))
    assert words.step > 1 and codes.tolist() == [*range(5000, 10_000), *range(5000)]
    for number in [0, 1, 2, 3, 4, 5, 11, 9998, 9999, 10_001, 19_997, 19_998, 19_999, 30_000]:
        word = f"w{number:06d}"
        assert words.before(word) == sum(other < word for other in many)
        assert words.until(word) == sum(other <= word for other in many)
    assert words.before("") == 0 and words.until("x") == 10_000


@pytest.mark.parametrize(("sign", "plain"), [("<", operator.lt), (">=", operator.ge), ("=", operator.eq)])
def test_large_numbers_are_not_rounded_before_they_are_compared(sign: Any, plain: Any) -> None:
    numbers = [2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63)]
    column = Column.of(pa.array(numbers))
    for value in [float(2**53), float(2**53) + 2, 2.0**63, -(2.0**63)]:
        assert true_rows(Compare("x", sign, value), {"x": column}).tolist() == [plain(n, value) for n in numbers]


@pytest.mark.parametrize("width", [pa.float64(), pa.float32()])
def test_whole_numbers_and_floats_of_two_columns_compare_by_their_exact_values(width: pa.DataType) -> None:
    wholes = [0, 1, 2**24 + 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 512, -(2**63), -(2**53) - 1]
    floats = [0.0, 0.5, 2.0**24, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), -(2.0**53), math.inf, -math.inf]
    pairs = [(whole, number) for whole in wholes for number in floats]
    columns = {
        "whole": Column.of(pa.array([whole for whole, _ in pairs])),
        "float": Column.of(pa.array([number for _, number in pairs], width)),
    }
    exact = [(whole, float(np.float32(number)) if width == pa.float32() else number) for whole, number in pairs]
    signs: list[tuple[Sign, Any]] = [("<", operator.lt), ("<=", operator.le), ("=", operator.eq), ("<>", operator.ne)]
    for sign, plain in signs:
        found = true_rows(CompareColumns("whole", sign, "float"), columns)
        assert found.tolist() == [plain(whole, number) for whole, number in exact]
        found = true_rows(CompareColumns("float", sign, "whole"), columns)
        assert found.tolist() == [plain(number, whole) for whole, number in exact]


def test_columns_come_from_any_arrow_layout() -> None:
    chunks = pa.chunked_array([[True, None], [False]])
    column = Column.of(chunks)
    assert column.kind == "truth" and column.null is not None and column.null.tolist() == [False, True, False]
    assert Column.of(pa.array([1, 2])).null is None
    coded = Column.of(pa.array(["b", "a", "b"]).dictionary_encode())
    assert coded.kind == "text" and coded.values.tolist() == [1, 0, 1]
    assert Column.of(pa.array([1.5, math.nan], pa.float16())).null.tolist() == [False, True]  # type: ignore[union-attr]
    empty = Column.of(pa.chunked_array([], pa.string()))
    assert len(empty) == 0 and true_rows(Like("x", "a%"), {"x": empty}).tolist() == []
    with pytest.raises(SemblanceError, match="'size' holds a whole number"):
        Column.of(pa.array([2**64 - 1], pa.uint64()), "size")
    with pytest.raises(SemblanceError, match="'blob' is of type binary"):
        Column.of(pa.array([b"x"]), "blob")


def test_a_column_that_is_not_there_and_a_value_that_is_missing_are_named() -> None:
    columns = {"year": Column.of(pa.array([1]))}
    with pytest.raises(SemblanceError, match="no column 'yaer': did you mean year"):
        true_rows(IsNull("yaer"), columns)
    for asked in ("year = ?", "year between 1 and ?", "year in (?, 1)"):
        with pytest.raises(SemblanceError, match=r"question mark 1 .*'year'"):
            true_rows(parse_where(asked, {"year": pa.int64()}), columns)
    with pytest.raises(SemblanceError, match=r"question mark 1 .*'x'"):
        true_rows(parse_where("x like ?", {"x": pa.string()}), {"x": Column.of(pa.array(["a"]))})


def test_a_pattern_of_any_length_or_shape_is_answered_in_time_that_grows_with_the_text_alone() -> None:
    words = {"x": Column.of(pa.array(["a" * 5000, "b"]))}
    assert true_rows(Like("x", "%a" * 2000 + "%b"), words).tolist() == [False, False]
    assert true_rows(Like("x", "a_" * 2500), words).tolist() == [True, False]
    assert true_rows(Like("x", "%" * 50_000), words).tolist() == [True, True]


def test_logic_of_three_values_by_its_table() -> None:
    """and, or and not of true, false and unknown, as SQL defines them."""
    truth = [True, True, True, False, False, False, None, None, None]
    other = [True, False, None] * 3
    columns = {"a": Column.of(pa.array(truth)), "b": Column.of(pa.array(other))}
    a, b = Compare("a", "=", 1), Compare("b", "=", 1)

    def answers(condition: Condition) -> str:
        true, false = true_rows(condition, columns), true_rows(Not(condition), columns)
        assert not (true & false).any()
        return "".join("T" if t else "F" if f else "?" for t, f in zip(true, false, strict=True))

    assert answers(And((a, b))) == "TF?FFF?F?"
    assert answers(Or((a, b))) == "TTTTF?T??"
    assert answers(Not(a)) == "FFFTTT???"


def test_values_that_a_column_cannot_hold_match_nothing_and_raise_nothing() -> None:
    columns = {"x": Column.of(pa.array([1, 2, None], pa.int8()))}
    assert true_rows(Compare("x", "<", 1000), columns).tolist() == [True, True, False]
    assert true_rows(Compare("x", "<>", 1000), columns).tolist() == [True, True, False]
    assert true_rows(Among("x", (1000, 2, 0.5, math.inf)), columns).tolist() == [False, True, False]
    assert true_rows(Among("x", (*range(100, 120), 2, 1, 40)), columns).tolist() == [True, True, False]
    assert true_rows(Between("x", -math.inf, 1.5), columns).tolist() == [True, False, False]
