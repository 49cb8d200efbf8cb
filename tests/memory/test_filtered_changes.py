"""Any sequence of changes leaves an index that answers as a dictionary of its items does.

SEMBLANCE_SEQUENCES says how many sequences are tried (25; `make faults` takes 10,000).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from semblance.errors import SemblanceError
from semblance.memory import filtered
from semblance.memory.filtered import Filtered

SEQUENCES = int(os.environ.get("SEMBLANCE_SEQUENCES", "25"))
DIM = 4
QUERIES = np.random.default_rng(1).normal(size=(2, DIM)).astype(np.float32)
WHERES: dict[str | None, Any] = {
    None: lambda item: True,
    "year between 3 and 6": lambda item: item.get("year") is not None and 3 <= item["year"] <= 6,
    "kind = 'a' or year is null": lambda item: item.get("kind") == "a" or item.get("year") is None,
}
Item = dict[str, Any]


class AgainstADictionary(RuleBasedStateMachine):
    """An index at recall 1, whose parts are built early, and what it should hold."""

    @initialize(geometry=st.sampled_from(["cosine", "euclidean"]))
    def begin(self, geometry: str) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(filtered, "FIRST", 40)
        self.index = Filtered(DIM, geometry, recall=1.0)
        self.items: dict[str, Item] = {}
        self.clock = 0

    @rule(
        count=st.sampled_from([1, 3, 30, 300]), columns=st.sampled_from([(), ("year",), ("year", "kind")]),
        equal=st.booleans(), seed=st.integers(0, 99),
    )  # fmt: skip
    def add(self, count: int, columns: tuple[str, ...], equal: bool, seed: int) -> None:
        rng = np.random.default_rng(seed)
        vectors = np.ones((count, DIM), np.float32) if equal else rng.normal(size=(count, DIM)).astype(np.float32)
        held = {
            "year": [int(y) if y else None for y in rng.integers(0, 10, count)],
            "kind": rng.choice(["a", "b"], count),
        }
        ids = [f"i{self.clock + number}" for number in range(count)]
        self.clock += count
        kinds = {"year": pa.int64(), "kind": pa.string()}
        attributes = pa.table({name: pa.array(held[name], kinds[name]) for name in columns}) if columns else None
        self.index.add(ids, vectors, attributes)
        for number, id in enumerate(ids):
            self.items[id] = {"vector": vectors[number], **{name: held[name][number] for name in columns}}

    @rule(share=st.sampled_from([0.01, 0.2, 0.9, 1.0]), seed=st.integers(0, 99))
    def remove(self, share: float, seed: int) -> None:
        ids = list(self.items)
        gone = [ids[row] for row in np.random.default_rng(seed).permutation(len(ids))[: int(np.ceil(share * len(ids)))]]
        self.index.remove(gone)
        for id in gone:
            del self.items[id]

    @rule()
    def refuse(self) -> None:
        with pytest.raises(SemblanceError, match="nothing was removed"):
            self.index.remove([*list(self.items)[:1], "nobody"])
        if self.items:
            with pytest.raises(SemblanceError, match="already"):
                self.index.add(["new", next(iter(self.items))], QUERIES)

    @rule()
    def build(self) -> None:
        self.index.build()
        assert self.index._state.indexed == len(self.index._state.ids)

    @rule(k=st.sampled_from([1, 10, 400]), recall=st.sampled_from([0.9, 1.0]), low=st.integers(-1, 9))
    def ask_a_prepared_search(self, k: int, recall: float, low: int) -> None:
        if "year" not in self.index._state.table.column_names:
            return
        near = self.index.prepare("year between ? and ?", recall)
        found, distances = near(QUERIES[0], k, low, low + 2)
        ids = [self.index._state.ids[number] for number in found]
        inside = {
            id for id, item in self.items.items() if item.get("year") is not None and low <= item["year"] <= low + 2
        }
        assert len(ids) == len(set(ids)) == min(k, len(inside)) and set(ids) <= inside
        assert (np.diff(distances) >= -1e-5).all()

    @rule(
        k=st.sampled_from([1, 10, 400]), first=st.integers(-1, 9), second=st.integers(0, 9), kind=st.sampled_from("abc")
    )  # fmt: skip
    def ask_a_prepared_combination(self, k: int, first: int, second: int, kind: str) -> None:
        if not {"year", "kind"} <= set(self.index._state.table.column_names):
            return
        near = self.index.prepare("(year = ? or year > ?) and not kind = ?", 1.0)
        found, distances = near(QUERIES[0], k, first, second, kind)
        ids = [self.index._state.ids[number] for number in found]
        inside = [
            id
            for id, item in self.items.items()
            if item.get("kind") not in (None, kind)
            and item.get("year") is not None
            and (item["year"] == first or item["year"] > second)
        ]
        assert len(ids) == len(set(ids)) == min(k, len(inside)) and set(ids) <= set(inside)
        np.testing.assert_allclose(distances, np.sort(self.true(QUERIES[0], inside))[:k], rtol=1e-4, atol=1e-4)

    def true(self, query: np.ndarray, ids: list[str]) -> np.ndarray:
        """The distances of these items."""
        held = np.array([self.items[id]["vector"] for id in ids]).reshape(-1, DIM)
        geometry = self.index.geometry
        return geometry.distance(geometry.prepare(query[None]), geometry.prepare(held))[0]

    @precondition(lambda self: hasattr(self, "index"))
    @invariant()
    def answers_as_the_dictionary(self) -> None:
        assert len(self.index) == len(self.items)
        names = set(self.index._state.table.column_names)
        for where, meets in WHERES.items():
            if where and not {"year", "kind"} <= names:
                continue
            inside = [id for id, item in self.items.items() if meets(item)]
            now, found, distances = self.index.answer(QUERIES, 7, where)
            assert found.matches == len(inside)
            for query, keys, far in zip(QUERIES, found.keys, distances, strict=True):
                ids = [now.ids[key] for key in keys]
                assert set(ids) <= set(inside) and len(set(ids)) == len(ids) == min(7, len(inside))
                np.testing.assert_allclose(far, self.true(query, ids), rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(far, np.sort(self.true(query, inside))[:7], rtol=1e-4, atol=1e-4)

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            if self.index._worker is not None:
                self.index._worker.join()
            self.patch.undo()


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=SEQUENCES, stateful_step_count=12, deadline=None)
