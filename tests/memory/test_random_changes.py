"""Any sequence of changes leaves what a plain dictionary would hold, and every older version what it held then.

SEMBLANCE_SEQUENCES says how many sequences are tried (25; `make faults` takes 10,000).
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from semblance.errors import SemblanceError
from semblance.memory.exact import scan
from semblance.memory.reading import Reading
from semblance.memory.store import Store
from semblance.memory.view import View

SEQUENCES = int(os.environ.get("SEMBLANCE_SEQUENCES", "25"))
IDS = [f"id{number}" for number in range(12)]
Item = dict[str, Any]


def check(view: View, items: dict[str, Item], columns: set[str]) -> None:
    """Raises unless the view holds exactly these items, in this order, with a column for every attribute there was."""
    lines = list(items.values())
    assert view.ids() == list(items) and view.count == len(items) and set(view.schema.names) == columns
    assert view.vectors().tolist() == [line["vector"] for line in lines]
    assert [view.thumbnail(id) for id in items] == [line["png"] for line in lines]
    wanted = [{name: line.get(name) for name in view.schema.names} for line in lines]
    assert not columns or view.attributes().to_pylist() == wanted
    for place, id in enumerate(items):
        assert view.row_of(id) == place and view.ids([place]) == [id]
    if "value" in columns:
        least = sorted(line["value"] for line in lines if line.get("value") is not None)[len(lines) // 3 :][:1] or [0.0]
        rows = view.rows_where(f"value >= {least[0]} or id = 'id3'")
        assert rows.tolist() == [
            place
            for place, (id, line) in enumerate(items.items())
            if id == "id3" or (line.get("value") is not None and line["value"] >= least[0])
        ]
        if len(rows):
            found, distances = scan(view.source, rows, np.array([[0.5, -0.25]]), 3, "euclidean")
            far = sorted(math.dist((0.5, -0.25), lines[row]["vector"]) for row in rows)
            np.testing.assert_allclose(distances[0], far[:3], rtol=1e-5)
            assert set(found[0].tolist()) <= set(rows.tolist())


class AgainstADictionary(RuleBasedStateMachine):
    """The store, a reader that follows, and a dictionary for every version that can be read."""

    ids = st.lists(st.sampled_from(IDS), unique=True, min_size=1, max_size=6)
    picks = st.lists(st.integers(0, 24), min_size=1, max_size=6)

    @initialize()
    def begin(self) -> None:
        quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(dir=quick)
        self.path = Path(self.folder.name) / "s"
        self.store = Store.create(self.path, dim=2, geometry="euclidean", domain="vectors", manifest={})
        self.reader = Store.open(self.path)
        self.items: dict[str, Item] = {}
        self.columns: set[str] = set()
        self.clock = 0
        self.past: dict[int, tuple[dict[str, Item], set[str]]] = {}
        self._remember()

    def _remember(self) -> None:
        """The store made a version; if it compacted by itself, the older ones went."""
        record = self.store.view.record
        self.past = {version: then for version, then in self.past.items() if version >= record.oldest}
        self.past[self.store.version] = ({id: dict(line) for id, line in self.items.items()}, set(self.columns))

    def _picked(self, picks: list[int]) -> list[str]:
        """Ids of items that are there, save for a pick of 24 and where none is."""
        there = list(self.items) or ["id0"]
        return list(dict.fromkeys("nobody" if pick == 24 else there[pick % len(there)] for pick in picks))

    def _new(self, ids: list[str], column: str, pictures: bool) -> tuple[np.ndarray, pa.Table, list[bytes] | None]:
        values = [float(self.clock + row) for row in range(len(ids))]
        self.clock += len(ids)
        vectors = np.array([[value, -value] for value in values], np.float32)
        return vectors, pa.table({column: values}), [f"png {value}".encode() for value in values] if pictures else None

    @rule(ids=ids, update=st.booleans(), column=st.sampled_from(["value", "other"]), pictures=st.booleans())
    def add(self, ids: list[str], update: bool, column: str, pictures: bool) -> None:
        vectors, attributes, pngs = self._new(ids, column, pictures)
        there = [id for id in ids if id in self.items]
        if there and not update:
            with pytest.raises(SemblanceError, match=f"{len(there)} of {len(ids)} ids .* in the space already"):
                self.store.add(ids, vectors, attributes, thumbnails=pngs)
            return
        self.store.add(ids, vectors, attributes, thumbnails=pngs, update=update)
        self.columns.add(column)
        for row, id in enumerate(ids):
            old = self.items.pop(id, {"png": None})
            new = {"vector": vectors[row].tolist(), column: attributes[column][row].as_py()}
            self.items[id] = {**old, **new, "png": pngs[row] if pngs is not None else old["png"]}
        self._remember()

    @rule(picks=picks, column=st.sampled_from(["value", "other", "later"]))
    def change_attributes(self, picks: list[int], column: str) -> None:
        ids = self._picked(picks)
        attributes = pa.table({column: [float(self.clock + row) for row in range(len(ids))]})
        if any(id not in self.items for id in ids):
            with pytest.raises(SemblanceError, match="not in the space; nothing changed"):
                self.store.update(ids, attributes)
            return
        self.clock += len(ids)
        self.store.update(ids, attributes)
        self.columns.add(column)
        for id, value in zip(ids, attributes[column].to_pylist(), strict=True):
            self.items[id] = {**self.items[id], column: value}
        self._remember()

    @rule(picks=picks)
    def remove(self, picks: list[int]) -> None:
        ids = self._picked(picks)
        if any(id not in self.items for id in ids):
            with pytest.raises(SemblanceError, match="not in the space; nothing was removed"):
                self.store.remove(ids)
            return
        self.store.remove(ids)
        for id in ids:
            del self.items[id]
        self._remember()

    @rule()
    def compact(self) -> None:
        self.store.compact()
        self._remember()

    @rule(ids=ids)
    def fit_anew(self, ids: list[str]) -> None:
        vectors, attributes, _ = self._new(ids, "value", False)
        self.store.commit_space(ids=ids, vectors=vectors, attributes=attributes)
        self.items = {
            id: {"vector": vectors[row].tolist(), "png": None, "value": attributes["value"][row].as_py()}
            for row, id in enumerate(ids)
        }
        self.columns = {"value"}
        self._remember()

    @rule()
    def open_anew(self) -> None:
        self.store.close()
        self.store = Store.open(self.path, write=True)

    @rule(picks=picks)
    def write_by_the_reader(self, picks: list[int]) -> None:
        """As a Space does: the right to write for a moment, for a store that is open for reading."""
        self.store.close()
        with self.reader.writing() as self.store:
            self.change_attributes(picks, "value")
        self.store = Store.open(self.path, write=True)

    @rule(back=st.integers(0, 8))
    def go_back(self, back: int) -> None:
        version = self.store.version - back
        for store in (self.store, self.reader):
            if version in self.past:
                check(store.at(version), *self.past[version])
            else:
                with pytest.raises(
                    SemblanceError, match=f"version {version} cannot be read: versions {min(self.past)} to"
                ):
                    store.at(version)

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def holds_what_the_dictionary_holds(self) -> None:
        self.reader.refresh()
        readers: list[Reading] = [self.store, self.reader]
        for reader in readers:
            check(reader.view, self.items, self.columns)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.damage() == []
            self.store.close()
            self.reader.close()
            self.folder.cleanup()


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=SEQUENCES, stateful_step_count=14, deadline=None)
