"""Methods of filtered search: never an item that fails, typed refusals, exact where declared, and what a planner learns."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from semblance.errors import SemblanceError
from semblance.memory.base_indexes import Graph
from semblance.memory.conditions import And, Between, Compare, Or
from semblance.memory.filter_graph import FilterGraph, ground_links
from semblance.memory.filter_methods import FilterFirst, InTraversal, LabelGraph, PerLabel, SearchFirst, Windows
from semblance.memory.filter_protocol import (
    Planner,
    Point,
    Statistics,
    at,
    cheapest,
    curve,
    curves_report,
    drawn_attributes,
    drawn_stratum,
    pareto,
)
from semblance.memory.filters import Attribute, Member, Sets, Unanswerable, passing, sort_of

N, D = 1200, 8
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(N, D)).astype(np.float32)
ATTRIBUTES = drawn_attributes({"weight": Attribute("ordered", RNG.random(N))}, N, RNG)
BASE = partial(Graph, neighbours=8, construction=40)
GRAPH = BASE(VECTORS)
METHODS: dict[str, Any] = {
    "filter-first": FilterFirst(VECTORS, ATTRIBUTES),
    "search-first": SearchFirst(VECTORS, ATTRIBUTES, GRAPH),
    "in-traversal": InTraversal(VECTORS, ATTRIBUTES, Graph(VECTORS, neighbours=16)),
    "windows": Windows(VECTORS, ATTRIBUTES, GRAPH, BASE, ["weight", "added"], cutoff=60),
    "per-label": PerLabel(VECTORS, ATTRIBUTES, BASE, least=50),
    "label-graph": LabelGraph(VECTORS, ATTRIBUTES, GRAPH),
}
FILTERS = [
    Compare("shop", "=", 0),
    Compare("maker", "=", 40),
    Compare("flag", "=", 1),
    Compare("shop", "=", 77),
    Between("weight", 0.2, 0.5),
    Between("weight", 0.2, 0.203),
    Between("weight", -1.0, 2.0),
    Between("weight", 3.0, 4.0),
    Member("tags", 0),
    Member("tags", 150),
    And((Compare("shop", "=", 0), Between("weight", 0.0, 0.5))),
    Or((Member("tags", 3), And((Compare("flag", "=", 1), Between("weight", 0.0, 0.9))))),
]


def right(query: np.ndarray, asked: Any, k: int) -> list[int]:
    """By a loop."""
    allowed = passing(asked, ATTRIBUTES)
    far = sorted((float(((VECTORS[i] - query) ** 2).sum()), i) for i in range(N) if allowed[i])
    return [i for _, i in far[:k]]


@pytest.mark.parametrize("asked", FILTERS, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_answers_rightly_or_refuses_by_its_declared_sorts(name: str, asked: Any) -> None:
    method = METHODS[name]
    if sort_of(asked) not in method.answers or (name == "windows" and sort_of(asked) == "EM"):
        with pytest.raises(Unanswerable, match=name):
            method.search(VECTORS[0], 5, asked, 10)
        return
    hits = total = 0
    for query in np.random.default_rng(1).normal(size=(20, D)).astype(np.float32):
        near, expected = method.search(query, 5, asked, 100).tolist(), right(query, asked, 5)
        assert passing(asked, ATTRIBUTES)[near].all() and len(set(near)) == len(near)
        assert len(near) == len(expected), "as many as there are"
        hits, total = hits + len(set(near) & set(expected)), total + len(expected)
        if method.exact:
            assert near == expected
    assert hits >= 0.98 * total


def test_a_filter_is_of_a_sort_and_suits_its_column() -> None:
    assert [sort_of(asked) for asked in (FILTERS[0], FILTERS[4], FILTERS[8], FILTERS[10])] == [
        "EM",
        "R",
        "EMIS",
        "mixed",
    ]
    with pytest.raises(SemblanceError, match="kind label"):
        passing(Between("shop", 1, 2), ATTRIBUTES)
    with pytest.raises(SemblanceError, match="kind set"):
        passing(Compare("tags", "=", 2), ATTRIBUTES)
    with pytest.raises(SemblanceError, match="weight"):
        passing(Between("wight", 1, 2), ATTRIBUTES)
    with pytest.raises(SemblanceError, match="none of EM"):
        sort_of(Compare("weight", ">", 2))


def test_a_set_holds_what_its_item_was_given() -> None:
    sets = Sets(np.array([0, 2, 2, 5]), np.array([4, 7, 7, 7, 1]))
    assert sets.holds(7).tolist() == [True, False, True]
    assert sets.holds(4).tolist() == [True, False, False]
    assert not sets.holds(9).any()


def test_windows_take_equality_of_an_ordered_column() -> None:
    value = ATTRIBUTES["weight"].values[17].item()
    assert METHODS["windows"].search(VECTORS[3], 5, Compare("weight", "=", value), 10).tolist() == [17]
    with pytest.raises(Unanswerable, match="ordered"):
        METHODS["per-label"].search(VECTORS[3], 5, Compare("weight", "=", value), 10)


def test_the_walk_measures_only_what_passes_and_few_starts_are_the_answer() -> None:
    walker = FilterGraph(VECTORS, ground_links(Graph(VECTORS, neighbours=16)))
    rng = np.random.default_rng(2)
    allowed = np.zeros(N, bool)
    allowed[[5, 700, 900]] = True
    distance, near = walker.search(VECTORS[5], 2, allowed, 8, rng)
    assert near[0] == 5 and distance[0] == 0 and walker.evaluations == 3
    allowed = rng.random(N) < 0.2
    walker.evaluations = 0
    walker.search(VECTORS[5], 10, allowed, 16, rng)
    assert 0 < walker.evaluations <= allowed.sum()
    assert len(walker.search(VECTORS[5], 10, np.zeros(N, bool), 16, rng)[1]) == 0


def test_the_links_are_those_of_the_ground_floor() -> None:
    links = ground_links(Graph(VECTORS, neighbours=8))
    assert links.shape == (N, 16)
    held = links >= 0
    assert held.any(1).all() and links.max() < N
    assert not (links == np.arange(N)[:, None]).any(), "nothing neighbours itself"
    near = np.linalg.norm(VECTORS[links[0][held[0]]] - VECTORS[0], axis=1)
    assert near.mean() < np.linalg.norm(VECTORS - VECTORS[0], axis=1).mean()


def test_a_stratum_has_the_share_it_says_and_known_neighbours() -> None:
    queries = np.random.default_rng(3).normal(size=(12, D)).astype(np.float32)
    for sort, band, low, high in (
        ("R", "3 to 6%", 0.03, 0.06),
        ("EM", "1 to 3%", 0.01, 0.03),
        ("EMIS", "3 to 6%", 0.03, 0.06),
    ):
        stratum = drawn_stratum(sort, band, queries, VECTORS, ATTRIBUTES, ["weight"], 5, np.random.default_rng(4))
        assert stratum is not None
        for query, asked, known in zip(queries, stratum.filters, stratum.known, strict=True):
            assert sort_of(asked) == sort
            assert low <= passing(asked, ATTRIBUTES).mean() <= high
            expected = [float(np.linalg.norm(VECTORS[i].astype(float) - query)) for i in right(query, asked, 5)]
            np.testing.assert_allclose(known, expected, rtol=1e-6)
        exact = at(METHODS["filter-first"], stratum, 5, 0, ATTRIBUTES, VECTORS)
        assert exact.recall == 1 and exact.wrong == 0
    coarse = {"weight": Attribute("ordered", np.arange(N) // 50)}
    with pytest.raises(SemblanceError, match="another column"):
        drawn_stratum("R", "1 to 3%", queries, VECTORS, coarse, ["weight"], 5, np.random.default_rng(4))
    assert drawn_stratum("EM", "100%", queries, VECTORS, ATTRIBUTES, ["weight"], 5, np.random.default_rng(4)) is None


def test_wrong_answers_are_counted() -> None:
    queries = VECTORS[:4]
    stratum = drawn_stratum("R", "1 to 3%", queries, VECTORS, ATTRIBUTES, ["weight"], 5, np.random.default_rng(5))
    assert stratum is not None

    class Liar(FilterFirst):
        def search(self, query: np.ndarray, k: int, asked: Any, beam: int = 0) -> np.ndarray:
            return np.array([0, 0, 1, 2, 3])

    assert at(Liar(VECTORS, ATTRIBUTES), stratum, 5, 0, ATTRIBUTES, VECTORS).wrong >= 4


def test_estimates_come_from_counts_and_ranks() -> None:
    statistics = Statistics(ATTRIBUTES)
    for asked in FILTERS[:10]:
        assert statistics.selectivity(asked) == pytest.approx(passing(asked, ATTRIBUTES).mean())
    both = statistics.selectivity(FILTERS[10])
    assert both == pytest.approx(
        statistics.selectivity(FILTERS[0]) * statistics.selectivity(Between("weight", 0.0, 0.5))
    )
    assert 0 < statistics.selectivity(FILTERS[11]) < 1


def test_the_planner_picks_what_was_cheapest_and_falls_back_to_what_is_right() -> None:
    points = [Point("a", 10, 0.9, 5, 0, 0), Point("a", 20, 0.96, 9, 0, 0), Point("b", 10, 0.99, 7, 0, 0)]
    best = cheapest(points, 0.95)
    assert best is not None and best.method == "b" and cheapest(points, 0.999) is None
    planner = Planner(Statistics(ATTRIBUTES), {("R", "10 to 60%"): points})
    assert planner.plan(Between("weight", 0.2, 0.5)).method == "b"
    assert planner.plan(Between("weight", 0.1, 0.8)).method == "b", "between the bands, the nearest"
    assert planner.plan(FILTERS[0]).method == "filter-first"
    assert [(p.method, p.beam) for p in pareto(points)] == [("a", 10), ("b", 10)]


def test_the_report_says_who_was_cheapest_how_often(tmp_path) -> None:  # type: ignore[no-untyped-def]
    points = [Point("a", 10, 0.9, 5, 0.1, 0), Point("a", 20, 0.96, 9, 0.2, 0), Point("b", 10, 0.99, 7, 0.1, 0)]
    report = curves_report({("R", "100%"): points, ("EM", "1 to 3%"): points[:2]}, {"a": 7, "b": 8})
    assert str(report).endswith("a 1, b 1") and report.table().num_rows == 5
    assert [row["pareto"] for row in report.rows] == [True, False, True, True, True]
    report.save(tmp_path / "curves.html")


def test_a_curve_climbs_until_the_recall_is_reached_and_is_empty_where_refused() -> None:
    stratum = drawn_stratum("R", "10 to 60%", VECTORS[:6], VECTORS, ATTRIBUTES, ["weight"], 5, np.random.default_rng(6))
    assert stratum is not None
    points = curve(METHODS["in-traversal"], stratum, 5, ATTRIBUTES, VECTORS, 0.9)
    assert points[-1].recall >= 0.9 and all(p.recall < 0.9 for p in points[:-1])
    assert curve(METHODS["per-label"], stratum, 5, ATTRIBUTES, VECTORS) == []
