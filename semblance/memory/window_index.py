"""Window index: the Index contract over a window tree of one attribute.

    index = WindowIndex(dim=128, by="year", base="graph")
    index.add(ids, vectors, attributes)
    index.search(queries, 10, "year between 2019 and 2021")

A condition is one window of the attribute `by`: comparisons, between, and what they join to by `and`. Whatever else a
condition may say is for an index that holds the other attributes. The way to ask is the rule's, once `measure` was called.
`save` writes one safetensors file: vectors, numbers, the tree, and the base indexes as faiss writes them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory.atomic import all_or_nothing, write_file
from semblance.memory.base_indexes import Base, Flat, Ints, base_index, restored
from semblance.memory.changes import check_ids, named
from semblance.memory.columns import is_number, is_time
from semblance.memory.conditions import conjuncts
from semblance.memory.exact import checked_queries
from semblance.memory.masks import Column, span
from semblance.memory.segments import checked
from semblance.memory.where import parse_where
from semblance.memory.window import Window
from semblance.memory.window_rule import Choice, Rule, measured_rule
from semblance.memory.window_tree import Effort, Node, WindowTree

FORMAT = 1


class WindowIndex:
    """Items with one number each. `base` is "flat", "lists" or "graph"; `settings` are that base index's."""

    def __init__(
        self,
        dim: int,
        by: str,
        geometry: str = "cosine",
        base: str = "graph",
        branching: int = 2,
        cutoff: int = 1000,
        settings: Mapping[str, int] | None = None,
    ):
        self.dim, self.by, self.geometry, self.base = dim, by, geometry, base
        self.branching, self.cutoff, self.settings = branching, cutoff, dict(settings or {})
        space_named(geometry), base_index(base)  # wrong names are refused now
        self.rule = Rule()
        self._field: pa.Field | None = None
        self._column: Column | None = None
        self._window: Window | None = None
        self._ids: NDArray[Any] = np.empty(0, object)  # [slots]
        self._slots: dict[str, int] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None:
        """Adds items with their number (null: none); an id that is there already is refused."""
        check_ids(ids)
        block = checked(vectors, self.dim, 0).copy()  # the caller may change his array afterwards
        if attributes is None or self.by not in attributes.column_names:
            raise SemblanceError(f"items came without {self.by!r}, by which this index sorts them: give that attribute")
        if not len(ids) == len(block) == attributes.num_rows:
            raise SemblanceError(f"{len(ids)} ids came with {len(block)} vectors and {attributes.num_rows} attributes")
        with self._lock:
            twice = [id for id in ids if id in self._slots]
            if twice:
                raise SemblanceError(f"{named(twice, len(ids))} in the index already: remove them first")
            numbers = self._numbers(attributes[self.by])
            if not len(ids):
                return
            slots = np.arange(len(ids))
            if self._window is None:
                builder = base_index(self.base, **self.settings)
                tree = WindowTree(block, numbers, builder, self.geometry, self.branching, self.cutoff)
                self._window = Window(tree)
            else:
                slots = self._window.tree.add(block, numbers)
            self._ids = np.append(self._ids, np.array(ids, object))
            self._slots.update(zip(ids, slots.tolist(), strict=True))

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items; an id that is not there is refused, and then none is removed."""
        with self._lock:
            missing = sorted(set(ids) - self._slots.keys())
            if missing:
                raise SemblanceError(f"{named(missing, len(ids))} not in the index; nothing was removed")
            if self._window is not None:
                self._window.tree.remove(np.array([self._slots[id] for id in dict.fromkeys(ids)], np.int64))
            for id in set(ids):
                del self._slots[id]
            if not self._slots:
                self._window, self._ids = None, np.empty(0, object)

    def search(self, queries: np.ndarray, k: int, where: str | None = None) -> tuple[list[list[str]], list[np.ndarray]]:
        """The k nearest items to each query [Q, d] in the window: ids and distances."""
        asked = checked_queries(queries, self.dim, k)
        with self._lock:
            s, e = self._span(where)
            if self._window is None:
                return [[] for _ in asked], [np.empty(0, np.float32) for _ in asked]
            choice = self.rule.choose(len(self), e - s)
            slots, distances = self._window.among(asked, k, s, e, choice.strategy, choice.effort)
            return [list(self._ids[line]) for line in slots], list(distances)

    def measure(self, queries: np.ndarray, rng: np.random.Generator, k: int = 10, recall: float = 0.95) -> Rule:
        """Finds and keeps the rule for queries like these."""
        with self._lock:
            if self._window is not None:
                self.rule = measured_rule(self._window, checked_queries(queries, self.dim, k), rng, k, recall)
            return self.rule

    def save(self, path: Path) -> None:
        """One file, replaced as a whole. What was removed is dropped first, so that it is not in the file."""
        with self._lock, all_or_nothing(Path(path)):
            write_file(Path(path), self._bytes())

    @classmethod
    def load(cls, path: Path) -> WindowIndex:
        """The index of a file that `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            content = Path(path).read_bytes()
            tensors = load(content)
            about = json.loads(tensors.pop("about").tobytes())
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise SemblanceError(f"{path}: is no window index or is damaged ({error}): build it again") from None
        if about["format"] > FORMAT:
            raise SemblanceError(f"{path}: has format {about['format']} and this program reads {FORMAT}: update it")
        index = cls(**about["made"])
        index.rule = Rule(tuple(Choice(c["strategy"], Effort(**c["effort"]), c["evaluations"]) for c in about["rule"]))
        if "field" in tensors:
            index._keep(pa.ipc.read_schema(pa.BufferReader(tensors["field"].tobytes())).field(0))
        if "vectors" in tensors:
            index._restore(tensors, about["ids"])
        return index

    def _keep(self, field: pa.Field) -> None:
        column = Column.of(pa.array([], field.type), self.by)
        values = np.empty(0, np.float64 if column.values.dtype.kind == "f" else np.int64)
        self._field, self._column = field, Column(column.kind, values)

    def _numbers(self, column: pa.ChunkedArray) -> NDArray[Any]:
        """[n] int64, or float64 with NaN for null."""
        if self._field is None:
            if not (is_number(column.type) or is_time(column.type) or pa.types.is_boolean(column.type)):
                raise SemblanceError(f"attribute {self.by!r} is of type {column.type}: a window needs numbers or times")
            self._keep(pa.field(self.by, column.type))
        assert self._field is not None
        try:
            held = Column.of(column.cast(self._field.type), self.by)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise SemblanceError(f"attribute {self.by!r} is of type {self._field.type} here: {reason}") from None
        if held.null is None:
            return held.values.astype(np.float64 if held.values.dtype.kind == "f" else np.int64)
        exact = held.values.astype(np.float64)
        if held.values.dtype.kind != "f" and bool((exact.astype(np.int64) != held.values).any()):
            raise SemblanceError(f"attribute {self.by!r} has nulls beside whole numbers beyond 2^53: fill the nulls")
        return np.where(held.null, np.nan, exact)

    def _span(self, where: str | None) -> tuple[int, int]:
        if where is None or self._window is None:
            return 0, len(self)
        assert self._field is not None and self._column is not None
        low: Any = None
        high: Any = None
        for part in conjuncts(parse_where(where, {self.by: self._field.type})):
            found = span(part, self._column)
            if found is None:
                raise SemblanceError(
                    f"where {str(part)!r} is no window of {self.by!r}: this index answers <, <=, =, >=, > and between"
                )
            low, high = found if low is None else (max(low, found[0]), min(high, found[1]))
        return self._window.tree.span(low, high) if low <= high else (0, 0)

    def _bytes(self) -> bytes:
        from safetensors.numpy import save

        made = {"dim": self.dim, "by": self.by, "geometry": self.geometry, "base": self.base}
        made |= {"branching": self.branching, "cutoff": self.cutoff, "settings": self.settings}
        about: dict[str, Any] = {
            "format": FORMAT,
            "made": made,
            "rule": [asdict(choice) for choice in self.rule.choices],
        }
        tensors: dict[str, NDArray[Any]] = {}
        if self._field is not None:
            tensors["field"] = np.frombuffer(pa.schema([self._field]).serialize(), np.uint8)
        if self._window is not None:
            if len(self) < len(self._ids):
                self._ids = self._ids[self._window.compact()]
                self._slots = {id: slot for slot, id in enumerate(self._ids)}
            about["ids"] = self._ids.tolist()
            tree = self._window.tree
            tensors |= {"vectors": tree.vectors, "numbers": tree.numbers}
            ends: list[tuple[int, int, int]] = []  # of every node, parents first: ranks and the number of children
            waiting = [tree.root]
            while waiting:
                node = waiting.pop()
                base: Any = node.base
                tensors[f"slots-{len(ends)}"] = node.slots
                if not isinstance(base, Flat):
                    tensors[f"base-{len(ends)}"] = base.bytes()
                ends.append((node.start, node.stop, len(node.children)))
                waiting += node.children[::-1]
            tensors["nodes"] = np.array(ends, np.int64)
        tensors["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})

    def _restore(self, tensors: Mapping[str, NDArray[Any]], ids: list[str]) -> None:
        numbers = np.asarray(tensors["numbers"])
        tree = WindowTree(tensors["vectors"][:0], numbers[:0], "flat", self.geometry, self.branching, self.cutoff)
        tree.builder = base_index(self.base, **self.settings)
        tree.take(np.asarray(tensors["vectors"]), numbers, self._node(tensors, iter(range(len(tensors["nodes"])))))
        self._window, self._ids = Window(tree), np.array(ids, object)
        self._slots = {id: slot for slot, id in enumerate(ids)}

    def _node(self, tensors: Mapping[str, NDArray[Any]], numbers: Any) -> Node:
        """The next node of the file, with its children."""
        number = next(numbers)
        start, stop, children = tensors["nodes"][number].tolist()
        slots: Ints = tensors[f"slots-{number}"]
        base: Base
        if f"base-{number}" in tensors:
            base = restored(self.base, tensors[f"base-{number}"])
        else:
            base = Flat(tensors["vectors"][slots], self.geometry)
        return Node(slots, start, stop, base, [self._node(tensors, numbers) for _ in range(children)])
