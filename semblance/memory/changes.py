"""Changes: what is done to the tables and segments of a space inside one commit, which the caller opens and ends.

append    new items behind the others; those they replace die in the same version
relabel   items get new attributes: new rows with the old slots, in the place of the old rows, which die
bury      items die; their bytes stay until the space is compacted
clear     nothing is left, before a new fit
compact   vectors of the living in new files, the dead gone from the tables
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.database import Record, insert, write_record
from semblance.memory.segments import Appender, Floats
from semblance.memory.view import View

KEPT = {"format", "version", "oldest", "dead", "generation", "count", "dim", "geometry", "domain", "segments"}
KEPT |= {"created", "changed", "model", "recipe_hash"}
"""Entries of the manifest that the store writes itself."""


class Items(NamedTuple):
    """New items as they come: vectors as one array or in blocks, attributes and thumbnails if there are any."""

    ids: Sequence[str]
    vectors: Floats | Iterable[Floats]
    attributes: pa.Table | None
    thumbnails: Iterable[bytes | None] | None


def append(
    connection: sqlite3.Connection, record: Record, files: Appender, items: Items, old: Mapping[str, int]
) -> None:
    """Files and rows of new items, and the record that names them; `old` maps ids to be replaced to their rows.

    An id that is there and not to be replaced is refused.
    """
    ids = items.ids
    table = arrow.storable(items.attributes if items.attributes is not None else pa.table({}))
    if table.num_columns and table.num_rows != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with attributes for {table.num_rows} items")
    schema = arrow.joined(record.schema, table.schema, record.version)
    table = arrow.fitted(table, schema)
    first_slot = sum(segment.rows for segment in record.segments)
    _die(connection, record.version, old.values())
    rows = new_rows(connection, record.version, ids, range(first_slot, first_slot + len(ids)))
    for block in [items.vectors] if isinstance(items.vectors, np.ndarray) else items.vectors:
        files.write(block)
    if files.rows != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with {files.rows} vectors; nothing changed")
    arrow.add_columns(connection, record.schema, schema)
    if old:
        replaced = [(old[id], row) for row, id in zip(rows, ids, strict=True) if id in old]
        _inherit(connection, schema, replaced)
        fresh = np.array([id not in old for id in ids], dtype=bool)
        arrow.put(
            connection, schema, np.array(rows)[fresh].tolist(), table.filter(fresh) if table.num_columns else table
        )
        if table.num_columns:
            arrow.overwrite(connection, schema, [row for _, row in replaced], table.filter(~fresh))
    else:
        arrow.put(connection, schema, rows, table)
    if items.thumbnails is not None:
        put_thumbnails(connection, rows, items.thumbnails)
    write_record(connection, record._replace(schema=schema, segments=files.finish(), dead=record.dead + len(old)))


def relabel(connection: sqlite3.Connection, record: Record, ids: Sequence[str], attributes: pa.Table) -> None:
    """Items get new attributes; those that the table lacks stay. Vectors are neither read nor written."""
    check_ids(ids)
    table = arrow.storable(attributes)
    if table.num_rows != len(ids) or not table.num_columns:
        raise SemblanceError(
            f"{len(ids)} ids came with {table.num_columns} attributes for {table.num_rows} items; nothing changed"
        )
    schema = arrow.joined(record.schema, table.schema, record.version)
    table = arrow.fitted(table, schema)
    old = found(connection, ids, "nothing changed")
    slots = dict(_picked(connection, "row, slot", "row", list(old.values())))
    arrow.add_columns(connection, record.schema, schema)
    _die(connection, record.version, old.values())
    rows = new_rows(connection, record.version, ids, [slots[old[id]] for id in ids])
    _inherit(connection, schema, list(zip((old[id] for id in ids), rows, strict=True)))
    arrow.overwrite(connection, schema, rows, table)
    write_record(connection, record._replace(schema=schema, dead=record.dead + len(old)))


def _die(connection: sqlite3.Connection, version: int, rows: Iterable[int]) -> None:
    connection.executemany("UPDATE items SET died = ? WHERE row = ?", zip(repeat(version), rows, strict=False))


def new_rows(connection: sqlite3.Connection, version: int, ids: Sequence[str], slots: Sequence[int]) -> range:
    """Rows for these ids, above all there are."""
    (first,) = connection.execute("SELECT coalesce(max(row), -1) + 1 FROM items").fetchone()
    rows = range(first, first + len(ids))
    try:
        insert(connection, "items (row, id, slot, born)", [rows, ids, slots, repeat(version)])
    except sqlite3.IntegrityError:
        there = [id for id, row in rows_of(connection, ids).items() if row < first]
        raise SemblanceError(f"{named(there, len(ids))} in the space already: add with update to replace") from None
    return rows


def _inherit(connection: sqlite3.Connection, schema: pa.Schema, pairs: Sequence[tuple[int, int]]) -> None:
    """New rows get what old rows have: (old, new). A picture is named by the row that has it, not copied."""
    kept = "".join(f", {place}" for place in arrow.places(schema).values())
    turned = [(new, old) for old, new in pairs]
    connection.executemany(f"INSERT INTO attributes SELECT ?{kept} FROM attributes WHERE row = ?", turned)
    first = "CASE typeof(png) WHEN 'integer' THEN png ELSE row END"
    connection.executemany(f"INSERT INTO thumbnails SELECT ?, {first} FROM thumbnails WHERE row = ?", turned)


def put_thumbnails(connection: sqlite3.Connection, rows: range, thumbnails: Iterable[bytes | None]) -> None:
    count = 0
    for count, png in enumerate(thumbnails, start=1):
        if png is not None and count <= len(rows):
            connection.execute("INSERT OR REPLACE INTO thumbnails (row, png) VALUES (?, ?)", (rows[count - 1], png))
    if count != len(rows):
        raise SemblanceError(f"{len(rows)} ids came with {count} thumbnails: give None where there is none")


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """The rows of those ids that are in the space."""
    return dict(_picked(connection, "id, row", "died IS NULL AND id", ids))


def found(connection: sqlite3.Connection, ids: Sequence[str], says: str) -> dict[str, int]:
    """The rows of these ids; unknown ones are named, and that `says`."""
    check_ids(list(dict.fromkeys(ids)))
    rows = rows_of(connection, ids)
    missing = [id for id in dict.fromkeys(ids) if id not in rows]
    if missing:
        raise SemblanceError(f"{named(missing, len(ids))} not in the space; {says}")
    return rows


def _picked(connection: sqlite3.Connection, what: str, key: str, values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(values), arrow.CHUNK):
        some = values[start : start + arrow.CHUNK]
        yield from connection.execute(f"SELECT {what} FROM items WHERE {key} IN ({', '.join('?' * len(some))})", some)


def bury(connection: sqlite3.Connection, record: Record, ids: Sequence[str]) -> None:
    """The items die in this version; unknown ids are named and nothing dies."""
    rows = found(connection, ids, "nothing was removed")
    _die(connection, record.version, rows.values())
    write_record(connection, record._replace(dead=record.dead + len(rows)))


def clear(connection: sqlite3.Connection) -> None:
    """No item is left, and no attribute."""
    for table in ("items", "thumbnails"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DROP TABLE attributes")
    connection.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")


def compact(connection: sqlite3.Connection, record: Record, files: Appender, before: View) -> None:
    """Writes the vectors of `before` anew and forgets the dead; `record` is of a new generation.

    Where every slot is somebody's, in order, the files are as they would be written and stay.
    """
    full = len(before) == int(before.source.starts[-1]) and not before.source.short
    if not full:
        for block in before.source.blocks():
            files.write(block)
    connection.execute(
        "UPDATE thumbnails SET png = (SELECT own.png FROM thumbnails AS own WHERE own.row = thumbnails.png) "
        "WHERE typeof(png) = 'integer' AND row IN (SELECT row FROM items WHERE died IS NULL)"
    )
    for table in ("attributes", "thumbnails"):
        connection.execute(f"DELETE FROM {table} WHERE row IN (SELECT row FROM items WHERE died IS NOT NULL)")
    connection.execute("DELETE FROM items WHERE died IS NOT NULL")
    if not full:
        slots = zip(range(len(before.rows)), before.rows.tolist(), strict=True)
        connection.executemany("UPDATE items SET slot = ? WHERE row = ?", slots)
    write_record(connection, record if full else record._replace(segments=files.finish()))


def check_ids(ids: Sequence[str]) -> None:
    """Ids are text, not empty, and each comes once."""
    for id in ids:
        if not isinstance(id, str) or not id:
            raise SemblanceError(f"ids are text that is not empty, and {id!r} came")
    if len(set(ids)) < len(ids):
        twice = next(id for id, times in Counter(ids).items() if times > 1)
        raise SemblanceError(f"id {twice!r} came twice: ids are unique; nothing changed")
    try:
        "".join(ids).encode()
    except UnicodeEncodeError as error:
        wrong = next(id for id in ids if any("\ud800" <= letter <= "\udfff" for letter in id))
        raise SemblanceError(f"id {wrong!r} is no text that can be kept ({error.reason}): give another id") from None


def named(ids: Sequence[str], of: int) -> str:
    """The beginning of a sentence about some of the ids that came."""
    some = ", ".join(repr(id) for id in ids[:3]) + (", ..." if len(ids) > 3 else "")
    return f"{len(ids)} of {of} ids ({some}) {'is' if len(ids) == 1 else 'are'}"


def free_entries(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's entries, if they are none of the store's own and can be written as JSON."""
    for key, value in manifest.items():
        if key in KEPT:
            raise SemblanceError(f"the manifest's {key!r} is kept by the store itself: use another name")
        try:
            json.dumps(value)
        except TypeError:
            raise SemblanceError(f"the manifest's {key!r} is a {type(value).__name__}, which is no JSON") from None
    return dict(manifest)
