"""Filter methods: six orders of work for filtered search, and which sorts of filters each answers.

    FilterFirst   everything that passes is measured                                       every sort, exact
    SearchFirst   a graph of everything, asked for k' items, k' doubled until k pass       every sort
    InTraversal   a walk that measures only what passes (`filter_graph.py`)                every sort
    Windows       a window tree for every ordered attribute (`window.py`)                  R, and EM of an ordered attribute
    PerLabel      an index for every value of an unordered attribute, and every member     EM, EMIS
    LabelGraph    one graph in which the items of every label stay connected               EM

A method that is asked for more raises `Unanswerable`. Cost is the number of distance evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.memory.base_indexes import Base, Flat, Floats, Graph, Ints
from semblance.memory.conditions import Between, Compare
from semblance.memory.filter_graph import FilterGraph, ground_links
from semblance.memory.filters import SORTS, Attributes, Filter, Member, Unanswerable, column, passing, sort_of
from semblance.memory.window import Window
from semblance.memory.window_tree import Effort, WindowTree

BEAMS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


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
        # Asked for 1.5 times what a window of this width would need on average, few have to be asked again: on 30,000
        # digits and ranges of 3 to 6% that took 236 evaluations, 286 at 1.0 and 274 at 2.0.
        near = window.search(query[None], k, low, high, "super", Effort(beam, first=1.5))[0][0]
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


class LabelGraph(_Common):
    """The links of the whole graph, and for every label column `own` more to items of the same value, from a small graph of
    each value's items: a walk among them needs few starts."""

    name, answers = "label-graph", frozenset({"EM"})

    def __init__(self, vectors: Floats, attributes: Attributes, graph: Graph, own: int = 8, starts: int = 4):
        super().__init__(vectors, attributes)
        self.starts, self.stored = starts, len(vectors)
        shared = ground_links(graph)
        self.walkers: dict[str, FilterGraph] = {}
        for name, attribute in attributes.items():
            if attribute.kind != "label":
                continue
            links: NDArray[np.int32] = np.full((len(vectors), own), -1, np.int32)
            for value in np.unique(attribute.values):
                rows = np.flatnonzero(attribute.values == value)
                inside = ground_links(Graph(vectors[rows], neighbours=own // 2))
                links[rows] = np.where(inside < 0, -1, rows[inside])
            self.walkers[name] = FilterGraph(vectors, np.concatenate([links, shared], axis=1))

    def search(self, query: Floats, k: int, asked: Filter, beam: int = 0) -> Ints:
        self.check(asked)
        assert isinstance(asked, Compare), "check lets no other pass"
        if column(asked, self.attributes).kind != "label":
            raise Unanswerable(f"label-graph connects the items of a label, and {str(asked)!r} is of an ordered column")
        walker = self.walkers[asked.column]
        before = walker.evaluations
        allowed = passing(asked, self.attributes)
        near = walker.search(query, k, allowed, beam, np.random.default_rng(0), self.starts)[1]
        self.evaluations += walker.evaluations - before
        return self.scan(query, k, np.flatnonzero(allowed)) if len(near) < min(k, allowed.sum()) else near
