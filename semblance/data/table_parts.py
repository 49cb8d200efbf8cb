"""Tables as parts: Parquet and Arrow files, one or a folder of them, whose rows are counted one file after the other.

A part of a Parquet file begins with a row group, or within one that is large; one of an Arrow file begins anywhere.
Columns are told apart as in any table (tables.py), by all rows: the id column is one whose values differ in all of them,
which is seen by 8 bytes a row. What is learned from is what the domain says: vectors, a column of image paths, or texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.data import listing, tables
from semblance.data.decoded import read_pictures
from semblance.data.images import file_columns, path_column
from semblance.data.load import load
from semblance.data.parts import Block, Size, Source, Whole, list_files, unlabelled
from semblance.data.splits import from_words
from semblance.data.table_files import PARQUET, batches, counted, files_of
from semblance.data.texts import columns_of_texts, filled
from semblance.data.vectors import as_vectors
from semblance.errors import SemblanceError

CUTS = 4
"""Parts of one row group: who reads the last of them reads over all rows before it."""
LOOKED = 1000
"""Rows that tell which columns hold paths and texts."""


@dataclass(frozen=True)
class Tables:
    """Rows of tables of one schema. `starts` are the rows that files begin with, `groups` those that row groups (or, of
    Arrow files, record batches) begin with; `x` are the columns that are embedded."""

    domain: str
    place: str
    files: Path
    size: Size
    starts: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    x: tuple[str, ...]
    label: str | None
    id: str | None
    split: str | None
    notes: tuple[str, ...]

    @property
    def units(self) -> int:
        return self.starts[-1]

    @property
    def marks(self) -> dict[str, str]:
        return {}

    def cuts(self, rows: int) -> list[int]:
        """Row groups are joined up to `rows`, and those that are larger are cut; a part lies in one file."""
        found = {self.units}
        for number, groups in enumerate(self.groups):
            at, end = self.starts[number : number + 2]
            if not self._parquet(number):
                found.update(range(at, end, rows))
                continue
            found.update([at][: end - at])
            for first, stop in pairwise(groups):
                if stop - at > rows and first > at:
                    at = first
                    found.add(at)
                each = max(rows, -(-(stop - first) // CUTS))
                if stop - first > each:
                    found.update(range(first, stop, each))
                    at = range(first, stop, each)[-1]
        return sorted(found)

    def told(self, first: int, stop: int) -> str:
        path, row = self._at(first)
        return f"rows {row:,} to {row + stop - first - 1:,} of {path}"

    def blocks(self, first: int, stop: int, rows: int) -> Iterator[Block]:
        read = {"vectors": self._vectors, "images": self._images, "text": self._texts}[self.domain]
        for start, table in self.tables(first, stop, rows):
            yield read(table, start)

    def tables(
        self, first: int, stop: int, rows: int, columns: list[str] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """These rows, so many at a time at most, each with the number of its first."""
        for number, file in enumerate(listing.read(self.files)):
            low, high = max(first, self.starts[number]), min(stop, self.starts[number + 1])
            if low >= high:
                continue
            at, waiting = low, []
            for batch in batches(file.check(self._root), self.groups[number], low, high, rows, columns):
                waiting.append(batch)
                held = pa.Table.from_batches(waiting)
                while held.num_rows >= rows:
                    yield at, held.slice(0, rows)
                    at, held = at + rows, held.slice(rows)
                waiting = held.to_batches() if held.num_rows else []
            if waiting:
                yield at, pa.Table.from_batches(waiting)

    @property
    def _root(self) -> Path:
        return Path(self.place) if Path(self.place).is_dir() else Path(self.place).parent

    def _parquet(self, number: int) -> bool:
        return next(listing.read(self.files, number)).name.lower().endswith(PARQUET)

    def _at(self, row: int) -> tuple[Path, int]:
        """The file that holds a row, and its number there."""
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self._root / next(listing.read(self.files, file)).name, row - self.starts[file]

    def _ids(self, table: pa.Table, start: int) -> list[str]:
        if self.id is None:
            return [str(i) for i in range(start, start + table.num_rows)]
        return tables.id_values(table.column(self.id), self.id)

    def _said(self, table: pa.Table) -> dict[str, Any]:
        """The columns of labels and of splits."""
        label = None if self.label is None else _plain(table.column(self.label))
        split = None if self.split is None else _plain(table.column(self.split)).cast(pa.string())
        return {"label": label, "split": split}

    def _vectors(self, table: pa.Table, start: int) -> Block:
        names = list(self.x)
        stacked = tables.stacked(table, names)
        path, row = self._at(start)
        x = as_vectors(stacked, str(path), names if len(names) == stacked.shape[1] else (), row)
        others, _ = tables.attributes(table, {*names, self.id, self.split}, self.label)
        return Block(unlabelled("vectors", x, self._ids(table, start), others, start), **self._said(table))

    def _images(self, table: pa.Table, start: int) -> Block:
        paths = [v.replace("\\", "/") if v else "" for v in table.column(self.x[0]).to_pylist()]
        names = [path or f"row {start + row}" for row, path in enumerate(paths)]
        files = [self._root.resolve() / path for path in paths]
        x, facts = read_pictures(files, names, None, self.size, None, True)
        rows, names = table.take(pa.array(facts["kept"], pa.int64())), [names[i] for i in facts["kept"]]
        others, _ = tables.attributes(rows, {self.id or self.x[0], self.split}, self.label)
        columns = file_columns(names, facts) | {name: others.column(name) for name in others.column_names}
        data = unlabelled("images", x, names if self.id is None else self._ids(rows, start), pa.table(columns), start)
        return Block(data, **self._said(rows), skipped=tuple((str(n), str(why)) for n, why in facts["skipped"]))

    def _texts(self, table: pa.Table, start: int) -> Block:
        texts, kept, empty = filled(table.column(self.x[0]))
        ids, rows = self._ids(table, start), table.take(pa.array(kept))
        others, _ = tables.attributes(rows, {self.x[0], self.id, self.split}, self.label)
        written = {"text": pa.array(texts.tolist(), pa.string())}
        written |= {name: others.column(name) for name in others.column_names if name != "text"}
        data = unlabelled("text", texts, [ids[i] for i in kept], pa.table(written), start)
        return Block(data, **self._said(rows), skipped=tuple((f"row {start + i}", "empty") for i in empty))


def find(path: Path, domain: str, size: Size, work: Path) -> Source | None:
    """The rows of a table or a folder of tables; None for a domain that tables are not streamed for."""
    if domain not in ("vectors", "images", "text"):
        return None
    names = files_of(path)
    root = path if path.is_dir() else path.parent
    starts, groups, schema = [0], [], None
    for name in names:
        held, found = counted(root / name)
        schema = schema or held
        if held.names != schema.names or held.types != schema.types:
            odd = next((f.name for f in schema if f not in held), held.names[0] if held.names else "none")
            raise SemblanceError(f"{root / name} has other columns than {names[0]} (column {odd!r}): give tables alike")
        groups.append(tuple(starts[-1] + at for at in found))
        starts.append(groups[-1][-1])
    assert schema is not None  # there is a file
    if not starts[-1]:
        raise SemblanceError(f"{path} is empty (0 rows of {len(schema)} columns): give at least one row")
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        raise SemblanceError(f"{path} has several columns named {twice[0]!r}: give every column a name of its own")
    files = list_files(work, root, names)
    known: dict[str, Any] = {"starts": tuple(starts), "groups": tuple(groups), "notes": ()}
    rows = Tables(domain, str(path), files, size, x=(), label=None, id=None, split=None, **known)
    _, top = next(rows.tables(0, min(LOOKED, rows.units), LOOKED))
    roles, notes = _roles(rows, schema)
    if domain == "vectors":
        x = tables.features(schema.empty_table(), roles) or list(
            tables.parts(top).columns
        )  # which says what is lacking
    elif domain == "images":
        x = [path_column(top, str(path))]
        roles["id"] = roles["id"] or _unlike(rows, x[0])
    else:
        x = list(columns_of_texts(top, str(path), None, None, None))
        if len(x) == 2:  # pairs, whose texts are units once each, however often they stand there
            return Whole(
                load(pa.concat_tables(table for _, table in rows.tables(0, rows.units, rows.units)), domain="text")
            )
    told = f"{len(names):,} tables" if len(names) > 1 else "table"
    notes = [f"domain: {domain} ({told} of {rows.units:,} rows)", *notes]
    named = {"label": roles["label"], "id": roles["id"], "split": roles["split"], "notes": tuple(notes)}
    return Tables(domain, str(path), files, size, x=tuple(x), **{**known, **named})


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, its values themselves."""
    kind = column.type
    return (column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column).combine_chunks()


