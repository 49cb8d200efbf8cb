"""Conditions: SQLite answers what a plain evaluator answers, and nothing but conditions gets through."""

from __future__ import annotations

import datetime
import operator
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory.filled import check_is, make

from semblance.errors import SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.where import compile_where

Row = dict[str, Any]
Verdict = bool | None
Condition = tuple[str, Callable[[Row], Verdict]]

KINDS = {
    "year": pa.int64(),
    "score": pa.float64(),
    "City": pa.string(),
    "two words": pa.string(),
    "ok": pa.bool_(),
    "day": pa.date32(),
    "taken": pa.timestamp("ms"),
}
SQL = re.compile(
    r'("(year|score|City|two words|ok|day|taken)"|\?|AND|OR|NOT|IN|LIKE|ESCAPE|BETWEEN|IS|NULL|[<>=(), ])+'
)
SIGNS = {"=": operator.eq, "<>": operator.ne, "!=": operator.ne, "==": operator.eq}
SIGNS |= {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

letters = st.text(alphabet="aAbé%_' \";-\n\\☃", max_size=4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "year": st.integers(-3, 3) | st.integers(-(2**63) + 1, 2**63 - 1),
    "score": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 0.1, -1.5]),
    "City": letters,
    "two words": letters,
    "ok": st.booleans(),
    "day": st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)) | st.just(datetime.date(2024, 2, 29)),
    "taken": st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)).map(
        lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
    ),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), min_size=1, max_size=8
)


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def name_of(column: str) -> str:
    return f'"{column}"' if " " in column else column


@st.composite
def leaf(draw: st.DrawFn) -> Condition:
    column = draw(st.sampled_from(sorted(KINDS)))
    name, values = name_of(column), VALUES[column]
    form = draw(st.sampled_from(["compare", "flip", "between", "in", "null", "like" if "o" in column else "compare"]))
    if form == "null":
        missing = draw(st.booleans())
        return f"{name} is {'' if missing else 'not '}null", lambda row: (row[column] is None) == missing
    if form == "like" and KINDS[column] == pa.string():
        pattern, negated = draw(letters), draw(st.booleans())
        regex = re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(ascii_lower(c))) for c in pattern), re.DOTALL)
        return (
            f"{name} {'not ' if negated else ''}like {written(pattern)}",
            lambda row: None if row[column] is None else bool(regex.fullmatch(ascii_lower(row[column]))) != negated,
        )
    if form == "in":
        some, negated = draw(st.lists(values, min_size=1, max_size=3)), draw(st.booleans())
        return (
            f"{name} {'not ' if negated else ''}in ({', '.join(map(written, some))})",
            lambda row: None if row[column] is None else (row[column] in some) != negated,
        )
    if form == "between":
        low, high = sorted([draw(values), draw(values)])
        return (
            f"{name} between {written(low)} and {written(high)}",
            lambda row: None if row[column] is None else low <= row[column] <= high,
        )
    sign, value = draw(st.sampled_from(sorted(SIGNS))), draw(values)
    if form == "flip":
        return (
            f"{written(value)} {sign} {name}",
            lambda row: None if row[column] is None else SIGNS[sign](value, row[column]),
        )
    return (
        f"{name} {sign} {written(value)}",
        lambda row: None if row[column] is None else SIGNS[sign](row[column], value),
    )


def ascii_lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def joined(word: str, left: Condition, right: Condition) -> Condition:
    """SQL's logic of three values: unknown unless one side decides."""
    decides = word == "or"

    def verdict(row: Row) -> Verdict:
        both = (left[1](row), right[1](row))
        if decides in both:
            return decides
        return None if None in both else not decides

    return f"({left[0]}) {word} ({right[0]})", verdict


def negated(inner: Condition) -> Condition:
    def verdict(row: Row) -> Verdict:
        found = inner[1](row)
        return None if found is None else not found

    return f"not ({inner[0]})", verdict


conditions = st.recursive(
    leaf(),
    lambda inner: st.builds(joined, st.sampled_from(["and", "or"]), inner, inner) | inner.map(negated),
    max_leaves=6,
)


def answered(text: str, rows: list[Row]) -> list[int]:
    """The positions that SQLite gives, over a table written as a space writes it."""
    schema = pa.schema(list(KINDS.items()))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")
    arrow.add_columns(connection, pa.schema([]), schema)
    arrow.put(connection, schema, range(len(rows)), pa.Table.from_pylist(rows, schema))
    sql, values = compile_where(text, KINDS, arrow.places(schema))
    found = [row for (row,) in connection.execute(f"SELECT row FROM attributes WHERE {sql} ORDER BY row", values)]
    connection.close()
    return found


@settings(max_examples=150)
@given(conditions, ROWS)
@example(("City = ';'", lambda row: row["City"] == ";"), [dict.fromkeys(KINDS) | {"City": ";"}])
@example(("City = '--'", lambda row: row["City"] == "--"), [dict.fromkeys(KINDS) | {"City": "--"}])
def test_sqlite_finds_the_rows_that_a_plain_evaluator_finds(condition: Condition, rows: list[Row]) -> None:
    text, verdict = condition
    assert answered(text, rows) == [number for number, row in enumerate(rows) if verdict(row) is True]


def test_the_comparison_with_the_plain_evaluator_can_fail() -> None:
    rows = [dict.fromkeys(KINDS) | {"year": 1}, dict.fromkeys(KINDS)]
    assert answered("not year = 2", rows) != [number for number, row in enumerate(rows) if row["year"] != 2]


