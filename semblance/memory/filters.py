"""Filters: which sorts there are, and methods of filtered search that say which of them they answer.

    EM     equal           conditions.Compare(column, "=", value)
    R      range           conditions.Between(column, low, high)
    EMIS   a member of a set-valued attribute    Member(column, value)
    mixed  whatever And and Or make of these

Orders of work:
    FilterFirst   everything that passes is measured                                       every sort, exact
    SearchFirst   a graph of everything, asked for k' items, k' doubled until k pass       every sort
    InTraversal   a walk that measures only what passes (`filter_graph.py`)                every sort
    Windows       a window tree for every ordered attribute (`window.py`)                  R, and EM of an ordered attribute
    PerLabel      an index for every value of an unordered attribute, and every member     EM, EMIS

A method that is asked for more raises `Unanswerable`. Cost is the number of distance evaluations.
After the survey and protocol of Iff, Bruegge, Chrapek, Besta, Hoefler 2025, Benchmarking Filtered Approximate Nearest
Neighbor Search Algorithms on Transformer-based Embedding Vectors (arXiv:2507.21989).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError, unknown
from semblance.memory.base_indexes import Base, Flat, Floats, Graph, Ints
from semblance.memory.conditions import And, Between, Compare, Or
from semblance.memory.filter_graph import FilterGraph, ground_links
from semblance.memory.window import Window
from semblance.memory.window_tree import Effort, WindowTree

SORTS = ("EM", "R", "EMIS", "mixed")
BEAMS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Unanswerable(SemblanceError):
    """A method was asked a sort of filter that it does not answer."""


@dataclass(frozen=True, slots=True)
class Member:
    """value is in the set that the column holds"""

    column: str
    value: Any

    def __str__(self) -> str:
        return f"{self.value!r} in {self.column}"


Filter: TypeAlias = Compare | Between | Member | And | Or


@dataclass(frozen=True)
class Sets:
    """A set-valued attribute: item i holds values[offsets[i] : offsets[i + 1]]."""

    offsets: Ints
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def holds(self, value: Any) -> NDArray[np.bool_]:
        """[n]"""
        found = np.zeros(len(self), np.bool_)
        found[np.searchsorted(self.offsets, np.flatnonzero(self.values == value), "right") - 1] = True
        return found


@dataclass(frozen=True)
class Attribute:
    """A column [n] (or Sets) of one kind: ordered (numbers, dates), label (categories, flags) or set."""

    kind: str
    values: Any


Attributes = Mapping[str, Attribute]


def sort_of(asked: Filter) -> str:
    """EM, R, EMIS or mixed."""
    if isinstance(asked, Compare):
        if asked.sign != "=":
            raise SemblanceError(f"filter {str(asked)!r} is none of EM, R and EMIS: write a range, low and high")
        return "EM"
    return "R" if isinstance(asked, Between) else "EMIS" if isinstance(asked, Member) else "mixed"


def passing(asked: Any, attributes: Attributes) -> NDArray[np.bool_]:
    """Which items pass, [n]."""
    if isinstance(asked, (And, Or)):
        join = np.logical_and if isinstance(asked, And) else np.logical_or
        return reduce(join, [passing(part, attributes) for part in asked.parts])
    values = column(asked, attributes).values
    if isinstance(asked, Member):
        found: NDArray[np.bool_] = values.holds(asked.value)
        return found
    if isinstance(asked, Between):
        return np.asarray((values >= asked.low) & (values <= asked.high))
    return np.asarray(values == asked.value)


def column(asked: Compare | Between | Member, attributes: Attributes) -> Attribute:
    """The attribute of a filter of one column; its kind must suit the filter."""
    if asked.column not in attributes:
        raise unknown("column", asked.column, attributes)
    found = attributes[asked.column]
    if (found.kind == "set") != isinstance(asked, Member) or (isinstance(asked, Between) and found.kind != "ordered"):
        raise SemblanceError(f"filter {str(asked)!r} does not suit {asked.column!r}, which is of kind {found.kind}")
    return found


class Method(Protocol):
    """Finds the k nearest passing items. `answers` are the sorts it takes; `stored` counts points held in indexes."""

    name: str
    answers: frozenset[str]
    exact: bool
    evaluations: int
    stored: int

    def search(self, query: Floats, k: int, asked: Filter, beam: int) -> Ints: ...


class _Common:
    name = ""
    answers: frozenset[str] = frozenset(SORTS)
    exact = False
    stored = 0

    def __init__(self, vectors: Floats, attributes: Attributes):
        self.vectors, self.attributes = vectors, attributes
        self.evaluations = 0

    def check(self, asked: Filter) -> str:
        sort = sort_of(asked)
        if sort not in self.answers:
            raise Unanswerable(f"{self.name} answers {', '.join(sorted(self.answers))} and {str(asked)!r} is {sort}")
        return sort

    def scan(self, query: Floats, k: int, rows: Ints) -> Ints:
        """The k nearest of these rows, all measured."""
        flat = Flat(self.vectors[rows])
        _, near = flat.search(query[None], min(k, len(rows)))
        self.evaluations += flat.evaluations
        return rows[near[0]] if len(rows) else rows


class FilterFirst(_Common):
    """Exact."""

    name, exact = "filter-first", True

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        return self.scan(query, k, np.flatnonzero(passing(asked, self.attributes)))


class SearchFirst(_Common):
    """k' doubled up to `limit`; where fewer than k pass by then, everything that passes is measured."""

    name = "search-first"

    def __init__(self, vectors: Floats, attributes: Attributes, graph: Graph, limit: int = 4096):
        super().__init__(vectors, attributes)
        self.graph, self.limit, self.stored = graph, limit, len(vectors)

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        allowed = passing(asked, self.attributes)
        need, wanted = min(k, int(allowed.sum())), k
        while need and wanted <= min(self.limit, len(self.vectors)):
            before = self.graph.evaluations
            near = self.graph.search(query[None], wanted, effort=beam)[1][0]
            self.evaluations += self.graph.evaluations - before
            found = near[(near >= 0) & allowed[near]]
            if len(found) >= need:
                return found[:k]
            wanted *= 2
        return self.scan(query, k, np.flatnonzero(allowed))


