"""Adoption: vectors that lie in finished files become those of a space, without being copied, and all items at once.

    link     the files get names of the space's own beside the old ones (copied where the file system has no such links)
    insert   ids, attributes and thumbnails, stretch by stretch, inside one commit, which names the files

Killed before the commit, the space is what it was and the next writer sweeps the new names away; the files themselves stay
where they were. Stretches are read once, one after the other, so that memory holds one of them, and nothing of each item.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from semblance.errors import SemblanceError
from semblance.memory import columns as arrow
from semblance.memory.atomic import sync_folder
from semblance.memory.changes import check_ids, new_rows, put_thumbnails, rows_of
from semblance.memory.database import Record, write_record
from semblance.memory.segments import Segment


class Stretch(NamedTuple):
    """Items that follow each other, and what a person calls them; the vectors of all stretches, in their order, are the
    rows of the files."""

    told: str
    ids: Sequence[str]
    attributes: pa.Table | None = None
    thumbnails: Sequence[bytes | None] | None = None


def link(folder: Path, generation: int, files: Sequence[tuple[Path, Segment]]) -> list[Segment]:
    """The files under names of the folder's own; `files` are finished ones and how much of each counts."""
    found = []
    for number, (path, segment) in enumerate(files):
        name = f"{generation:06d}-{number:04d}.f32"
        (folder / name).unlink(missing_ok=True)
        try:
            os.link(path, folder / name)
        except OSError:
            _copy(path, folder / name)
        found.append(segment._replace(file=name))
    sync_folder(folder)
    return found


def _copy(path: Path, to: Path) -> None:
    with open(path, "rb") as source, open(to, "wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def insert(
    connection: sqlite3.Connection, record: Record, segments: list[Segment], stretches: Iterable[Stretch]
) -> None:
    """Rows for the items of all stretches, and the record that names the segments. An id that comes twice is named with
    the stretches it comes in; nothing counts before the caller's commit."""
    schema, first = record.schema, 0
    begins: list[int] = []
    places: list[str] = []
    for stretch in stretches:
        count = len(stretch.ids)
        begins.append(first)
        places.append(stretch.told)
        table = arrow.storable(stretch.attributes if stretch.attributes is not None else pa.table({}))
        if table.num_columns and table.num_rows != count:
            raise SemblanceError(f"{count} ids came with attributes for {table.num_rows} items")
        _check_ids(stretch)
        wider = arrow.joined(schema, table.schema, record.version)
        arrow.add_columns(connection, schema, wider)
        schema = wider
        try:
            rows = new_rows(connection, record.version, stretch.ids, range(first, first + count))
        except SemblanceError:
            found = rows_of(connection, stretch.ids).items()
            row, id = min((row, id) for id, row in found if row < first)
            before = places[bisect_right(begins, row) - 1]
            raise SemblanceError(_twice(id, f"{before} and in {stretch.told}")) from None
        arrow.put(connection, schema, rows, arrow.fitted(table, schema))
        if stretch.thumbnails is not None:
            put_thumbnails(connection, rows, stretch.thumbnails)
        first += count
    if first != sum(segment.rows for segment in segments):
        held = sum(segment.rows for segment in segments)
        raise SemblanceError(f"{first} ids came with {held} vectors; nothing changed")
    write_record(connection, record._replace(schema=schema, segments=segments))


def _check_ids(stretch: Stretch) -> None:
    if len(set(stretch.ids)) < len(stretch.ids):
        id = next(id for id, times in Counter(stretch.ids).items() if times > 1)
        raise SemblanceError(_twice(id, f"{stretch.told}, twice"))
    check_ids(stretch.ids)


def _twice(id: str, where: str) -> str:
    return f"id {id!r} comes in {where}: ids are unique, so rename one; nothing changed"
