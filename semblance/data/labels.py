"""Labels as people have them -> one of three columns of numbers.

a class          strings, integers, flags             int64 [N], -1 unlabelled; the classes' names in order
several classes  words separated by ; or lists        bool [N, K]; nobody's row is all false
a number         floats                               float64 [N], NaN unlabelled
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from semblance.errors import SemblanceError

SEPARATOR = ";"


class Labels(NamedTuple):
    values: np.ndarray
    classes: tuple[str, ...]


def labels_of(column: Any, name: str = "labels") -> Labels:
    """An Arrow or NumPy column, or a list, with nothing (null, empty text, NaN, -1) where a label is missing.

    -1 is a class like any other where 1 is the only other number, or where further negative numbers occur.

    >>> labels_of(["cat", "dog", None, "cat"])
    Labels(values=array([ 0,  1, -1,  0]), classes=('cat', 'dog'))
    """
    if isinstance(column, np.ndarray) and column.ndim == 2:
        return _flags(column, name)
    column = _arrow(column, name)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return labels_of(column.cast(kind.value_type), name)
    if pa.types.is_null(kind):
        return Labels(np.full(len(column), -1, np.int64), ())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _several(column, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        words = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
        if pc.any(pc.match_substring(words, SEPARATOR)).as_py():
            return _several(pc.split_pattern(words, SEPARATOR), name)
        return _coded(pc.if_else(pc.equal(words, ""), None, words).to_pylist())
    if pa.types.is_boolean(kind):
        return _coded([None if v is None else str(v).lower() for v in column.to_pylist()])
    if pa.types.is_integer(kind):
        return _whole(column.to_pylist())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise SemblanceError(
                f"label {name!r} of row {row} is infinite: give a number, or nothing where it is unknown"
            )
        return Labels(numbers.astype(np.float64), ())
    raise SemblanceError(
        f"labels {name!r} are of type {kind}: give text or integers (classes), floats (numbers), or lists (several classes)"
    )


def ordered(names: Iterable[str]) -> list[str]:
    """Names of classes in order: by number where all are numbers, else by letters."""
    found = sorted(set(names))
    return sorted(found, key=int) if all(n.isascii() and n.isdecimal() for n in found) else found


def _arrow(column: Any, name: str) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks()
    if isinstance(column, pa.Array):
        return column
    try:
        values = column.tolist() if isinstance(column, np.ndarray) and column.dtype.kind in "OUS" else column
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise SemblanceError(f"labels {name!r} mix kinds of values ({why}): give all text, or all numbers") from None


def _coded(words: list[str | None]) -> Labels:
    classes = ordered(w for w in words if w is not None)
    code = {word: k for k, word in enumerate(classes)}
    return Labels(np.array([-1 if w is None else code[w] for w in words], np.int64), tuple(classes))


def _whole(numbers: list[int | None]) -> Labels:
    known = sorted({n for n in numbers if n is not None})
    if known and known[0] == -1 and known != [-1, 1]:
        known = known[1:]
    code = {n: k for k, n in enumerate(known)}
    return Labels(np.array([code.get(n, -1) for n in numbers], np.int64), tuple(map(str, known)))


def _several(column: pa.Array, name: str) -> Labels:
    rows = [[] if row is None else [_word(v, name) for v in row if v is not None] for row in column.to_pylist()]
    rows = [[word for word in row if word] for row in rows]
    classes = ordered(word for row in rows for word in row)
    code = {word: k for k, word in enumerate(classes)}
    values = np.zeros((len(rows), len(classes)), bool)
    for i, row in enumerate(rows):
        values[i, [code[word] for word in row]] = True
    return Labels(values, tuple(classes))


def _word(value: Any, name: str) -> str:
    if not isinstance(value, str | int):
        raise SemblanceError(f"labels {name!r} hold lists of {type(value).__name__}: give lists of text or integers")
    return str(value).strip()


def _flags(column: np.ndarray, name: str) -> Labels:
    if column.dtype.kind not in "biu" or not np.isin(column, (0, 1)).all():
        raise SemblanceError(
            f"labels {name!r} are {column.dtype} {list(column.shape)}: two dimensions mean several classes a unit, "
            "as 0 and 1; give one column otherwise"
        )
    return Labels(column.astype(bool), tuple(map(str, range(column.shape[1]))))