class InTraversal(_Common):
    """One dense graph for all filters."""

    name = "in-traversal"

    def __init__(self, vectors: Floats, attributes: Attributes, graph: Graph, seed: int = 0):
        super().__init__(vectors, attributes)
        self.walker, self.seed, self.stored = FilterGraph(vectors, ground_links(graph)), seed, len(vectors)

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        before = self.walker.evaluations
        allowed = passing(asked, self.attributes)
        near = self.walker.search(query, k, allowed, beam, np.random.default_rng(self.seed))[1]
        self.evaluations += self.walker.evaluations - before
        return near


class Windows(_Common):
    """A window tree for each of the `columns`; their roots are the one graph of everything."""

    name, answers = "windows", frozenset({"R", "EM"})

    def __init__(
        self,
        vectors: Floats,
        attributes: Attributes,
        graph: Graph,
        base: Callable[[Floats, str], Base],
        columns: Sequence[str],
        cutoff: int = 500,
    ):
        super().__init__(vectors, attributes)
        self.windows, self.stored = {}, len(vectors)
        for name in columns:
            tree = WindowTree(vectors, attributes[name].values, base, cutoff=cutoff)
            tree.root.base, tree.root.slots = graph, np.arange(len(vectors))
            self.windows[name] = Window(tree)
            self.stored += tree.stored()[0] + self.windows[name].stored()[0] - 2 * len(vectors)

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        assert isinstance(asked, (Compare, Between)), "check lets no other pass"
        if column(asked, self.attributes).kind != "ordered" or asked.column not in self.windows:
            held = ", ".join(sorted(self.windows))
            raise Unanswerable(
                f"windows answers filters of {held}, and {str(asked)!r} is of an unordered or other column"
            )
        low, high = (asked.low, asked.high) if isinstance(asked, Between) else (asked.value, asked.value)
        window = self.windows[asked.column]
        before = window.tree.evaluations
        near = window.search(query[None], k, low, high, "super", Effort(beam, first=1.0))[0][0]
        self.evaluations += window.tree.evaluations - before
        return near


class PerLabel(_Common):
    """An index for every value of a label or set column: a graph where it holds `least` items or more, else a scan."""

    name, answers = "per-label", frozenset({"EM", "EMIS"})

    def __init__(self, vectors: Floats, attributes: Attributes, base: Callable[[Floats, str], Base], least: int = 200):
        super().__init__(vectors, attributes)
        self.parts: dict[tuple[str, Any], tuple[Ints, Base | None]] = {}
        for name, attribute in attributes.items():
            if attribute.kind == "ordered":
                continue
            held = attribute.values.values if attribute.kind == "set" else attribute.values
            for value in np.unique(held).tolist():
                asked: Filter = Member(name, value) if attribute.kind == "set" else Compare(name, "=", value)
                rows = np.flatnonzero(passing(asked, attributes))
                made = base(vectors[rows], "euclidean") if len(rows) >= least else None
                self.parts[name, value] = rows, made
                self.stored += len(rows) if made is not None else 0

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        assert isinstance(asked, (Compare, Member)), "check lets no other pass"
        if column(asked, self.attributes).kind == "ordered":
            raise Unanswerable(
                f"per-label has an index for every value of an unordered column, and {str(asked)!r} is ordered"
            )
        rows, made = self.parts.get((asked.column, asked.value), (np.empty(0, np.int64), None))
        if made is None:
            return self.scan(query, k, rows)
        before = made.evaluations
        near = made.search(query[None], min(k, len(rows)), effort=beam)[1][0]
        self.evaluations += made.evaluations - before
        return self.scan(query, k, rows) if (near < 0).any() else rows[near]
