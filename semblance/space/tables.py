"""Tables out of a space: ids, vectors and attributes as one Arrow table, or as a data frame of any library.

The column `vector` is a fixed-size list of float32 whose chunks are the memory maps themselves: nothing is copied where
items lie in the order in which they were written, and the table may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError, unknown
from semblance.memory.segments import Floats, Ints, Vectors
from semblance.memory.view import View

CHUNKS = 1024
"""With more pieces than this, blocks are copied instead: a chunk costs more than a short copy."""
BLOCK = 1 << 16
FRAMES = ("pandas", "polars", "pyarrow", "modin", "cudf")


def to_arrow(view: View, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
    """Columns `id`, `vector` and the attributes (all, or those named) of the items that satisfy `where`, in order.

    An attribute that is itself called `id` or `vector` is left to `Space.attributes`.
    """
    rows = None if where is None else view.rows_where(where)
    # By position: asking `where` twice could meet two states of the space.
    attributes = view.attributes(columns, rows=rows) if rows is not None else view.attributes(columns)
    found = {
        "id": pa.array(view.ids(rows), pa.string()),
        "vector": vectors_as_arrow(view.source, rows),
    }
    for name in attributes.column_names:
        found.setdefault(name, attributes.column(name))
    return pa.table(found)


def vectors_as_arrow(source: Vectors, rows: Ints | None = None) -> pa.ChunkedArray:
    """Vectors [N, d] as a column of fixed-size lists; every chunk is a view of its file where it lies in one piece."""
    kind = pa.list_(pa.float32(), source.dim)
    chunks = []
    for piece in pieces(source, rows):
        # As a buffer: pa.array would import pandas to see what it was given.
        values = pa.Array.from_buffers(pa.float32(), piece.size, [None, pa.py_buffer(np.ascontiguousarray(piece))])
        chunks.append(pa.FixedSizeListArray.from_arrays(values, type=kind))
    return pa.chunked_array(chunks, type=kind)


def pieces(source: Vectors, rows: Ints | None = None) -> Iterator[Floats]:
    """The vectors in order, [n, d] at a time, cut where the next one does not lie behind the last."""
    slots = source.slots if rows is None else source.slots[rows]
    cuts = np.flatnonzero(slots[1:] != slots[:-1] + 1) + 1
    if len(cuts) >= CHUNKS:
        for start in range(0, len(slots), BLOCK):
            yield source[slice(start, start + BLOCK) if rows is None else rows[start : start + BLOCK]]
        return
    for start, stop in pairwise([0, *cuts.tolist(), len(slots)]):
        if stop == start:
            continue
        # A run of slots may go on in the next file.
        files = source.starts[(source.starts > slots[start]) & (source.starts <= slots[stop - 1])]
        for first, last in pairwise([start, *(files - slots[start] + start).tolist(), stop]):
            number = int(np.searchsorted(source.starts, slots[first], side="right")) - 1
            place = int(slots[first] - source.starts[number])
            piece: Floats = source.parts[number][place : place + last - first]
            # Shorter where the file is damaged, of which the source has to tell.
            short = len(piece) < last - first
            yield source[slice(first, last) if rows is None else rows[first:last]] if short else piece


def to_frame(table: pa.Table, library: str = "pandas") -> Any:
    """The table as a data frame of pandas, polars, ... (by narwhals); vectors become arrays in their cells."""
    if library not in FRAMES:
        raise unknown("data frame library", library, FRAMES)
    import narwhals as nw

    backend: Any = library
    try:
        return nw.from_arrow(table, backend=backend).to_native()
    except ImportError as error:
        raise SemblanceError(f"a frame of {library} needs it installed: pip install {library}") from error
