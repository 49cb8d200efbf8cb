"""What every index promises: the answers of a scan over all items, through additions, removals and a save.

check_index(lambda: MyIndex(6, "euclidean"), load=MyIndex.load)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.contracts import Index
from semblance.geometry.spaces import space_named
from semblance.memory.conditions import Condition
from semblance.memory.masks import Column, true_rows
from semblance.memory.where import parse_where
from semblance.testing.promises import Excused, equal, keep, refuses, that

CONDITIONS = ("year > 2005 and city <> 'Lima'", "city = 'Rome'", "year between 2003 and 2004")
CLOSE = 1e-5


@dataclass(frozen=True)
class Tried:
    """How an index is made and loaded, and what it should answer to: conditions, and the share of true neighbours."""

    make: Callable[[], Any]
    load: Callable[[Path], Any]
    dim: int
    geometry: str
    conditions: Sequence[str]
    recall: float

    def filled(self, n: int = 60) -> tuple[Any, Items]:
        """An index of n items, and the items."""
        items = Items.drawn(n, self.dim)
        index = self.make()
        index.add(items.ids, items.vectors, items.table)
        return index, items


@dataclass(frozen=True)
class Items:
    """What an index should hold."""

    ids: list[str]
    vectors: np.ndarray
    table: pa.Table

    @classmethod
    def drawn(cls, n: int, dim: int, start: int = 0) -> Items:
        """n items with numbers and attributes drawn for them; `start` names them and chooses the numbers."""
        rng = np.random.default_rng(start)
        table = pa.table(
            {"year": rng.integers(2000, 2012, n), "city": rng.choice(["Oslo", "Rome", "Lima"], n).tolist()}
        )
        vectors = rng.normal(size=(n, dim)).astype(np.float32)
        return cls([f"item-{start + row}" for row in range(n)], vectors, table)

    def without(self, gone: Sequence[str]) -> Items:
        """The items that stay."""
        rows = [row for row, name in enumerate(self.ids) if name not in set(gone)]
        return Items([self.ids[row] for row in rows], self.vectors[rows], self.table.take(pa.array(rows, pa.int64())))

    def with_more(self, more: Items) -> Items:
        """These items and more."""
        vectors = np.concatenate([self.vectors, more.vectors])
        return Items(self.ids + more.ids, vectors, pa.concat_tables([self.table, more.table]))

    def matching(self, where: str | None) -> np.ndarray:
        """The rows for which the condition is true."""
        if where is None:
            return np.arange(len(self.ids))
        condition: Condition = parse_where(where, {field.name: field.type for field in self.table.schema})
        columns = {name: Column.of(self.table[name], name) for name in self.table.column_names}
        return np.flatnonzero(true_rows(condition, columns))


def check_index(
    make: Callable[[], Any],
    load: Callable[[Path], Any],
    *,
    dim: int = 6,
    geometry: str = "euclidean",
    conditions: Sequence[str] = CONDITIONS,
    recall: float = 1.0,
    excused: Excused = None,
) -> None:
    """Holds what `make()` builds, empty, for vectors of `dim` numbers, to the Index contract. `load(path)` reads what it
    saved.

    conditions: those that it answers, over the attributes `year` (2000 to 2011) and `city` (Oslo, Rome, Lima); an index
    without any, (), has to refuse them. recall: the share of the true nearest that its answers hold on average (1: all).
    """
    index = make()
    that(isinstance(index, Index), f"a {type(index).__name__} is no Index: it lacks add, remove, search, save or load")
    tried = Tried(make, load, dim, geometry, tuple(conditions), recall)
    keep(f"the index {type(index).__name__}", PROMISES, excused, tried)


def _answers(tried: Tried, index: Any, items: Items, what: str) -> None:
    """The nearest, nearest first, at their true distances, for every condition."""
    queries = np.random.default_rng(77).normal(size=(4, tried.dim)).astype(np.float32)
    space = space_named(tried.geometry)
    far = space.distance(space.prepare(queries), space.prepare(items.vectors)) if items.ids else np.empty((4, 0))
    place = {name: row for row, name in enumerate(items.ids)}
    found_of_true = true = 0
    for where in (None, *tried.conditions):
        rows = items.matching(where)
        ids, distances = index.search(queries, 5, where=where)
        told = f"{what}, where {where!r}" if where else what
        that(len(ids) == len(distances) == len(queries), f"{told}: {len(ids)} answers to {len(queries)} queries")
        for q in range(len(queries)):
            near = np.sort(far[q, rows])[:5]
            that(len(ids[q]) == len(distances[q]), f"{told}: {len(ids[q])} ids and {len(distances[q])} distances")
            that(len(set(ids[q])) == len(ids[q]), f"{told}: an item is answered twice")
            stray = [name for name in ids[q] if name not in place or place[name] not in rows]
            that(not stray, f"{told}: {stray[:1]} is not among the items that match")
            own = far[q, [place[name] for name in ids[q]]]
            equal(distances[q], own, f"{told}: distances of the items named", CLOSE)
            that(bool((np.diff(distances[q]) >= -CLOSE).all()), f"{told}: the nearest does not come first")
            found_of_true += int((own <= near[-1] + CLOSE).sum()) if len(near) else 0
            true += len(near)
    share = found_of_true / true if true else 1.0
    that(
        share >= tried.recall - 1e-9, f"{what}: {share:.3f} of the true nearest were found, {tried.recall} are promised"
    )


def _nearest(tried: Tried) -> None:
    """it answers like a scan over all items, through additions and removals"""
    index, items = tried.filled()
    _answers(tried, index, items, "60 items")
    for step in range(1, 5):
        gone = np.random.default_rng(step).choice(items.ids, 15, replace=False).tolist()
        index.remove(gone)
        items = items.without(gone)
        _answers(tried, index, items, f"after removal {step}")
        more = Items.drawn(11, tried.dim, 1000 * step)
        index.add(more.ids, more.vectors, more.table)
        items = items.with_more(more)
        _answers(tried, index, items, f"after addition {step}")
    index.remove(items.ids)
    _answers(tried, index, items.without(items.ids), "all removed")
    index.add(items.ids[:9], items.vectors[:9], items.table.slice(0, 9))
    _answers(tried, index, items.without(items.ids[9:]), "removed items came back")


def _saved(tried: Tried) -> None:
    """what was saved and loaded answers the same, what was added since is not in it, and saving again replaces it"""
    index, items = tried.filled()
    index.remove(items.ids[:4])
    kept = items.without(items.ids[:4])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index.save(path)
        late = Items.drawn(5, tried.dim, 5000)
        index.add(late.ids, late.vectors, late.table)
        _answers(tried, tried.load(path), kept, "loaded")
        index.save(path)
        _answers(tried, tried.load(path), kept.with_more(late), "saved over the old one")


def _few(tried: Tried) -> None:
    """a k beyond the items returns them all, an empty index none, no query no answer"""
    index, items = tried.filled(12)
    query = items.vectors[:1]
    that(len(index.search(query, 1000)[0][0]) == 12, "k of 1000 did not return the 12 items")
    that(list(map(list, tried.make().search(query, 3)[0])) == [[]], "an empty index answered with an item")
    that(len(index.search(query[:0], 3)[0]) == 0, "no query had an answer")


def _copies(tried: Tried) -> None:
    """it keeps what it was given: an array that is changed afterwards changes no answer"""
    items = Items.drawn(20, tried.dim)
    index, given = tried.make(), items.vectors.copy()
    index.add(items.ids, given, items.table)
    given[:] = 0
    _answers(tried, index, items, "after the caller's array was overwritten")


def _refused(tried: Tried) -> None:
    """wrong additions, removals and queries are refused in one line, and change nothing"""
    index, items = tried.filled()
    new = Items.drawn(2, tried.dim, 9000)
    wrong = new.vectors.copy()
    wrong[1, 0] = np.nan
    narrow = new.vectors[:, 1:]
    refuses(lambda: index.add([items.ids[0], "x"], new.vectors, new.table), "an id that is there already")
    refuses(lambda: index.add(["x", "x"], new.vectors, new.table), "an id that comes twice")
    refuses(lambda: index.add(["x"], new.vectors, new.table), "one id for two vectors")
    refuses(lambda: index.add(new.ids, wrong, new.table), "a vector with NaN")
    refuses(lambda: index.add(new.ids, narrow, new.table), "vectors of another width")
    refuses(lambda: index.remove([items.ids[1], "nobody"]), "the removal of an id that is not there")
    refuses(lambda: index.search(narrow, 3), "a query of another width")
    refuses(lambda: index.search(wrong, 3), "a query with NaN")
    refuses(lambda: index.search(new.vectors, 0), "a k of 0")
    refuses(lambda: index.search(new.vectors, 3, where="yeer = 1"), "a condition over a column that is not there")
    if not tried.conditions:
        refuses(lambda: index.search(new.vectors, 3, where="year = 2004"), "a condition")
    _answers(tried, index, items, "after what was refused")


PROMISES = {"nearest": _nearest, "saved": _saved, "few": _few, "copies": _copies, "refused": _refused}
