"""Filter protocol: attributes of eleven sorts, filters by sort and selectivity, curves of cost over recall, and a planner.

    attributes    given ordered and label columns (here: what pictures have) and two random dates, three Zipf categories of
                  10, 100 and 1,000 values, a tag set of 1 to 5 of 200 Zipf tags, a flag
    Stratum       filters of one sort whose share of passing items lies in a band, each with a query and its neighbours
    curve         recall@k, distance evaluations and seconds of a method for every beam; `curves_report` for all of them
    Planner       of a filter's sort and its estimated selectivity: the method, and the beam, that were cheapest in such a
                  stratum of other queries

One thread; a query a call. Selectivity is estimated from counts of values and ranks, of combinations as if the parts
were independent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError
from semblance.memory.base_indexes import Floats, Ints
from semblance.memory.conditions import And, Between, Compare, Or
from semblance.memory.filter_methods import BEAMS
from semblance.memory.filters import (
    Attribute,
    Attributes,
    Filter,
    Member,
    Method,
    Sets,
    Unanswerable,
    passing,
    sort_of,
)
from semblance.reports import TableReport

BANDS: dict[str, tuple[float, float]] = {
    "0.01%": (0.00005, 0.0003),
    "0.1%": (0.0003, 0.003),
    "0.3 to 1%": (0.003, 0.01),
    "1 to 3%": (0.01, 0.03),
    "3 to 6%": (0.03, 0.06),
    "6 to 10%": (0.06, 0.1),
    "10 to 60%": (0.1, 0.6),
    "100%": (1.0, 1.0),
}
"""Shares of passing items, both ends included."""
TRIES = 1000


def drawn_attributes(given: Mapping[str, Attribute], items: int, rng: np.random.Generator) -> dict[str, Attribute]:
    """The given columns and seven drawn ones."""

    def zipf(values: int, count: int) -> NDArray[np.int64]:
        weight = 1 / np.arange(1, values + 1)
        return rng.choice(values, count, p=weight / weight.sum())

    sizes = rng.integers(1, 6, items)
    owner = np.repeat(np.arange(items), sizes)
    pairs = np.unique(owner * 200 + zipf(200, len(owner)))  # a tag that was drawn twice for an item is in its set once
    tags = Sets(np.searchsorted(pairs, np.arange(items + 1) * 200), pairs % 200)
    day = 86_400_000_000
    return {
        **given,
        "taken": Attribute("ordered", rng.integers(0, 10_000, items) * day),
        "added": Attribute("ordered", 10_000 * day + rng.integers(0, 1000 * day, items)),
        "shop": Attribute("label", zipf(10, items)),
        "maker": Attribute("label", zipf(100, items)),
        "model": Attribute("label", zipf(1000, items)),
        "tags": Attribute("set", tags),
        "flag": Attribute("label", (rng.random(items) < 0.05).astype(np.int64)),
    }


@dataclass(frozen=True)
class Stratum:
    """Queries [Q, d] with a filter each, and the distances of their neighbours among the items that pass."""

    sort: str
    band: str
    queries: Floats
    filters: tuple[Filter, ...]
    known: tuple[Floats, ...]


@dataclass(frozen=True)
class Point:
    """A method at one beam: means over a stratum's queries; `wrong` counts answers that do not pass."""

    method: str
    beam: int
    recall: float
    evaluations: float
    seconds: float
    wrong: int


def drawn_stratum(
    sort: str,
    band: str,
    queries: Floats,
    vectors: Floats,
    attributes: Attributes,
    ranges: Sequence[str],
    k: int,
    rng: np.random.Generator,
) -> Stratum | None:
    """A filter for every query at random, or None where no value has such a share. Ranges are over the named columns."""
    low, high = BANDS[band]
    if sort == "R":
        filters = [_range(attributes, str(rng.choice(ranges)), low, high, rng) for _ in queries]
    else:
        kind = {"EM": "label", "EMIS": "set"}.get(sort)
        if kind is None:
            raise SemblanceError(f"strata are drawn of EM, R and EMIS, and {sort!r} is none of them")
        options = _values(attributes, kind, low, high)
        if not options:
            return None
        filters = [options[i] for i in rng.integers(0, len(options), len(queries))]
    known = []
    for query, asked in zip(queries, filters, strict=True):
        far = np.linalg.norm(vectors[passing(asked, attributes)].astype(np.float64) - query, axis=1)
        known.append(np.sort(far)[:k])
    return Stratum(sort, band, queries, tuple(filters), tuple(known))


def _range(attributes: Attributes, name: str, low: float, high: float, rng: np.random.Generator) -> Filter:
    values = np.sort(attributes[name].values)
    for _ in range(TRIES):
        length = max(1, round(len(values) * np.exp(rng.uniform(np.log(low), np.log(high)))))
        start = int(rng.integers(0, len(values) - length + 1))
        ends = values[start], values[start + length - 1]
        within = np.searchsorted(values, ends[1], "right") - np.searchsorted(values, ends[0], "left")
        if low <= within / len(values) <= high:  # equal values may make it more than was drawn
            return Between(name, ends[0].item(), ends[1].item())
    raise SemblanceError(
        f"no range of {name!r} was found that {low:.2%} to {high:.2%} of the items pass: take another column"
    )


def _values(attributes: Attributes, kind: str, low: float, high: float) -> list[Filter]:
    """Filters of one value whose share of items lies in the band."""
    found: list[Filter] = []
    for name, attribute in attributes.items():
        if attribute.kind == kind:
            held = attribute.values.values if kind == "set" else attribute.values
            for value in np.unique(held).tolist():
                asked: Filter = Member(name, value) if kind == "set" else Compare(name, "=", value)
                if low <= passing(asked, attributes).mean() <= high:
                    found.append(asked)
    return found