WORDS = (
    "year City 'x' 1 - = < and or not in ( ) like between is null ; -- /* */ select union exists pragma case when cast"
)
WORDS += (
    " as attach sqlite_master || abs( ? :a @b $c x'41' [ ] ` glob match regexp collate nocase escape ' \" , . * 1e999"
)
FRAGMENTS = st.sampled_from([*WORDS.split(), '"two words"', "drop table items", "0x10", "true", "\\", "\0"])


@settings(max_examples=250)
@given(st.lists(FRAGMENTS | st.text(max_size=3), max_size=12).map(" ".join))
@example("City = 'x'" + " and City = 'x'" * 5000)
@example("not " * 5000 + "ok")
@example("(" * 5000 + "ok" + ")" * 5000)
@example("year = \ud800")
def test_any_text_becomes_a_condition_with_bound_values_or_one_line_of_refusal(text: str) -> None:
    try:
        sql, values = compile_where(text, KINDS)
    except SemblanceError as error:
        assert "\n" not in str(error) and str(error).startswith("where")
    else:
        assert SQL.fullmatch(sql)
        assert sql.count("?") == len(values)


INJECTIONS = [
    "year = 1; drop table items",
    "year = 1; -- rest",
    "year = 1 -- rest",
    "year = 1 /* rest */",
    "year = 1 union select id from items",
    "year in (select row from items)",
    "exists (select 1)",
    "year = (select max(row) from items)",
    "abs(year) = 1",
    "load_extension('x') = 1",
    "year = randomblob(1000000000)",
    "City || 'x' = 'y'",
    "City collate nocase = 'a'",
    "City glob '*'",
    "City match 'x'",
    "cast(year as text) = '1'",
    "case when ok then true else false end",
    "pragma user_version",
    "attach database 'x' as y",
    "year = ?",
    "year = :name",
    "year = 1 or 1 = 1",
    "1 = 1",
    "'a' = 'a'",
    "true",
    "*",
    "select 1",
    "year + 1 = 2",
    "items.row = 1",
    '"row" = 1',
    "rowid = 1",
    "City = x'41'",
    "year in (1, City)",
    "year between 1 and score",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(SemblanceError, match=r"^where"):
        compile_where(text, KINDS)


def test_attempts_at_injection_leave_a_space_as_it_was(tmp_path: Path) -> None:
    with make(tmp_path / "s") as store:
        for text in [*INJECTIONS, "year = 1'; drop table items; --", "city = 'x'; drop table items"]:
            with pytest.raises(SemblanceError, match=r"^where"):
                store.rows_where(text)
        # What stands in quotes is a value, whatever it says.
        assert len(store.rows_where("city = '; drop table items; -- or 1=1'")) == 0
        check_is(store, 30)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "yaer = 1",
            r"no column 'yaer': did you mean year.*\(the columns: City, day, ok, score, taken, two words, year",
        ),
        ('City = "Oslo"', "text is written in single quotes"),
        ("year = ", "character"),
        ("year = 1 and", "character"),
        ("City = 'Oslo", "not closed"),
        ("", "empty"),
        ("   ", "empty"),
        ("year = 'x'", "'year' holds numbers, and 'x' is text"),
        ("City = 5", "'City' holds text, and 5 is a number"),
        ("City = true", "true and false are neither"),
        ("year = null", "write `year is null`"),
        ("year > City", "they do not compare"),
        ("ok = 2", "holds true or false"),
        ("year", "alone is no condition"),
        ("day = 'soon'", "no date"),
        ("taken > '2024-01-01T00:00:00+02:00'", "leave the zone out"),
        ("year between 5 and 1", "larger end first"),
        ("year in ()", "empty list"),
        ("year like '1%'", "`like` is for text"),
        ("year = 99999999999999999999", "64 bits"),
        ("City in (" + ", ".join(["'x'"] * 30_001) + ")", "more than 30000 values"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    with pytest.raises(SemblanceError, match=says):
        compile_where(text, KINDS)


def test_names_match_in_any_case_where_only_one_does() -> None:
    kinds = {"Year": pa.int64(), "day": pa.int64(), "DAY": pa.int64()}
    assert compile_where("YEAR = 1", kinds) == ('"Year" = ?', [1])
    assert compile_where("DAY = 1", kinds) == ('"DAY" = ?', [1])
    with pytest.raises(SemblanceError, match="no column 'Day'"):
        compile_where("Day = 1", kinds)


def test_a_number_means_the_number_that_a_column_of_32_bits_holds() -> None:
    _, values = compile_where("w = 0.1", {"w": pa.float32()})
    assert values == pa.array([0.1], pa.float32()).to_pylist()


def test_times_with_a_zone_are_compared_in_utc_and_nanoseconds_stay_exact() -> None:
    kinds = {"at": pa.timestamp("ns", "Europe/Oslo")}
    assert compile_where("at = '1970-01-01T02:00:00+02:00'", kinds)[1] == [0]
    assert compile_where("at = '1970-01-01 00:00:01'", kinds)[1] == [10**9]


def test_an_escaped_wildcard_is_a_letter() -> None:
    rows = [dict.fromkeys(KINDS) | {"City": city} for city in ("5%", "50")]
    assert answered("City like '5!%' escape '!'", rows) == [0]
