"""Changes: what is done to the tables and segments of a space inside one commit, which the caller opens and ends.

append    new items behind the others; those they replace die in the same version
bury      items die; their bytes stay until the space is compacted
clear     nothing is left, before a new fit
compact   vectors of the living in new files, the dead gone from the tables
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.database import Record, write_record
from semblance.memory.segments import Appender, Floats
from semblance.memory.view import View

KEPT = {"format", "version", "generation", "count", "dim", "geometry", "domain", "segments"}
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
    """Files and rows of new items, and the record that names them; `old` maps replaced ids to their rows."""
    ids = items.ids
    check_ids(ids)
    table = arrow.storable(items.attributes if items.attributes is not None else pa.table({}))
    if table.num_columns and table.num_rows != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with attributes for {table.num_rows} items")
    schema = arrow.joined(record.schema, table.schema)
    table = arrow.fitted(table, schema)
    first_slot = sum(segment.rows for segment in record.segments)
    for block in [items.vectors] if isinstance(items.vectors, np.ndarray) else items.vectors:
        files.write(block)
    if files.rows != len(ids):
        raise SemblanceError(f"{len(ids)} ids came with {files.rows} vectors; nothing changed")
    (first,) = connection.execute("SELECT coalesce(max(row), -1) + 1 FROM items").fetchone()
    rows = range(first, first + len(ids))
    arrow.add_columns(connection, record.schema, schema)
    connection.executemany("UPDATE items SET died = ? WHERE row = ?", ((record.version, row) for row in old.values()))
    connection.executemany(
        "INSERT INTO items (row, id, slot, born) VALUES (?, ?, ?, ?)",
        ((row, id, first_slot + n, record.version) for n, (row, id) in enumerate(zip(rows, ids, strict=True))),
    )
    replaced = [(row, old[id]) for row, id in zip(rows, ids, strict=True) if id in old]
    kept = "".join(f", {place}" for place in arrow.places(schema).values())
    connection.executemany(f"INSERT INTO attributes SELECT ?{kept} FROM attributes WHERE row = ?", replaced)
    connection.executemany("INSERT INTO thumbnails SELECT ?, png FROM thumbnails WHERE row = ?", replaced)
    arrow.put(connection, schema, rows, table)
    if items.thumbnails is not None:
        _put_thumbnails(connection, rows, items.thumbnails)
    write_record(connection, record._replace(schema=schema, segments=files.finish()))


def _put_thumbnails(connection: sqlite3.Connection, rows: range, thumbnails: Iterable[bytes | None]) -> None:
    count = 0
    for count, png in enumerate(thumbnails, start=1):
        if png is not None and count <= len(rows):
            connection.execute("INSERT OR REPLACE INTO thumbnails (row, png) VALUES (?, ?)", (rows[count - 1], png))
    if count != len(rows):
        raise SemblanceError(f"{len(rows)} ids came with {count} thumbnails: give None where there is none")


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """The rows of those ids that are in the space."""
    found = {}
    for id in ids:
        line = connection.execute("SELECT row FROM items WHERE id = ? AND died IS NULL", (id,)).fetchone()
        if line is not None:
            found[id] = line[0]
    return found


def bury(connection: sqlite3.Connection, record: Record, ids: Sequence[str]) -> None:
    """The items die in this version; unknown ids are named and nothing dies."""
    rows = rows_of(connection, ids)
    missing = [id for id in dict.fromkeys(ids) if id not in rows]
    if missing:
        raise SemblanceError(f"{named(missing, len(ids))} not in the space; nothing was removed")
    connection.executemany("UPDATE items SET died = ? WHERE row = ?", ((record.version, row) for row in rows.values()))
    write_record(connection, record)


def clear(connection: sqlite3.Connection) -> None:
    """No item is left, and no attribute."""
    for table in ("items", "thumbnails"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DROP TABLE attributes")
    connection.execute("CREATE TABLE attributes (row INTEGER PRIMARY KEY)")


def compact(connection: sqlite3.Connection, record: Record, files: Appender, before: View) -> None:
    """Writes the vectors of `before` anew and forgets the dead; `record` is of a new generation without segments."""
    for block in before.source.blocks():
        files.write(block)
    for table in ("attributes", "thumbnails"):
        connection.execute(f"DELETE FROM {table} WHERE row IN (SELECT row FROM items WHERE died IS NOT NULL)")
    connection.execute("DELETE FROM items WHERE died IS NOT NULL")
    slots = ((slot, int(row)) for slot, row in enumerate(before.rows))
    connection.executemany("UPDATE items SET slot = ? WHERE row = ?", slots)
    write_record(connection, record._replace(segments=files.finish()))


def check_ids(ids: Sequence[str]) -> None:
    """Ids are text, not empty, and each comes once."""
    seen: set[str] = set()
    for id in ids:
        if not isinstance(id, str) or not id:
            raise SemblanceError(f"ids are text that is not empty, and {id!r} came")
        if id in seen:
            raise SemblanceError(f"id {id!r} came twice: ids are unique; nothing changed")
        seen.add(id)


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
