"""Window tree: items sorted by a number, and a base index for every node of a tree over their ranks.

The root holds all n ranks; a node of more than `cutoff` is cut into `branching` equal children. An item that comes joins
every node above its place, and the smallest subtree that holds all imbalance is built anew; one that goes leaves a gap in
their base indexes, built anew once a quarter of them is gaps. How the tree is asked stands in `window.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory.base_indexes import Base, Builder, Flat, Floats, Ints, base_index

SLACK = 0.5
"""A child may hold this much more than its equal share before its parent is built anew."""
GAPS = 0.25
"""Share of removed items in a node's base index above which it is built anew."""

Candidates = tuple[Floats, Ints]
"""Distances [Q, c] and slots [Q, c], -1 where there is none."""


@dataclass(frozen=True)
class Effort:
    """`beam` is the base index's effort (0: its default). Where results outside the window are dropped, `first` times the
    share of k that a window of this width would need is asked for at first (0: k), and once enough were found, `final`
    times as many once more (1: no more)."""

    beam: int = 0
    final: float = 1.0
    first: float = 0.0


@dataclass
class Node:
    """Ranks [start, stop) with their base index; `slots` maps its positions to slots, those of removed items too."""

    slots: Ints
    start: int
    stop: int
    base: Base
    children: list[Node] = field(default_factory=list)

    def __len__(self) -> int:
        return self.stop - self.start


