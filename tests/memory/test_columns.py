"""Attributes: what an Arrow table holds comes back from SQLite as it was."""

from __future__ import annotations

import datetime
import sqlite3
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.memory import columns

UTC = datetime.UTC
DAY = st.dates(datetime.date(1, 1, 1))
MOMENT = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[object]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**63 - 1)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
    "date32": (pa.date32(), DAY),
    "date64": (pa.date64(), DAY),
    "s": (pa.timestamp("s"), MOMENT.map(lambda t: t.replace(microsecond=0))),
    "us": (pa.timestamp("us"), MOMENT),
    "ns": (pa.timestamp("ns"), MOMENT),
    "us in Oslo": (pa.timestamp("us", "Europe/Oslo"), MOMENT.map(lambda t: t.replace(tzinfo=UTC))),
    "ns in UTC": (pa.timestamp("ns", "UTC"), MOMENT.map(lambda t: t.replace(tzinfo=UTC))),
    "texts": (pa.list_(pa.string()), st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])))),
    "floats": (pa.list_(pa.float64()), st.lists(st.floats(allow_nan=False, allow_infinity=False))),
}


def there_and_back(table: pa.Table) -> pa.Table:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")
    table = columns.storable(table)
    columns.add_columns(connection, pa.schema([]), table.schema)
    columns.put(connection, table.schema, range(table.num_rows), table)
    back = columns.get(connection, table.schema, table.column_names, range(table.num_rows))
    connection.close()
    return back


@pytest.mark.parametrize("name", TYPES)
def test_every_type_comes_back_as_it_was(name: str) -> None:
    kind, values = TYPES[name]

    @given(st.lists(st.none() | values, max_size=6))
    def check(some: list[object]) -> None:
        table = pa.table({name: pa.array(some, kind)})
        back = there_and_back(table)
        assert back.schema == table.schema
        assert back.to_pylist() == table.to_pylist()

    check()


def test_dictionaries_and_empty_columns_come_back_as_text_and_nan_as_null() -> None:
    table = pa.table(
        {
            "kind": pa.array(["a", None, "a"]).dictionary_encode(),
            "nothing": pa.nulls(3),
            "score": [1.0, float("nan"), None],
        }
    )
    back = there_and_back(table)
    assert back.to_pydict() == {"kind": ["a", None, "a"], "nothing": [None] * 3, "score": [1.0, None, None]}
    assert back.schema.field("kind").type == back.schema.field("nothing").type == pa.string()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"price": [Decimal("1.5")]}), "attribute 'price' is of type decimal"),
        (pa.table({"box": [{"x": 1}]}), "attribute 'box' is of type struct"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "'a' stands in the table twice"),
    ],
)
def test_what_cannot_be_kept_is_named(table: pa.Table, says: str) -> None:
    with pytest.raises(SemblanceError, match=says):
        there_and_back(table)


def test_a_whole_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(SemblanceError, match="does not fit into 64 bits"):
        there_and_back(pa.table({"n": pa.array([2**64 - 1], pa.uint64())}))


def test_any_name_may_be_a_column_and_two_may_differ_in_case_only() -> None:
    names = ["Year", "year", 'quote"', "", "row", "two words", "a0", "select"]
    table = pa.table([pa.array([number]) for number in range(len(names))], names=names)
    assert there_and_back(table).to_pylist() == table.to_pylist()
