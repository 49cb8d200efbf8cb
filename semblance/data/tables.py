"""Tables: CSV, JSONL, Parquet and data frames of any library, and which of their columns is what.

label       the named column, else one called label, labels, class, target or y
id          the named column, else one called id, key, name or path whose values differ
x           one column of vectors (lists of numbers of one length), else every remaining column of numbers
split       a column of this name whose words are train, test, val
attributes  everything else
"""

from __future__ import annotations

import codecs
import itertools
import tempfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.data.splits import from_words
from semblance.errors import SemblanceError, unknown

LABELS = ("label", "labels", "class", "target", "y")
IDS = ("id", "key", "name", "path")
VECTORS = ("vector", "vectors", "embedding", "embeddings", "features", "x", "z")
READ = 1 << 22
HEAD = 1 << 20
"""Bytes of a table that tell which columns it has."""


class Parts(NamedTuple):
    """A table's columns told apart; `columns` names those of x, `notes` are lines for the user."""

    x: np.ndarray
    columns: tuple[str, ...]
    label: pa.ChunkedArray | None
    label_name: str
    ids: list[str] | None
    split: list[Any] | None
    attributes: pa.Table
    notes: tuple[str, ...]


def read_table(path: Path) -> pa.Table:
    """A CSV (comma, semicolon or tab; UTF-8; with or without a line of names), Parquet or JSONL file."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            table = pq.read_table(path)
        elif suffix == ".jsonl":
            from pyarrow import json

            _check_text(path)
            table = json.read_json(path)
        else:
            table = _read_csv(path)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise SemblanceError(
            f"{path} cannot be read as {suffix[1:]} ({why}): check the file, or save it anew"
        ) from None
    if not table.num_rows or not table.num_columns:
        raise SemblanceError(
            f"{path} is empty ({table.num_rows} rows of {table.num_columns} columns): give at least one row"
        )
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise SemblanceError(f"{path} has several columns named {twice[0]!r}: give every column a name of its own")
    return table


def head(path: Path) -> pa.Table:
    """The first rows of a file, enough to know its columns."""
    if path.suffix.lower() in (".parquet", ".pq"):
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path)
            return pa.Table.from_batches(itertools.islice(file.iter_batches(1000), 1), file.schema_arrow)
        except (pa.ArrowException, OSError):
            return read_table(path)
    with open(path, "rb") as file:
        rows = file.read(HEAD)
    if len(rows) < HEAD:
        return read_table(path)
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / path.name
        short.write_bytes(rows[: rows.rfind(b"\n") + 1])
        return read_table(short)


def as_table(data: Any) -> pa.Table | None:
    """A pyarrow, pandas, polars or other data frame -> Arrow; None for what is no table."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, np.ndarray | list | tuple | str | Path | dict):
        return None
    import narwhals as nw

    frame = nw.from_native(data, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        return None
    try:
        table = frame.to_arrow()
    except (pa.ArrowException, TypeError) as error:
        raise SemblanceError(
            f"the table cannot be read ({str(error).splitlines()[0]}): give columns of one type"
        ) from None
    kept = [c for c in table.column_names if not c.startswith("__index_level_")]
    return table.select(kept)


def is_vectors(kind: pa.DataType) -> bool:
    """A column with a vector in every row: a list of numbers, of fixed size or not."""
    listed = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def roles(table: pa.Table, label: str | None = None, id_column: str | None = None) -> dict[str, str | None]:
    """Which column is the label, the id and the split; names that do not exist are answered with the nearest."""
    for kind, name in (("label column", label), ("id column", id_column)):
        if name is not None and name not in table.column_names:
            raise unknown(kind, name, table.column_names)
    by_lower = {name.lower(): name for name in reversed(table.column_names)}
    label = label or next(
        (by_lower[n] for n in LABELS if n in by_lower and not is_vectors(_kind(table, by_lower[n]))), None
    )
    free = [by_lower[n] for n in IDS if n in by_lower and by_lower[n] != label]
    id_column = id_column or next((name for name in free if _differ(table.column(name))), None)
    split = by_lower.get("split")
    if split is not None and from_words(table.column(split).to_pylist()) is None:
        split = None
    return {"label": label, "id": id_column, "split": split}


def features(table: pa.Table, found: dict[str, str | None]) -> list[str]:
    """The columns that x is made of: one of vectors, or several of numbers."""
    taken = {name for name in found.values() if name} | {n for n in table.column_names if n.lower() in IDS}
    free = [name for name in table.column_names if name not in taken]
    vectors = [name for name in free if is_vectors(_kind(table, name))]
    if len(vectors) > 1:
        named = [name for name in vectors if name.lower() in VECTORS]
        if len(named) != 1:
            raise SemblanceError(
                f"there are several columns of vectors ({', '.join(vectors)}): keep one, or name one 'vector'"
            )
        vectors = named
    return vectors or [name for name in free if is_number(_kind(table, name))]


def parts(table: pa.Table, label: str | None = None, id_column: str | None = None) -> Parts:
    """Tell the columns of a table apart."""
    found = roles(table, label, id_column)
    names = features(table, found)
    if not names:
        held = ", ".join(f"{f.name} ({f.type})" for f in table.schema)
        raise SemblanceError(
            f"there is no column of numbers or vectors to learn from, only {held}: give one, or --domain"
        )
    x = stacked(table, names)
    notes = []
    ids = None
    if found["id"] is not None:
        ids = id_values(table.column(found["id"]), found["id"])
    elif id_like := [n for n in table.column_names if n.lower() in ("id", "key") and n != found["label"]]:
        value = _repeated(table.column(id_like[0]))
        notes.append(f"column {id_like[0]!r} holds {value!r} more than once, so rows are numbered instead")
    others, left_out = attributes(table, {*names, found["id"], found["split"]}, found["label"])
    notes += left_out
    return Parts(
        x,
        tuple(names) if len(names) == x.shape[1] else (),
        None if found["label"] is None else table.column(found["label"]),
        found["label"] or "",
        ids,
        None if found["split"] is None else table.column(found["split"]).to_pylist(),
        others,
        tuple(notes),
    )


def attributes(table: pa.Table, used: Collection[str | None], label: str | None) -> tuple[pa.Table, list[str]]:
    """The columns that are not used otherwise and can be stored as attributes (the label's too), and a note on each of the
    others."""
    kept = [n for n in table.column_names if n not in used]
    unkept = [n for n in kept if not _is_attribute(_kind(table, n))]
    notes = [
        f"column {n!r} ({_kind(table, n)}) is left out: attributes are numbers, text, flags, dates"
        for n in unkept
        if n != label
    ]
    return table.select([n for n in kept if n not in unkept]), notes


def is_text(kind: pa.DataType) -> bool:
    """A column of text, each value stored once or not."""
    at = pa.types
    if at.is_dictionary(kind):
        kind = kind.value_type
    return at.is_string(kind) or at.is_large_string(kind) or at.is_string_view(kind)


def _kind(table: pa.Table, name: str) -> pa.DataType:
    return table.schema.field(name).type


def _is_attribute(kind: pa.DataType) -> bool:
    at = pa.types
    if at.is_dictionary(kind):
        kind = kind.value_type
    dated = at.is_date(kind) or at.is_timestamp(kind)
    return is_text(kind) or is_number(kind) or at.is_boolean(kind) or dated or at.is_null(kind)


def _differ(column: pa.ChunkedArray) -> bool:
    text = is_text(column.type) and not pa.types.is_dictionary(column.type)
    named = text or pa.types.is_integer(column.type)
    return named and not column.null_count and pc.count_distinct(column).as_py() == len(column)


def _repeated(column: pa.ChunkedArray) -> Any:
    return Counter(column.to_pylist()).most_common(1)[0][0]


def id_values(column: pa.ChunkedArray, name: str) -> list[str]:
    """A column as ids, each of its own."""
    values = column.to_pylist()
    if None in values or "" in values:
        row = next(i for i, v in enumerate(values) if v in (None, ""))
        raise SemblanceError(f"id column {name!r} is empty in row {row}: every row needs an id of its own")
    if len(set(values)) != len(values):
        value = _repeated(column)
        rows = [i for i, v in enumerate(values) if v == value][:3]
        raise SemblanceError(
            f"id {value!r} of column {name!r} stands in rows {', '.join(map(str, rows))}: ids have to differ"
        )
    return [str(v) for v in values]


def stacked(table: pa.Table, names: list[str]) -> np.ndarray:
    """[N, d]: float32 from a column of vectors; from columns of numbers, one after the other."""
    if len(names) == 1 and is_vectors(_kind(table, names[0])):
        column = table.column(names[0])
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        if pa.types.is_fixed_size_list(column.type) and not column.null_count and column.type.list_size:
            # The column's own memory (or file, where it is mapped): nothing is looked at row by row.
            return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
        lengths = [-1 if v is None else v for v in pc.list_value_length(column).to_pylist()]
        if len(set(lengths)) > 1 or lengths[0] < 1:
            usual = Counter(lengths).most_common(1)[0][0]
            row = next((i for i, n in enumerate(lengths) if n != usual), 0)
            told = "has none" if lengths[row] < 0 else f"has {lengths[row]} numbers"
            raise SemblanceError(
                f"column {names[0]!r} is ragged: row {row} {told}, others have {usual}: give vectors of one length"
            )
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(lengths), lengths[0])
    x = np.empty((table.num_rows, len(names)), np.float32)
    with np.errstate(over="ignore"):
        for k, name in enumerate(names):
            x[:, k] = table.column(name).cast(pa.float64()).to_numpy()
    return x


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    first = _check_text(path)
    if not first.strip():
        return pa.table({})
    delimiter = max(",;\t", key=first.count)
    cells = first.split(delimiter)
    nameless = all(map(_is_float, cells))
    names = [f"c{k}" for k in range(len(cells))] if nameless else None
    reading = csv.ReadOptions(column_names=names)
    try:
        return csv.read_csv(
            path, reading, csv.ParseOptions(delimiter=delimiter), csv.ConvertOptions(strings_can_be_null=True)
        )
    except pa.ArrowInvalid as error:
        ragged: list[Any] = []

        def note(row: Any) -> str:
            ragged.append(row)
            return "skip"

        slow = csv.ReadOptions(column_names=names, use_threads=False)
        try:
            csv.read_csv(path, slow, csv.ParseOptions(delimiter=delimiter, invalid_row_handler=note))
        except pa.ArrowInvalid:
            raise error from None
        if not ragged:
            raise
        bad = ragged[0]
        raise SemblanceError(
            f"{path} is ragged: line {bad.number} has {bad.actual_columns} cells where there are "
            f"{bad.expected_columns} columns ({bad.text[:40]!r}): fill or drop the line"
        ) from None


def _check_text(path: Path) -> str:
    """The first line of a text file, which is read through to see that all of it is UTF-8."""
    decode, read, first = codecs.getincrementaldecoder("utf-8")(), 0, ""
    with open(path, "rb") as file:
        while True:
            block = file.read(READ)
            try:
                text = decode.decode(block, final=not block)
            except UnicodeDecodeError as error:
                held = len(decode.getstate()[0])
                raise SemblanceError(
                    f"{path} is not UTF-8 (byte {read - held + error.start} is 0x{error.object[error.start]:02x}): "
                    "save it again as UTF-8"
                ) from None
            first = first or text.lstrip("\ufeff").split("\n", 1)[0].rstrip("\r")
            read += len(block)
            if not block:
                return first


def _is_float(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True