class WindowTree:
    """The tree of one number column. A slot is an item's row in `vectors`; it stays until `compact`."""

    def __init__(
        self,
        vectors: Floats,
        numbers: NDArray[Any],
        base: Builder | str = "flat",
        geometry: str = "euclidean",
        branching: int = 2,
        cutoff: int = 1000,
    ):
        if branching < 2 or cutoff < 1:
            raise SemblanceError(f"branching is {branching} and cutoff {cutoff}: give 2 or more, and 1 or more")
        self.space, self.branching, self.cutoff = space_named(geometry), branching, cutoff
        self.builder = base_index(base) if isinstance(base, str) else base
        self.numbers = checked_numbers(numbers, len(vectors))
        self.vectors = self.space.prepare(vectors)
        self.evaluations = 0
        self.rebuilt = 0  # items in subtrees built anew since the start
        self._sort()
        self.root = self._build(0, len(self.order))

    def __len__(self) -> int:
        return len(self.order)

    def take(self, vectors: Floats, numbers: NDArray[Any], root: Node) -> None:
        """Replaces everything by what was saved: prepared vectors, their numbers, and the tree over their ranks."""
        self.vectors, self.numbers = vectors, numbers
        self._sort()
        self.root = root

    def stored(self) -> tuple[int, int]:
        """Points held by the base indexes, and levels."""
        held, depth, row = 0, 0, [self.root]
        while row:
            held, depth = held + sum(len(node.slots) for node in row), depth + 1
            row = [child for node in row for child in node.children]
        return held, depth

    def span(self, low: Any = None, high: Any = None, above: bool = False, below: bool = False) -> tuple[int, int]:
        """The ranks [s, e) of the items with low <= number <= high (None: open; `above`, `below`: without the end itself).

        Items without a number lie in every window that is open at both ends, and in no other.
        """
        if low is None and high is None:
            return 0, len(self)
        for end in (low, high):
            if end is not None and end != end:
                raise SemblanceError("the window ends at NaN, which is before and after nothing: give a number")
        if low is not None and high is not None and low > high:
            raise SemblanceError(f"the window {low} to {high} has its larger end first: swap the two")
        s = 0 if low is None else int(np.searchsorted(self.sorted, low, "right" if above else "left"))
        e = self.known if high is None else int(np.searchsorted(self.sorted, high, "left" if below else "right"))
        return s, max(s, e)

    def cover(self, s: int, e: int) -> tuple[list[Node], list[tuple[int, int]]]:
        """The maximal nodes inside [s, e) and the pieces of leaves that are left over."""
        nodes: list[Node] = []
        pieces: list[tuple[int, int]] = []
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            if max(s, node.start) >= min(e, node.stop):
                continue
            if s <= node.start and node.stop <= e:
                nodes.append(node)
            elif node.children:
                waiting += node.children
            else:
                pieces.append((max(s, node.start), min(e, node.stop)))
        return nodes, pieces

    def containing(self, s: int, e: int) -> Node:
        """The smallest node that contains [s, e)."""
        node = self.root
        while True:
            inside = [child for child in node.children if child.start <= s and e <= child.stop]
            if not inside:
                return node
            node = inside[0]

    # --- changing -------------------------------------------------------------------------------------------------------

    def add(self, vectors: Floats, numbers: NDArray[Any]) -> Ints:
        """Items come: their slots. Every node above them takes them, or is built anew where that unbalances it."""
        if not len(vectors):
            return np.empty(0, np.int64)
        numbers = checked_numbers(numbers, len(vectors))
        if numbers.dtype != self.numbers.dtype:
            numbers = numbers.astype(np.promote_types(numbers.dtype, self.numbers.dtype))
        slots = np.arange(len(self.vectors), len(self.vectors) + len(vectors))
        before = self.order
        self.vectors = np.concatenate([self.vectors, self.space.prepare(vectors)])
        self.numbers = np.concatenate([self.numbers, numbers])
        self._sort(np.concatenate([before, slots]))
        new = np.sort(self.rank[slots])  # their ranks now; before it, an item has rank - (new ones before it)
        self.root = self._joined(self.root, self.order[new], new - np.arange(len(new)), 0)
        return slots

    def remove(self, slots: Ints) -> None:
        """Items go. Their vectors stay until `compact`."""
        gone = np.sort(self.rank[slots])
        if len(gone) and (gone[0] < 0 or len(np.unique(gone)) < len(gone)):
            raise SemblanceError("a slot to remove is not there, or is named twice: give each living slot once")
        self._sort(np.delete(self.order, gone))
        self.root = self._left(self.root, gone, 0)

    def compact(self) -> Ints:
        """Builds everything anew without what was removed: the old slot of every new one."""
        kept = self.order
        self.vectors, self.numbers = self.vectors[kept], self.numbers[kept]
        self._sort()
        self.root = self._build(0, len(kept))
        return kept

    def _sort(self, living: Ints | None = None) -> None:
        """Ranks by number, equal ones by slot, those without a number last."""
        living = np.arange(len(self.numbers)) if living is None else living
        numbers = self.numbers[living]
        self.order: Ints = living[np.lexsort((living, numbers))]  # NaN sorts last
        self.rank = np.full(len(self.numbers), -1)
        self.rank[self.order] = np.arange(len(living))
        self.sorted_all = self.numbers[self.order]
        self.known = int((~np.isnan(self.sorted_all)).sum()) if self.numbers.dtype.kind == "f" else len(living)
        self.sorted = self.sorted_all[: self.known]

    def node_of(self, start: int, stop: int) -> Node:
        slots = self.order[start:stop]
        return Node(slots, start, stop, self.builder(self.rows(slots), self.space.name))

    def rows(self, slots: Ints) -> Floats:
        """Their vectors, as a slice where they lie in a row."""
        if len(slots) and slots[-1] - slots[0] + 1 == len(slots) and bool((np.diff(slots) == 1).all()):
            return self.vectors[slots[0] : slots[-1] + 1]
        return self.vectors[slots]

    def _build(self, start: int, stop: int) -> Node:
        self.rebuilt += stop - start
        node = self.node_of(start, stop)
        if len(node) > self.cutoff:
            cuts = start + len(node) * np.arange(self.branching + 1) // self.branching
            node.children = [self._build(int(a), int(b)) for a, b in pairwise(cuts) if a < b]
        return node

    def _joined(self, node: Node, slots: Ints, at: Ints, start: int) -> Node:
        """The node with these slots, which come before the old ranks `at`; its first rank is now `start`."""
        stop = start + len(node) + len(slots)
        shares = np.searchsorted([child.stop for child in node.children[:-1]], at, "left")
        counts = np.bincount(shares, minlength=len(node.children) or 1) + [len(c) for c in node.children or [node]]
        fair = self.cutoff if not node.children else (stop - start) / self.branching
        if len(slots) and counts.max() > (1 + SLACK) * fair + 1:
            return self._build(start, stop)
        node.start, node.stop = start, stop
        if len(slots):
            node.base.add(self.vectors[slots])
            node.slots = np.concatenate([node.slots, slots])
        for number, child in enumerate(node.children):
            mine = shares == number
            node.children[number] = self._joined(child, slots[mine], at[mine], start)
            start += int(counts[number])
        return node

    def _left(self, node: Node, gone: Ints, start: int) -> Node:
        """The node without these old ranks; its first rank is now `start`."""
        mine = gone[(gone >= node.start) & (gone < node.stop)]
        stop = start + len(node) - len(mine)
        if len(mine) and len(node.slots) - (stop - start) > GAPS * len(node.slots):
            return self._build(start, stop)
        node.start, node.stop = start, stop
        for number, child in enumerate(node.children):
            node.children[number] = self._left(child, mine, start)
            start = node.children[number].stop
        return node

    # --- one node or one stretch ------------------------------------------------------------------------------------------

    def scan(self, asked: Floats, k: int, slots: Ints) -> Candidates:
        """The nearest of these slots, all of which are measured."""
        flat = Flat(self.rows(slots), self.space.name)
        distance, near = flat.search(asked, min(k, len(slots)))
        self.evaluations += flat.evaluations
        return distance, slots[near] if len(slots) else near

    def probe(
        self, node: Node, asked: Floats, k: int, s: int, e: int, effort: Effort, possible: int = -1
    ) -> Candidates:
        """The nearest items of a node that lie in [s, e), of which there are `possible` (default: by its ranks)."""
        possible = min(e, node.stop) - max(s, node.start) if possible < 0 else possible
        size, need = len(node.slots), min(k, possible)
        if need <= 0:
            return np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
        plain = possible == size
        wanted = need if plain else max(need, math.ceil(effort.first * need * size / possible))
        distance, slots = np.empty((len(asked), need), np.float32), np.empty((len(asked), need), np.int64)
        waiting = np.arange(len(asked))
        while len(waiting):
            near, there, enough = self._asked(node, asked[waiting], need, min(wanted, size), s, e, effort)
            if effort.final > 1 and not plain and enough.any() and wanted < size:
                more = min(size, math.ceil(wanted * effort.final))
                again = self._asked(node, asked[waiting[enough]], need, more, s, e, effort)
                better = np.flatnonzero(enough)[again[2]]  # a graph may find fewer with a wider beam
                near[better], there[better] = again[0][again[2]], again[1][again[2]]
            distance[waiting[enough]], slots[waiting[enough]] = near[enough], there[enough]
            waiting = waiting[~enough]
            if wanted >= size:
                break
            wanted *= 2
        if len(waiting):  # the graph does not reach them
            living = node.slots[(self.rank[node.slots] >= s) & (self.rank[node.slots] < e)]
            distance[waiting], slots[waiting] = self.scan(asked[waiting], need, living)
        return distance, slots

    def _asked(
        self, node: Node, asked: Floats, need: int, wanted: int, s: int, e: int, effort: Effort
    ) -> tuple[Floats, Ints, NDArray[np.bool_]]:
        """Ask a node for `wanted` items: the first `need` of them in [s, e), and which queries got that many."""
        before = node.base.evaluations
        distance, near = node.base.search(asked, wanted, effort=effort.beam)
        self.evaluations += node.base.evaluations - before
        slots = node.slots[near]
        rank = self.rank[slots]
        inside = (near >= 0) & (rank >= s) & (rank < e)
        distance, slots = best_of([(np.where(inside, distance, np.inf), np.where(inside, slots, -1))], need)
        return distance, slots, inside.sum(1) >= need


def best_of(parts: list[Candidates], k: int) -> Candidates:
    """The k nearest of several answers, [Q, k]; -1 where there are fewer."""
    distance, slots = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    if distance.shape[1] < k:
        missing = ((0, 0), (0, k - distance.shape[1]))
        return np.pad(distance, missing, constant_values=np.inf), np.pad(slots, missing, constant_values=-1)
    near = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, near, 1), np.take_along_axis(slots, near, 1)


def checked_numbers(numbers: np.ndarray, count: int) -> NDArray[Any]:
    """[n] int64 or float64; NaN stands for an item without a number."""
    column = np.asarray(numbers)
    if column.shape != (count,) or column.dtype.kind not in "fiu":
        raise SemblanceError(
            f"the numbers are {column.dtype} of shape {list(column.shape)}, but {count} numbers are needed"
        )
    return column.astype(np.float64 if column.dtype.kind == "f" else np.int64)
