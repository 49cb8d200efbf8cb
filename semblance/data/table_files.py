"""Table files: Parquet and Arrow files that are read from a row to a row, without what comes before where that can be.

.parquet, .pq              row groups: those before are not read, the rows before in the same one are
.arrow, .feather, .ipc     Arrow's file format: record batches, mapped
.arrows                    Arrow's stream format: record batches, mapped; those before are passed over
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError

PARQUET = (".parquet", ".pq")
STREAM = (".arrows",)
SUFFIXES = (*PARQUET, ".arrow", ".feather", ".ipc", *STREAM)


def files_of(path: Path) -> list[str]:
    """The tables that are streamed: the file itself, or those below a folder, in order."""
    if path.is_file():
        return [path.name] if path.suffix.lower() in SUFFIXES else []
    found = (p.relative_to(path) for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p.as_posix() for p in found if not any(part.startswith((".", "_")) for part in p.parts))


def counted(path: Path) -> tuple[pa.Schema, list[int]]:
    """The schema, and the rows that the groups of a file begin with, and behind the last."""
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() in PARQUET:
            with pq.ParquetFile(path) as file:
                about = file.metadata
                rows = [about.row_group(n).num_rows for n in range(about.num_row_groups)]
                return file.schema_arrow.remove_metadata(), [0, *np.cumsum(rows).tolist()]
        with pa.memory_map(os.fspath(path)) as source:
            if path.suffix.lower() in STREAM:
                stream = pa.ipc.open_stream(source)
                rows = [batch.num_rows for batch in stream]
                return stream.schema.remove_metadata(), [0, *np.cumsum(rows).tolist()]
            held = pa.ipc.open_file(source)
            rows = [held.get_batch(n).num_rows for n in range(held.num_record_batches)]
            return held.schema.remove_metadata(), [0, *np.cumsum(rows).tolist()]
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise SemblanceError(
            f"{path} cannot be read as {path.suffix[1:]} ({why}): check the file, or save it anew"
        ) from None


def batches(
    path: Path, groups: tuple[int, ...], low: int, high: int, rows: int, columns: list[str] | None
) -> Iterator[pa.RecordBatch]:
    """The rows from `low` to before `high`, batch by batch."""
    import pyarrow.parquet as pq

    inside = [n for n in range(len(groups) - 1) if groups[n] < high and groups[n + 1] > low]
    at = groups[inside[0]]
    if path.suffix.lower() in PARQUET:
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            for batch in file.iter_batches(min(rows, 1 << 16), inside, columns, use_threads=False):
                if at >= high:
                    return
                yield from _within(batch, at, low, high)
                at += batch.num_rows
        return
    with pa.memory_map(os.fspath(path)) as source:
        if path.suffix.lower() in STREAM:
            held = iter(pa.ipc.open_stream(source))
            for _ in range(inside[0]):
                next(held)
            found = (next(held) for _ in inside)
        else:
            file = pa.ipc.open_file(source)
            found = (file.get_batch(n) for n in inside)
        for batch in found:
            yield from _within(batch if columns is None else batch.select(columns), at, low, high)
            at += batch.num_rows


def _within(batch: pa.RecordBatch, at: int, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """What of a batch that begins with row `at` lies between `low` and `high`."""
    first, stop = max(low - at, 0), min(high - at, batch.num_rows)
    if first < stop:
        yield batch.slice(first, stop - first)
