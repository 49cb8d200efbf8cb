"""Held: one version of a space in memory, in the order of its rows, so that no question about many items asks SQLite.

    ids        list of text, and where each one stands
    table      the attributes, as Arrow
    column(c)  the same column as numbers that compare as SQLite compares (memory.masks), made when it is asked for
    mask(w)    the rows for which a condition is true
    order      a key of the ids in their order; content: a key of the vectors in theirs

The next version takes over what has not changed: a corrected label costs the one row, new items the new rows.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.memory.conditions import columns_of, parameters_of, unbound
from semblance.memory.masks import Column, true_rows
from semblance.memory.segments import Ints
from semblance.memory.view import View
from semblance.memory.where import parse_where

KEPT = 64
"""Masks that are kept of one version."""
LONGEST = 200_000
"""Letters of a condition; its reader takes a second for so many."""


class Held:
    """One version of a space. Immutable but for what it keeps of its own answers; any thread may ask."""

    def __init__(self, view: View, before: Held | None = None):
        self.view = view
        if before is not None and before.view.record.generation != view.record.generation:
            before = None
        old = _places(before.view, view) if before is not None else np.full(len(view), -1)
        ids, place = self._ids(before, old)
        # The generation comes first: what is derived of another one is swept away by its name (memory.housekeeping).
        content = f"{view.record.generation}-{_content(view)}"
        self._hold(ids, place, _arrays(view, before, old), content, before)

    def _hold(
        self,
        ids: list[str],
        place: dict[str, int],
        arrays: dict[str, pa.ChunkedArray],
        content: str,
        before: Held | None = None,
    ) -> None:
        self.ids, self.place, self.arrays, self.content = ids, place, arrays, content
        self.table = pa.table(self.arrays)
        self._shown = {name: _told(array) for name, array in self.arrays.items()}
        self.order: str = before.order if before is not None and self.ids is before.ids else _key(self.ids)
        self._columns: dict[str, Column] = {}
        if before is not None:
            known = before._columns
            self._columns = {n: known[n] for n in known if n in self.arrays and self.arrays[n] is before.arrays.get(n)}
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._lock = threading.Lock()
        # What others keep of their answers: while this version lasts, the ids stay, the vectors, the values of a column.
        self.kept: dict[Any, Any] = {}
        self.of_rows: dict[Any, Any] = before.of_rows if before is not None and before.ids is self.ids else {}
        same = before is not None and before.content == self.content
        self.of_vectors: dict[Any, Any] = before.of_vectors if before is not None and same else {}
        self.of_columns: dict[str, dict[Any, Any]] = {name: {} for name in [*self.arrays, "id"]}
        if before is not None:
            unchanged = [n for n in self.arrays if self.arrays[n] is before.arrays.get(n)]
            self.of_columns |= {name: before.of_columns[name] for name in unchanged}

    lost: Mapping[str, str] = MappingProxyType({})
    """Shards whose rows are not all told, and why not; a space by itself has none (joining.py)."""

    def whose(self, at: int) -> dict[str, str]:
        """What is told of where an item lies, beside its row."""
        return {}

    def readable(self, rows: Ints) -> Ints:
        """Those of these rows whose vectors can be read."""
        return rows

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def version(self) -> int:
        return self.view.version

    @property
    def manifest(self) -> dict[str, Any]:
        return self.view.record.manifest

    @property
    def headers(self) -> dict[str, str]:
        """What every answer about rows says of them."""
        return {"X-Rows": self.order, "X-Version": str(self.version), **lacking(self.lost)}

    def column(self, name: str) -> Column:
        """The values of one attribute, or of `id`."""
        found = self._columns.get(name)
        if found is None:
            if name not in self.arrays and name != "id":
                raise unknown("column", name, self.arrays)
            array = self.arrays[name] if name in self.arrays else pa.array(self.ids, pa.string())
            found = self._columns[name] = Column.of(array, name)
        return found

    def mask(self, where: str) -> NDArray[np.bool_]:
        """[N], whether the condition is true of each item."""
        with self._lock:
            found = self._masks.get(where)
            if found is not None:
                self._masks.move_to_end(where)
                return found
        kinds = {field.name: field.type for field in self.table.schema}
        kinds.setdefault("id", pa.string())
        if len(where) > LONGEST:
            raise SemblanceError(
                f"where has {len(where)} letters, and {LONGEST} is the most: store a selection and name it"
            )
        condition = parse_where(where, kinds)
        waiting = parameters_of(condition)
        if waiting:
            raise unbound(waiting[0])
        found = true_rows(condition, {name: self.column(name) for name in columns_of(condition)})
        found.flags.writeable = False
        with self._lock:
            self._masks[where] = found
            while len(self._masks) > KEPT:
                self._masks.popitem(last=False)
        return found

    def rows(self, where: str | None) -> Ints:
        """The positions of the items for which the condition is true."""
        return np.arange(len(self)) if where is None else np.flatnonzero(self.mask(where))

    def attributes(self, positions: Iterable[int]) -> list[dict[str, Any]]:
        """The attributes of the items at these places."""
        columns = self._shown.items()
        return [{name: values[at].as_py() for name, values in columns} for at in positions]

    def _ids(self, before: Held | None, old: Ints) -> tuple[list[str], dict[str, int]]:
        if before is None:
            ids = self.view.ids()
        elif len(before.ids) == len(old) and bool((before.view.source.slots == self.view.source.slots).all()):
            return before.ids, before.place  # a slot is one item's for as long as its generation lasts
        else:
            fresh = np.flatnonzero(old < 0)
            new = dict(zip(fresh.tolist(), self.view.ids(fresh), strict=True))
            ids = [before.ids[was] if was >= 0 else new[at] for at, was in enumerate(old.tolist())]
        return ids, {id: position for position, id in enumerate(ids)}


def lacking(lost: Mapping[str, str]) -> dict[str, str]:
    """The header that says whose items an answer lacks."""
    return {"X-Lost": json.dumps(list(lost))} if lost else {}


def _places(before: View, now: View) -> Ints:
    """[N] of the new view: where each row stood in the old one, -1 where it was not there."""
    if not len(before) or not len(now):
        return np.full(len(now), -1)
    order = np.argsort(before.rows, kind="stable")
    at = np.minimum(np.searchsorted(before.rows, now.rows, sorter=order), len(before) - 1)
    found = order[at]
    return np.where(before.rows[found] == now.rows, found, -1)


def _arrays(view: View, before: Held | None, old: Ints) -> dict[str, pa.ChunkedArray]:
    """All attributes by name. A column whose values are those of the version before is the very same object."""
    if before is None:
        table = view.attributes().combine_chunks()
        return {name: table[name] for name in table.column_names}
    fresh = np.flatnonzero(old < 0)
    size = len(before.view)
    there = np.array_equal(np.delete(old, fresh), np.delete(np.arange(len(old)), fresh)) and len(old) == size
    new = view.attributes(rows=fresh)
    source = old.copy()  # where each row comes from: the old column, and behind it the new values
    source[fresh] = size + np.arange(len(fresh))
    arrays = {}
    for field in view.schema:
        held = before.arrays.get(field.name)
        values = new[field.name]
        if held is not None and there and held.take(pa.array(fresh)).to_pylist() == values.to_pylist():
            arrays[field.name] = held
            continue
        held = pa.chunked_array([pa.nulls(size, field.type)]) if held is None else held
        both = pa.chunked_array([*held.chunks, *values.chunks], field.type)
        arrays[field.name] = pa.chunked_array([both.take(pa.array(source)).combine_chunks()], field.type)
    return arrays


def _told(column: pa.ChunkedArray) -> pa.Array:
    """In one piece, and as Python can hold it: its times have no nanoseconds."""
    array = column.combine_chunks()
    nano = pa.types.is_timestamp(array.type) and array.type.unit == "ns"
    return array.cast(pa.timestamp("us", array.type.tz), safe=False) if nano else array


def _key(words: list[str]) -> str:
    return hashlib.blake2b("\n".join(words).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _content(view: View) -> str:
    """A key of the vectors in their order: what the files hold, by their checksums, and which rows of them count."""
    found = hashlib.blake2b(repr((view.source.dim, view.record.manifest["created"])).encode(), digest_size=8)
    for segment in view.record.segments:
        found.update(repr((segment.file, segment.rows)).encode() + segment.sums)
    found.update(np.ascontiguousarray(view.source.slots).tobytes())
    return found.hexdigest()