def _roles(rows: Tables, schema: pa.Schema) -> tuple[dict[str, str | None], list[str]]:
    """Which column is the label, the id and the split, by all rows, and lines about it."""
    empty, notes = schema.empty_table(), []
    found = tables.roles(empty)
    while found["id"] is not None and (twice := _first_twice(rows, found["id"])) is not None:
        notes.append(f"column {found['id']!r} does not name the rows ({twice[0]!r} in rows {twice[1]} and {twice[2]})")
        empty = empty.drop_columns([found["id"]])
        found["id"] = tables.roles(empty)["id"]
    split = next((name for name in schema.names if name.lower() == "split"), None)
    if split is not None:
        words = {
            w for _, t in rows.tables(0, rows.units, 1 << 16, [split]) for w in t.column(split).unique().to_pylist()
        }
        found["split"] = split if from_words(list(words)) is not None else None
    return found, notes


def _unlike(rows: Tables, column: str) -> None:
    """Paths that are ids have to differ; an error that says which do not."""
    value, one, two = _first_twice(rows, column) or (None, 0, 0)
    if value is not None:
        raise SemblanceError(f"id {value!r} of column {column!r} stands in rows {one} and {two}: ids have to differ")


def _first_twice(rows: Tables, column: str) -> tuple[Any, int, int] | None:
    """A value that two rows have, or a row that has none, and the rows; None where all differ."""
    marks = np.empty(rows.units, np.int64)
    for start, table in rows.tables(0, rows.units, 1 << 16, [column]):
        values = table.column(column)
        if values.null_count:
            row = start + int(pc.index(values.is_null(), True).as_py())
            return None, row, row
        marks[start : start + len(values)] = np.fromiter(map(hash, values.to_pylist()), np.int64, len(values))
    order = np.sort(marks)
    again = np.unique(order[1:][order[1:] == order[:-1]])
    if not len(again):
        return None
    seen: dict[Any, int] = {}  # marks may be equal where values differ
    for start, table in rows.tables(0, rows.units, 1 << 16, [column]):
        for at in np.flatnonzero(np.isin(marks[start : start + table.num_rows], again)).tolist():
            value = table.column(column)[at].as_py()
            if value in seen:
                return value, seen[value], start + at
            seen[value] = start + at
    return None
