"""Columns: attributes between an Arrow table and the columns of an SQLite table.

    Arrow                         SQLite
    integers, floats, text        as they are (a float that is NaN is missing, like null)
    bool                          0 or 1
    dates and timestamps          whole microseconds since 1970 in UTC; nanoseconds where the type counts them
    lists of numbers or text      JSON; they are kept and read back, but not filtered by

The columns are called a0, a1, ... in SQLite, so that a user's names may hold anything and differ in case only. They are
declared without a type, so that SQLite converts nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at

from semblance.errors import SemblanceError
from semblance.memory.database import insert

CHUNK = 4096
"""Rows of attributes in memory at a time."""


def place(number: int) -> str:
    """The SQLite name of the attribute with this number."""
    return f"a{number}"


def places(schema: pa.Schema) -> dict[str, str]:
    """Attribute -> its SQLite name."""
    return {name: place(number) for number, name in enumerate(schema.names)}


def is_number(kind: pa.DataType) -> bool:
    return bool(at.is_integer(kind) or at.is_floating(kind))


def is_time(kind: pa.DataType) -> bool:
    return bool(at.is_timestamp(kind) or at.is_date(kind))


def counts_nanoseconds(kind: pa.DataType) -> bool:
    return bool(at.is_timestamp(kind) and kind.unit == "ns")


def storable(table: pa.Table) -> pa.Table:
    """The table with every column in a type that can be kept; an error names the column that cannot."""
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise SemblanceError(f"attribute {sorted(twice)[0]!r} stands in the table twice: rename one of them")
    columns = [_storable(name, table[name]) for name in table.column_names]
    return pa.table(columns, names=table.column_names) if columns else table


def _storable(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if at.is_dictionary(kind):
        return _storable(name, column.cast(kind.value_type))
    if at.is_null(kind) or at.is_large_string(kind) or at.is_string_view(kind):
        return column.cast(pa.string())
    if at.is_float16(kind):
        return column.cast(pa.float32())
    if at.is_list(kind) or at.is_large_list(kind) or at.is_fixed_size_list(kind):
        inside = kind.value_type
        if is_number(inside) or at.is_boolean(inside) or at.is_string(inside):
            return column.cast(pa.list_(inside))
    if is_number(kind) or is_time(kind) or at.is_boolean(kind) or at.is_string(kind):
        return column
    raise SemblanceError(
        f"attribute {name!r} is of type {kind}, which is not kept: numbers, text, true/false, dates, timestamps and "
        "lists of numbers or text are; convert it or leave it out"
    )


SINCE = b"since"
"""Under this key an attribute of a space notes the version it came with."""


def joined(old: pa.Schema, new: pa.Schema, version: int = 0) -> pa.Schema:
    """The old attributes and then those that are new, which came with this version."""
    since = {SINCE: str(version).encode()} if version else None
    fresh = [pa.field(field.name, field.type, metadata=since) for field in new if field.name not in old.names]
    return pa.schema([*old, *fresh])


def until(schema: pa.Schema, version: int) -> pa.Schema:
    """The attributes that there were in this version; without notes."""
    there = [field for field in schema if int((field.metadata or {}).get(SINCE, b"0")) <= version]
    return pa.schema([field.remove_metadata() for field in there])


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table's columns in the types that the schema gives them; a value that does not fit is named."""
    columns = []
    for name in table.column_names:
        kind = schema.field(name).type
        try:
            columns.append(table[name].cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise SemblanceError(
                f"attribute {name!r} is of type {kind} in this space, and {table[name].type} came: {reason}"
            ) from None
    return pa.table(columns, names=table.column_names) if columns else table


def to_values(column: pa.ChunkedArray) -> list[Any]:
    """What SQLite is given for the values of a column."""
    kind = column.type
    if is_time(kind):
        unit = "ns" if counts_nanoseconds(kind) else "us"
        return list(column.cast(pa.timestamp(unit)).cast(pa.int64()).to_pylist())
    if at.is_boolean(kind):
        return list(column.cast(pa.int8()).to_pylist())
    if at.is_list(kind):
        return [None if value is None else json.dumps(value) for value in column.to_pylist()]
    if at.is_uint64(kind):
        return list(_within_64_bits(column).to_pylist())
    return list(column.to_pylist())


def _within_64_bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise SemblanceError(f"a whole number does not fit into 64 bits with a sign: {error}") from None


def from_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What SQLite gave back, as an Arrow array of the attribute's type."""
    if is_time(kind):
        unit = "ns" if counts_nanoseconds(kind) else "us"
        return pc.cast(pa.array(values, pa.int64()).cast(pa.timestamp(unit)), _naive(kind)).cast(kind)
    if at.is_boolean(kind):
        return pa.array(values, pa.int8()).cast(pa.bool_())
    if at.is_list(kind):
        return pa.array([None if value is None else json.loads(value) for value in values], kind)
    return pa.array(values, kind)


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit) if at.is_timestamp(kind) else kind


def chunks(table: pa.Table) -> Iterator[list[list[Any]]]:
    """The columns of a table as lists of SQLite values, a chunk of rows in memory at a time."""
    for start in range(0, table.num_rows, CHUNK):
        yield [to_values(column) for column in table.slice(start, CHUNK).columns]


def add_columns(connection: sqlite3.Connection, have: pa.Schema, want: pa.Schema) -> None:
    """Adds to the table `attributes` the columns by which `want` is longer than `have`."""
    for number in range(len(have.names), len(want.names)):
        connection.execute(f"ALTER TABLE attributes ADD COLUMN {place(number)}")


def put(connection: sqlite3.Connection, schema: pa.Schema, rows: Sequence[int], table: pa.Table) -> None:
    """Writes the attributes of rows that have none yet; columns that the table lacks are null."""
    by_name = places(schema)
    names = [by_name[name] for name in table.column_names]
    head = f"attributes ({', '.join(['row', *names])})"
    if not names:
        insert(connection, head, [rows])
    for number, values in enumerate(chunks(table)):
        insert(connection, head, [rows[CHUNK * number : CHUNK * (number + 1)], *values])


def overwrite(connection: sqlite3.Connection, schema: pa.Schema, rows: Sequence[int], table: pa.Table) -> None:
    """Writes attributes over those that rows have already; columns that the table lacks stay."""
    by_name = places(schema)
    fresh = ", ".join(f"{by_name[name]} = ?" for name in table.column_names)
    for number, values in enumerate(chunks(table)):
        some = rows[CHUNK * number : CHUNK * (number + 1)]
        connection.executemany(f"UPDATE attributes SET {fresh} WHERE row = ?", zip(*values, some, strict=True))


def get(connection: sqlite3.Connection, schema: pa.Schema, names: Sequence[str], rows: Sequence[int]) -> pa.Table:
    """The attributes `names` of these rows, in their order."""
    by_name = places(schema)
    kinds = [schema.field(name).type for name in names]
    wanted = pa.schema([pa.field(name, kind) for name, kind in zip(names, kinds, strict=True)])
    if not names:
        return pa.table({})
    selected = ", ".join(["row", *(by_name[name] for name in names)])
    batches = []
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        found = connection.execute(
            f"SELECT {selected} FROM attributes WHERE row IN ({', '.join('?' * len(some))})", [int(row) for row in some]
        )
        by_row = {line[0]: line[1:] for line in found}
        columns = zip(*(by_row[int(row)] for row in some), strict=True)
        arrays = [from_values(values, kind) for values, kind in zip(columns, kinds, strict=True)]
        batches.append(pa.record_batch(arrays, schema=wanted))
    return pa.Table.from_batches(batches, schema=wanted)
