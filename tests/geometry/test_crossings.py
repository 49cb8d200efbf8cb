"""Walks through an incidence follow their law, never go forward in time, and do not hang on who walks beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import of_cliques
from semblance.geometry.crossings import LAWS, cross, of_cells, of_hyperedges
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph

NODES, EDGES = 7, 9


def a_hypergraph(timed: bool = True) -> tuple[Hypergraph, np.ndarray]:
    """Random hyperedges, two at a time, and the incidence [edges, nodes]."""
    rng = np.random.default_rng(3)
    has = rng.random((EDGES, NODES)) < 0.45
    has[np.arange(EDGES), rng.integers(0, NODES, EDGES)] = True
    edge, node = (torch.from_numpy(at) for at in np.nonzero(has))
    time = torch.arange(EDGES, dtype=torch.float64) // 2 if timed else None
    return Hypergraph(node, edge, NODES, EDGES, time=time), has


def step_law(has: np.ndarray, time: np.ndarray | None, theta: float, law: str, now: int) -> np.ndarray:
    """P(over, next) from `now`, [nodes, edges], as the equations say it."""
    other = np.arange(EDGES) != now if time is None else time < time[now]
    w = other * (1.0 if time is None else np.exp(theta * (time - time[now])))
    pairs = has[now][:, None] * has.T * w
    if law == "pairs":
        found = pairs
    elif law == "neighbours":
        found = pairs / np.maximum((has & has[now]).sum(1), 1)
    else:
        found = pairs / np.maximum(pairs.sum(1, keepdims=True), 1e-300)
    return found / found.sum() if found.sum() else found


# A multinomial's chi-square has mean k - 1; this bound is exceeded with probability below e^-12 (Laurent & Massart).
def bound(k: int) -> float:
    return (k - 1) + 2 * math.sqrt((k - 1) * 12) + 24


def chi_of(law: str, theta: float, timed: bool, expected_theta: float | None = None) -> list[tuple[float, float]]:
    hypergraph, has = a_hypergraph(timed)
    time = None if hypergraph.time is None else hypergraph.time.numpy()
    through = of_hyperedges(hypergraph, theta, law)
    found = []
    for now in range(EDGES):
        expected = 4000 * step_law(has, time, theta if expected_theta is None else expected_theta, law, now)
        states, crossed = cross(through, np.full(4000, now), 2, seed=now)
        assert (states[:, 0] == now).all()
        if not expected.any():
            assert (states[:, 1] == -1).all()
            assert (crossed[:, 1] == -1).all()
            continue
        seen = np.zeros((NODES, EDGES))
        np.add.at(seen, (crossed[:, 1], states[:, 1]), 1)
        assert not seen[expected == 0].any()
        likely = expected > 0
        chi = ((seen - expected)[likely] ** 2 / expected[likely]).sum()
        found.append((chi, bound(int(likely.sum())) + (1 / expected[likely]).sum()))
    return found


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("theta", "timed"), [(0.0, True), (0.7, True), (0.0, False)])
def test_steps_follow_the_law(law: str, theta: float, timed: bool) -> None:
    found = chi_of(law, theta, timed)
    assert len(found) >= 5
    assert all(chi <= limit for chi, limit in found)


def test_the_law_check_can_fail() -> None:
    assert any(chi > limit for chi, limit in chi_of("pairs", 0.7, True, expected_theta=0.0))


@pytest.mark.parametrize("theta", [0.0, 2.0])
def test_a_walk_begins_before_its_moment_and_goes_back_in_time(theta: float) -> None:
    hypergraph, has = a_hypergraph()
    time = hypergraph.time.numpy()
    begin, until = np.repeat(np.arange(NODES), 200), np.tile(np.linspace(-1, 6, 200), NODES)
    states, crossed = cross(of_hyperedges(hypergraph, theta), begin, 4, seed=1, until=until)
    there = states >= 0
    assert there.any(0).all()
    assert (time[states[:, 0]] < until)[there[:, 0]].all()
    assert np.array_equal(there[:, 0], [(has[:, u] & (time < t)).any() for u, t in zip(begin, until, strict=True)])
    assert (crossed[:, 0] == np.where(there[:, 0], begin, -1)).all()
    both = there[:, 1:]
    assert (time[states[:, 1:]] < time[states[:, :-1]])[both].all()
    for side in (states[:, 1:], states[:, :-1]):
        assert has[side[both], crossed[:, 1:][both]].all()
    assert not (there[:, 1:] & ~there[:, :-1]).any()


def test_times_far_apart_neither_over_nor_underflow() -> None:
    hypergraph, _ = a_hypergraph()
    late = Hypergraph(hypergraph.node, hypergraph.edge, NODES, EDGES, time=1e9 + 1e6 * hypergraph.time)
    states, _ = cross(
        of_hyperedges(late, 1.0), np.arange(NODES).repeat(50), 3, seed=0, until=np.full(50 * NODES, np.inf)
    )
    last = [
        max(e for e in range(EDGES) if e in late.by_node().index[slice(*late.by_node().start[u : u + 2])])
        for u in range(NODES)
    ]
    moments = late.time.numpy()
    assert np.array_equal(moments[states[:, 0]], np.repeat(moments[last], 50))


def test_a_walk_is_the_same_whoever_walks_beside_it() -> None:
    through = of_hyperedges(a_hypergraph()[0])
    begin, until = np.repeat(np.arange(NODES), 30), np.full(30 * NODES, np.inf)
    whole = cross(through, begin, 4, seed=2, until=until)[0]
    some = np.random.default_rng(0).permutation(len(begin))[:40]
    assert np.array_equal(cross(through, begin[some], 4, seed=2, until=until[some], numbers=some)[0], whole[some])
    assert not np.array_equal(cross(through, begin, 4, seed=3, until=until)[0], whole)


def test_cells_are_crossed_over_common_faces_and_cofaces() -> None:
    ends = np.array([[0, 0, 0, 1, 1, 2, 3, 4], [1, 2, 3, 2, 3, 3, 4, 5]])
    complex_ = of_cliques(Graph(torch.from_numpy(np.concatenate([ends, ends[::-1]], 1)), 6), 2)
    for k in range(3):
        lower = abs(complex_.matrix(k)).toarray().T if k else np.zeros((complex_.size(k), 0))
        upper = abs(complex_.matrix(k + 1)).toarray() if k < 2 else np.zeros((complex_.size(k), 0))
        has = np.concatenate([lower, upper], 1) > 0
        states, crossed = cross(of_cells(complex_, k), np.arange(complex_.size(k)).repeat(100), 3, seed=0)
        assert (states >= 0).all()
        assert (states[:, 1:] != states[:, :-1]).all()
        for side in (states[:, 1:], states[:, :-1]):
            assert has[side, crossed[:, 1:]].all()
        near = (has.astype(int) @ has.T > 0) & ~np.eye(len(has), dtype=bool)
        reached = np.zeros_like(near)
        reached[states[:, 0], states[:, 1]] = True
        assert np.array_equal(reached, near)


def test_what_cannot_be_walked_is_refused() -> None:
    hypergraph, _ = a_hypergraph(timed=False)
    with pytest.raises(SemblanceError, match="law of a step 'shared'"):
        of_hyperedges(hypergraph, law="shared")
    with pytest.raises(SemblanceError, match="theta is -1"):
        of_hyperedges(a_hypergraph()[0], -1.0)
    with pytest.raises(SemblanceError, match="a walk starts at"):
        cross(of_hyperedges(hypergraph), np.array([EDGES]), 2, seed=0)
    with pytest.raises(SemblanceError, match="1 or more"):
        cross(of_hyperedges(hypergraph), np.array([0]), 0, seed=0)