def at(method: Method, stratum: Stratum, k: int, beam: int, attributes: Attributes, vectors: Floats) -> Point:
    """A method at one beam on a stratum."""
    found = wanted = wrong = 0
    before, began = method.evaluations, time.perf_counter()
    answers = [
        method.search(query, k, asked, beam) for query, asked in zip(stratum.queries, stratum.filters, strict=True)
    ]
    seconds = time.perf_counter() - began
    for query, asked, known, near in zip(stratum.queries, stratum.filters, stratum.known, answers, strict=True):
        good = passing(asked, attributes)[near]
        wrong += int((~good).sum()) + len(near) - len(set(near.tolist()))
        distance = np.linalg.norm(vectors[near].astype(np.float64) - query, axis=1)
        wanted += len(known)
        if len(known):
            found += int((distance[good] <= known[-1] * (1 + 1e-6) + 1e-9).sum())
    count = len(stratum.queries)
    evaluations = (method.evaluations - before) / count
    return Point(method.name, beam, found / max(wanted, 1), evaluations, seconds / count, wrong)


def curve(
    method: Method, stratum: Stratum, k: int, attributes: Attributes, vectors: Floats, enough: float = 1.0
) -> list[Point]:
    """Points of growing beams until one reaches the recall; none where the method refuses the filters."""
    points: list[Point] = []
    try:
        for beam in BEAMS[:1] if method.exact else BEAMS:
            points.append(at(method, stratum, k, beam, attributes, vectors))
            if points[-1].recall >= enough:
                break
    except Unanswerable:
        return []
    return points


def cheapest(points: Sequence[Point], recall: float) -> Point | None:
    """The cheapest point that reaches the recall."""
    return min((p for p in points if p.recall >= recall), key=lambda p: p.evaluations, default=None)


def pareto(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in recall and evaluations, by growing recall."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (-p.recall, p.evaluations)):
        if not best or point.evaluations < best[-1].evaluations:
            best.append(point)
    return best[::-1]


def curves_report(
    found: Mapping[tuple[str, str], Sequence[Point]], stored: Mapping[str, int], recall: float = 0.95
) -> TableReport:
    """Every point of every stratum (sort, band), whether it is on the stratum's Pareto curve, and which method is cheapest
    at the recall how often; `stored` counts the points that a method's indexes hold."""
    rows, wins = [], dict.fromkeys(stored, 0)
    for (sort, band), points in found.items():
        front = pareto(points)
        best = cheapest(points, recall)
        if best is not None:
            wins[best.method] += 1
        for point in points:
            rows.append(
                {
                    "stratum": f"{sort} {band}",
                    "method": point.method,
                    "beam": point.beam,
                    "recall": point.recall,
                    "evaluations": point.evaluations,
                    "queries a second": 1 / max(point.seconds, 1e-9),
                    "points stored": stored[point.method],
                    "pareto": point in front,
                }
            )
    often = ", ".join(f"{name} {count}" for name, count in sorted(wins.items(), key=lambda item: -item[1]))
    verdict = f"cheapest at recall {recall:g} in so many of {len(found)} strata: {often}"
    return TableReport("Filtered search", verdict, tuple(rows), "recall", ("evaluations",), "method")


class Statistics:
    """Counts of values and sorted columns, from which the share of passing items is estimated without looking at items."""

    def __init__(self, attributes: Attributes):
        self.counts: dict[str, dict[Any, int]] = {}
        self.ranks: dict[str, NDArray[Any]] = {}
        self.items = 0
        for name, attribute in attributes.items():
            self.items = len(attribute.values)
            if attribute.kind == "ordered":
                self.ranks[name] = np.sort(attribute.values)
                continue
            held: Ints = attribute.values.values if attribute.kind == "set" else attribute.values
            values, counts = np.unique(held, return_counts=True)
            self.counts[name] = dict(zip(values.tolist(), counts.tolist(), strict=True))

    def selectivity(self, asked: Any) -> float:
        """The estimated share of items that pass."""
        if isinstance(asked, And):
            return float(np.prod([self.selectivity(part) for part in asked.parts]))
        if isinstance(asked, Or):
            return 1 - float(np.prod([1 - self.selectivity(part) for part in asked.parts]))
        if asked.column in self.counts:
            return self.counts[asked.column].get(asked.value, 0) / self.items
        low: Any = asked.low if isinstance(asked, Between) else asked.value
        high: Any = asked.high if isinstance(asked, Between) else asked.value
        ranks = self.ranks[asked.column]
        return float(np.searchsorted(ranks, high, "right") - np.searchsorted(ranks, low, "left")) / self.items


@dataclass(frozen=True)
class Planned:
    method: str
    beam: int


class Planner:
    """Learned from curves: (sort, band) -> the cheapest method that reached the recall, and its beam there."""

    def __init__(self, statistics: Statistics, curves: Mapping[tuple[str, str], Sequence[Point]], recall: float = 0.95):
        self.statistics = statistics
        self.table: dict[tuple[str, str], Planned] = {}
        for cell, points in curves.items():
            best = cheapest(points, recall)
            if best is not None:
                self.table[cell] = Planned(best.method, best.beam)

    def plan(self, asked: Filter) -> Planned:
        """For a sort or a band without a curve: filter first, which is always right."""
        share = self.statistics.selectivity(asked)
        # The band whose ends lie nearest, since between 60% and 100% there is none.
        band = min(BANDS, key=lambda name: max(BANDS[name][0] - share, share - BANDS[name][1], 0.0))
        return self.table.get((sort_of(asked), band), Planned("filter-first", 0))
