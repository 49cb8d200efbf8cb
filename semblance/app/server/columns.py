"""Columns: what the attributes of a space are to a page, and their values as bytes.

    number    float32, or float64 where float32 would merge whole numbers; missing is NaN
    time      float64 seconds since 1970 in UTC; missing is NaN
    category  codes into a vocabulary: text with at most `FEW` distinct values, and true/false
    text      codes, and no vocabulary: nobody can look at so many

Bytes are framed: uint32 length of the head, the head as JSON, padded so that the values begin at a multiple of 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.app.server.answers import encoded
from semblance.app.server.held import Held
from semblance.data.labels import ordered
from semblance.errors import SemblanceError
from semblance.memory.columns import counts_nanoseconds
from semblance.memory.masks import Column

FEW = 1_000
SHOWN = 50
EXACT = 1 << 24
"""Whole numbers up to this are told apart in float32."""


def kind_of(column: Column) -> str:
    """number, time, boolean, category, text or list."""
    if column.words is not None:
        return "category" if len(column.words) <= FEW else "text"
    return {"truth": "boolean"}.get(column.kind, column.kind)


def words_of(column: Column) -> list[str]:
    """The vocabulary that codes stand for."""
    if column.kind == "truth":
        return ["false", "true"]
    assert column.words is not None
    found: list[str] = column.words.array.to_pylist()
    return found


def counts_of(column: Column, inside: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """How often each word of the vocabulary occurs, among all rows or those inside."""
    values = column.values if inside is None else column.values[inside]
    if column.kind == "truth" and column.null is not None:
        values = values[~(column.null if inside is None else column.null[inside])]
    return np.bincount(values[values >= 0], minlength=len(words_of(column)))


def missing_in(column: Column, inside: NDArray[np.bool_] | None = None) -> int:
    if column.null is None:
        return 0
    return int((column.null if inside is None else column.null & inside).sum())


def numbers_of(column: Column, kind: pa.DataType) -> NDArray[Any]:
    """[N] float64, NaN where there is none; times in seconds."""
    values = column.values.astype(np.float64)
    if column.kind == "time":
        values /= 1e9 if counts_nanoseconds(kind) else 1e6
    if column.null is not None:
        values[column.null] = np.nan
    return values


def described(held: Held, name: str) -> dict[str, Any]:
    """What a page needs to know of a column."""
    kept = held.of_columns[name]
    if "described" not in kept:
        kept["described"] = _described(held, name)
    found: dict[str, Any] = kept["described"]
    return found


def _described(held: Held, name: str) -> dict[str, Any]:
    column, kind = held.column(name), held.table.schema.field(name).type
    said: dict[str, Any] = {"name": name, "kind": kind_of(column), "type": str(kind), "nulls": missing_in(column)}
    said |= {"distinct": None, "min": None, "max": None, "vocabulary": None}
    if said["kind"] in ("number", "time"):
        values = numbers_of(column, kind)
        known = values[np.isfinite(values)]
        ends = (known.min(), known.max()) if len(known) else (None, None)
        said |= dict(zip(("min", "max"), map(_moment, ends) if said["kind"] == "time" else ends, strict=True))
        said["distinct"] = len(np.unique(known))
    elif said["kind"] != "list":
        said["distinct"] = len(words_of(column)) if column.words is not None else int((counts_of(column) > 0).sum())
        if said["kind"] == "category":
            words, counts = words_of(column), counts_of(column)
            said["vocabulary"] = [words[code] for code in np.argsort(-counts, kind="stable")[:SHOWN].tolist()]
    return said


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else str(np.datetime64(round(seconds * 1e6), "us")).removesuffix(".000000")


def framed(held: Held, name: str) -> bytes:
    """The values of a column in row order."""
    column = held.column(name)
    said: dict[str, Any] = {"name": name, "kind": kind_of(column), "n": len(held), "missing": None}
    said |= {"vocabulary": None, "counts": None, "min": None, "max": None}
    if said["kind"] == "list":
        raise SemblanceError(f"column {name!r} holds lists, which have no place on a map: take another column")
    if said["kind"] in ("number", "time"):
        kind = pa.string() if name not in held.arrays else held.table.schema.field(name).type
        values = numbers_of(column, kind)
        known = values[np.isfinite(values)]
        if len(known):
            said |= {"min": float(known.min()), "max": float(known.max())}
        merged = column.values.dtype != np.float32 and len(known) > 0 and np.abs(known).max() > EXACT
        data = values.astype("<f8" if merged or said["kind"] == "time" else "<f4")
    else:
        words, counts = words_of(column), counts_of(column)
        codes = column.values.astype(np.int64)
        if column.null is not None:
            codes[column.null] = -1
        if said["kind"] == "category":
            order = ordered(words)  # 2 before 10
            place = {word: number for number, word in enumerate(order)}
            moved = np.array([*(place[word] for word in words), -1], np.int64)
            codes, counts = moved[codes], counts[np.argsort(moved[:-1])]
            words = order
        small = len(words) < 65_535 and said["kind"] != "text"
        said["missing"] = 65_535 if small else 4_294_967_295
        data = np.where(codes < 0, said["missing"], codes).astype("<u2" if small else "<u4")
        if said["kind"] != "text":
            said |= {"vocabulary": words, "counts": counts}
    said["dtype"] = {"u2": "uint16", "u4": "uint32", "f4": "float32", "f8": "float64"}[data.dtype.str[1:]]
    head = encoded(said)
    head += b" " * (-(4 + len(head)) % 8)
    return len(head).to_bytes(4, "little") + head + data.tobytes()
