"""Conditions: a tree, its text and its SQL say the same; what is bound is what would have been written."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory.conditions_drawn import KINDS, VALUED, asked, trees
from sqlglot.dialects.sqlite import SQLite

from semblance.errors import SemblanceError
from semblance.memory.conditions import (
    And,
    Between,
    Compare,
    Condition,
    IsNull,
    Not,
    Or,
    Parameter,
    columns_of,
    conjuncts,
    parameters_of,
    to_sql,
)
from semblance.memory.where import bind, compile_where, parse_where


@settings(max_examples=150)
@given(trees)
def test_the_text_of_a_condition_is_read_as_the_same_condition(tree: Condition) -> None:
    again = parse_where(str(tree), KINDS)
    assert again == tree and hash(again) == hash(tree) and str(again) == str(tree)
    assert compile_where(str(tree), KINDS) == to_sql(tree)


@pytest.mark.parametrize("word", ["and", "or"])
def test_long_chains_are_one_list_of_parts_and_short_sums_of_sql(word: str) -> None:
    def balanced(low: int, high: int) -> str:
        middle = (low + high) // 2
        return f"year <> {low}" if high - low == 1 else f"({balanced(low, middle)}) {word} ({balanced(middle, high)})"

    tree = parse_where(balanced(0, 3000), {"year": pa.int64()})
    assert isinstance(tree, And if word == "and" else Or) and len(tree.parts) == 3000
    assert parse_where(str(tree), {"year": pa.int64()}) == tree
    sql, values = to_sql(tree)
    assert values == list(range(3000))
    assert max(np.cumsum([{"(": 1, ")": -1}.get(letter, 0) for letter in sql])) < 20


def test_a_column_of_any_name_is_written_so_that_it_is_read_as_a_column() -> None:
    names = [str(word) for word in SQLite.Tokenizer.KEYWORDS if "{" not in str(word)] + [*SQLite.Parser.FUNCTIONS]
    for name in [*names, *map(str.lower, names), "x", "N", "e", "a.b", 'a"b', "a b", "é", "1", "", "--", "?", "'"]:
        kinds = {name: pa.int64()}
        for tree in (Compare(name, "=", 1), And((Not(IsNull(name)), Not(Between(name, 1, 2))))):
            assert parse_where(str(tree), kinds) == tree


def test_texts_read_as_a_person_would_write_them() -> None:
    kinds = {"year": pa.int64(), "city": pa.string(), "ok": pa.bool_(), "at": pa.timestamp("ns"), "w": pa.float32()}
    for text in (
        "year >= 2020 and (city = 'Oslo' or city like 'B!%%' escape '!') and city is not null",
        "at between '2024-01-01' and '2024-06-30 12:30:00' or not year in (1, 2)",
        "not (ok is true and w = 0.5) or city not like 'a_'",
    ):
        assert str(parse_where(text, kinds)) == text
    assert str(parse_where("2020 <= year AND (ok)", kinds)) == "year >= 2020 and ok = 1"
    assert str(parse_where("year = ? and city in (?, 'x')", kinds)) == "year = ? and city in (?, 'x')"


def test_conjuncts_and_columns_of_a_tree() -> None:
    kinds = {name: pa.int64() for name in "abcd"}
    tree = parse_where("(a = 1 and b = 2) and (c < a or d is null) and not (a = 1 and b = 1)", kinds)
    assert [str(part) for part in conjuncts(tree)] == ["a = 1", "b = 2", "c < a or d is null", "not (a = 1 and b = 1)"]
    assert columns_of(tree) == ("a", "b", "c", "d")
    nested = And((And((IsNull("a"), IsNull("b"))), IsNull("a")))
    assert conjuncts(nested) == [IsNull("a"), IsNull("b"), IsNull("a")]


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value).replace("inf", "9e999")
    return "'" + str(value).replace("'", "''") + "'"


@settings(max_examples=150)
@given(st.data())
def test_what_is_bound_is_what_would_have_been_written(data: st.DataObject) -> None:
    forms = ["{} = ?", "{} < ?", "? >= {}", "{} in (?, ?)", "not {} <> ?", "{} between ? and ?"]
    parts, values = [], []
    for form in data.draw(st.lists(st.sampled_from(forms), min_size=1, max_size=3)):
        name = data.draw(st.sampled_from(VALUED))
        parts.append(form.format('"' + name.replace('"', '""') + '"'))
        some = data.draw(st.lists(asked(KINDS[name]), min_size=form.count("?"), max_size=form.count("?")))
        values += sorted(some)
    text = " and ".join(parts)
    pieces = text.split("?")
    literal = "".join(piece + value for piece, value in zip(pieces, [*map(written, values), ""], strict=True))
    prepared = parse_where(text, KINDS)
    assert len(parameters_of(prepared)) == len(values)
    assert parse_where(str(prepared), KINDS) == prepared
    assert bind(prepared, values) == parse_where(literal, KINDS)


PREPARED = "year = ? and w < ? and city = ? and ok = ? and day >= ? and score between ? and ? and city like ?"
FITTING: list[Any] = [1, 0.5, "x", True, datetime.date(2024, 5, 1), 1, 2, "a%"]
TYPES = {
    "year": pa.int64(),
    "w": pa.float32(),
    "city": pa.string(),
    "ok": pa.bool_(),
    "day": pa.date32(),
    "score": pa.float64(),
}


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, "x", r"'year' holds numbers, and 'x' is text \(value 1\)"),
        (0, None, "write `year is null`"),
        (0, float("nan"), "nan is no number.*`year is null`"),
        (0, np.float32("nan"), "nan is no number"),
        (0, 2**63, "64 bits"),
        (0, True, "true and false are neither"),
        (0, [1], "a value of type list is none of these"),
        (0, datetime.date(2024, 1, 1), "'year' holds numbers, and 2024-01-01 is a date"),
        (2, 5, "'city' holds text, and 5 is a number"),
        (2, "a\0b", "zero character"),
        (2, "\ud800", "half a character"),
        (3, 2, "holds true or false"),
        (4, "soon", "no date"),
        (4, "2024-01-01T00:00:00+02:00", "leave the zone out"),
        (5, 3, "larger end first"),
        (7, "a" * 50_001, "more than 50000 bytes"),
    ],
)
def test_a_value_that_does_not_fit_is_named(place: int, value: Any, says: str) -> None:
    prepared = parse_where(PREPARED, TYPES)
    assert parameters_of(bind(prepared, FITTING)) == []
    with pytest.raises(SemblanceError, match=says) as raised:
        bind(prepared, [*FITTING[:place], value, *FITTING[place + 1 :]])
    assert "\n" not in str(raised.value) and str(raised.value).startswith("where")


def test_too_few_and_too_many_values_are_counted() -> None:
    for values in (FITTING[:-1], [*FITTING, 1], []):
        with pytest.raises(SemblanceError, match=f"has 8 question marks, and {len(values)} values came"):
            bind(parse_where(PREPARED, TYPES), values)


def test_numpy_numbers_and_moments_are_bound_as_plain_ones() -> None:
    tree = parse_where("year = ? and w < ? and day >= ?", TYPES)
    bound = bind(tree, [np.int32(7), np.float64(0.1), datetime.datetime(1970, 1, 2)])
    assert bound == bind(tree, [7, 0.1, "1970-01-02"])
    assert to_sql(bound)[1] == [7, float(np.float32(0.1)), 86_400_000_000]
    assert [type(value) for value in to_sql(bound)[1]] == [int, float, int]


def test_a_question_mark_without_its_value_is_no_sql() -> None:
    with pytest.raises(SemblanceError, match=r"^where 'year = \?': a question mark has no value here"):
        compile_where("year = ?", TYPES)
    with pytest.raises(SemblanceError, match="question mark 2 of the condition, for column 'w'"):
        to_sql(And((Compare("year", "=", 1), Compare("w", "=", Parameter(1, "w", pa.float32())))))
    for text in ("year = ?1", "year = :a", "ok is ?", "? = ?", "? is null", "city like 'a' escape ?"):
        with pytest.raises(SemblanceError, match=r"^where"):
            parse_where(text, TYPES)
