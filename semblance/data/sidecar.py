"""A table beside the images: what else is known of each file, joined by its name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from semblance.data.splits import from_words
from semblance.data.tables import LABELS, read_table
from semblance.errors import SemblanceError, unknown

NAMES = tuple(
    f"{stem}{suffix}"
    for stem in ("metadata", "attributes", "labels", "captions")
    for suffix in (".csv", ".tsv", ".parquet", ".jsonl")
)
KEYS = ("file_name", "filename", "file", "path", "image", "id", "key", "name")


class Sidecar(NamedTuple):
    """Columns aligned with the images, which of them is the label, the splits it gives, and a line for the user."""

    table: pa.Table
    label: str | None
    splits: dict[str, np.ndarray] | None
    note: str


def sidecar(root: Path, ids: list[str], id_column: str | None = None) -> Sidecar | None:
    """The first table of a known name in the folder, joined to the images by relative path, file name or stem."""
    path = next((root / name for name in NAMES if (root / name).is_file()), None)
    if path is None:
        if id_column is not None:
            raise SemblanceError(f"{root} has no table for the id column {id_column!r}: put it there as metadata.csv")
        return None
    joined, key, missing = joined_to(path, ids, id_column)
    named = {name.lower(): name for name in reversed(joined.column_names)}
    label = next((named[n] for n in LABELS if n in named), None)
    splits = from_words(joined.column(named["split"]).to_pylist()) if "split" in named else None
    note = f"attributes: {path.name}, joined by {key!r}" + (f"; {missing:,} images are not in it" if missing else "")
    return Sidecar(joined, label, splits, note)


def joined_to(path: Path, ids: list[str], id_column: str | None = None) -> tuple[pa.Table, str, int]:
    """A file's other columns, aligned with the images; the column that names these; how many images are not in it."""
    table = read_table(path)
    if id_column is not None and id_column not in table.column_names:
        raise unknown("id column", id_column, table.column_names)
    lower = {name.lower(): name for name in reversed(table.column_names)}
    candidates = [id_column] if id_column is not None else [lower[k] for k in KEYS if k in lower]
    for key in candidates:
        rows = _rows(path, key, [str(v) for v in table.column(key).to_pylist()], ids)
        if rows is not None:
            break
    else:
        held = ", ".join(table.column_names)
        raise SemblanceError(
            f"{path.name} names none of the images (columns {held}): "
            "give it a column file_name with their paths in the folder"
        )
    return table.drop_columns([key]).take(pa.array(rows, pa.int64())), key, rows.count(None)


def _rows(path: Path, key: str, values: list[str], ids: list[str]) -> list[int | None] | None:
    """For each image the row that names it, or None where the column names no image at all."""
    values = [v.replace("\\", "/").removeprefix("./") for v in values]
    for of in (str, lambda name: name.rpartition("/")[2], lambda name: name.rpartition("/")[2].rpartition(".")[0]):
        wanted = [of(i) for i in ids]
        if len(set(wanted)) < len(wanted) or not set(wanted) & set(values):
            continue
        value, times = Counter(v for v in values if v in set(wanted)).most_common(1)[0]
        if times > 1:
            raise SemblanceError(
                f"{path.name} names {value!r} {times} times in column {key!r}: give each image one row"
            )
        row_of = {v: row for row, v in enumerate(values)}
        return [row_of.get(w) for w in wanted]
    return None
