"""Tables and conditions drawn by hypothesis, for tests of what reads conditions."""

from __future__ import annotations

import datetime
import math
from typing import Any, get_args

import pyarrow as pa
from hypothesis import strategies as st

from semblance.errors import SemblanceError
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
    Sign,
)
from semblance.memory.values import stored

SCHEMA = pa.schema(
    {
        "whole": pa.int64(),
        "Small one": pa.int16(),
        "count": pa.uint64(),
        "score": pa.float64(),
        "weight": pa.float32(),
        'city"s': pa.string(),
        "select": pa.string(),
        "ok": pa.bool_(),
        "sharp": pa.bool_(),
        "day": pa.date32(),
        "taken": pa.timestamp("ms"),
        "at": pa.timestamp("ns", "Europe/Oslo"),
        "tags": pa.list_(pa.string()),
    }
)
KINDS = {field.name: field.type for field in SCHEMA}

EDGES = [0, 1, -1, 2, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 - 1024, -(2**63)]
whole = st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1)
floats = st.sampled_from([0.0, -0.0, 0.1, 1.5, -1.5, 2.0**53, 2.0**63, -(2.0**63), math.inf, -math.inf, 5e-324])
floats = floats | st.floats(allow_nan=False)
text = st.text(alphabet="aAbBzé%_'\"\\!\n ☃\ufffd\uffff😀", max_size=4)
moments = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)) | st.sampled_from(
    [datetime.datetime(1970, 1, 1), datetime.datetime(2024, 2, 29, 12), datetime.datetime(2024, 2, 29)]
)


def _held(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """What rows of a column of this type hold."""
    if kind == pa.int16():
        return st.integers(-2, 2) | st.integers(-(2**15), 2**15 - 1)
    if kind == pa.uint64():
        return st.integers(0, 2) | st.integers(0, 2**63 - 1)
    if pa.types.is_integer(kind):
        return whole
    if pa.types.is_floating(kind):
        width = 64 if kind == pa.float64() else 32
        return st.sampled_from([0.0, 1.5, 2.0**53, 2.0**63, math.inf]) | st.floats(width=width)  # NaN is null
    if pa.types.is_string(kind):
        return text | text.map(lambda found: found + "\0a")
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_list(kind):
        return st.lists(text, max_size=1)
    if pa.types.is_date(kind):
        return moments.map(lambda found: found.date())
    return moments.map(lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000))


tables = st.lists(
    st.fixed_dictionaries({name: st.none() | _held(kind) for name, kind in KINDS.items()}), max_size=12
).map(lambda rows: pa.Table.from_pylist(rows, SCHEMA))


def asked(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """What a user may compare a column of this type with."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return whole | floats | st.integers(-2, 2)
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_string(kind):
        return text
    return moments


def value_of(name: str) -> st.SearchStrategy[Any]:
    """The same, as the column stores it."""
    return asked(KINDS[name]).map(lambda value: stored(value, name, KINDS[name], SemblanceError))


TEXTS = [name for name, kind in KINDS.items() if pa.types.is_string(kind)]
TRUTHS = [name for name, kind in KINDS.items() if pa.types.is_boolean(kind)]
VALUED = [name for name, kind in KINDS.items() if not pa.types.is_list(kind)]
ALIKE = [["whole", "Small one", "count", "score", "weight"], TEXTS, TRUTHS, ["day", "taken"], ["at"]]
signs = st.sampled_from(get_args(Sign))
escapes = st.none() | st.sampled_from("!%_aé")

compares = st.sampled_from(VALUED).flatmap(lambda name: st.builds(Compare, st.just(name), signs, value_of(name)))
pairs = st.sampled_from(ALIKE).flatmap(
    lambda names: st.builds(CompareColumns, st.sampled_from(names), signs, st.sampled_from(names))
)
betweens = st.sampled_from(VALUED).flatmap(
    lambda name: st.tuples(value_of(name), value_of(name)).map(lambda ends: Between(name, *sorted(ends)))
)
amongs = st.sampled_from(VALUED).flatmap(
    lambda name: st.lists(value_of(name), min_size=1, max_size=12).map(lambda values: Among(name, tuple(values)))
)
likes = st.builds(Like, st.sampled_from(TEXTS), text, st.booleans(), escapes)
missing = st.builds(IsNull, st.sampled_from(list(KINDS)))
truths = st.builds(Is, st.sampled_from(TRUTHS), st.booleans())
leaves = st.one_of(compares, compares, pairs, betweens, amongs, likes, missing, truths)


def _joined(kind: type[And] | type[Or], parts: list[Condition]) -> Condition:
    """As `parse_where` leaves it: no And directly within an And."""
    return kind(tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,))))


trees: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(_joined, st.sampled_from([And, Or]), st.lists(inner, min_size=2, max_size=4)) | st.builds(Not, inner)
    ),
    max_leaves=8,
)
