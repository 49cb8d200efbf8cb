"""The window tree: six ways that agree with looking at everything, the theorems on cover and buckets, and changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.memory.window import STRATEGIES, Window, every_bucket, smallest_bucket
from semblance.memory.window_tree import Effort, Node, WindowTree

BRANCHINGS = (2, 3, 4)


def window(
    n: int = 900, base: str = "flat", branching: int = 2, cutoff: int = 20, values: int = 0, geometry: str = "euclidean"
) -> Window:
    """Items with random numbers; `values` > 0 makes them repeat."""
    rng = np.random.default_rng(n + branching)
    numbers = rng.integers(values, size=n) if values else rng.random(n)
    return Window(WindowTree(rng.normal(size=(n, 8)), numbers, base, geometry, branching, cutoff))


def truth(tree: WindowTree, query: np.ndarray, k: int, low: Any, high: Any) -> np.ndarray:
    """Distances of the k nearest in the window, by a loop over the living."""
    found = []
    for slot in tree.order:
        number = tree.numbers[slot]
        if (low is None or number >= low) and (high is None or number <= high):
            found.append(float(np.linalg.norm(tree.vectors[slot].astype(float) - query)))
    return np.sort(found)[:k]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("branching", BRANCHINGS)
@pytest.mark.parametrize("values", [0, 12], ids=["distinct", "repeated"])
def test_with_exact_bases_every_strategy_is_right(strategy: str, branching: int, values: int) -> None:
    made = window(300, branching=branching, values=values)
    rng = np.random.default_rng(0)
    for _ in range(25):
        low, high = np.sort(rng.choice(made.tree.numbers, 2))
        ends = [(low, high), (None, high), (low, None), (None, None)][rng.integers(4)]
        query = rng.normal(size=8)
        slots, distances = made.search(query[None], 5, *ends, strategy)
        expected = truth(made.tree, query.astype(np.float32), 5, *ends)
        np.testing.assert_allclose(distances[0], expected, rtol=1e-5)
        assert len(set(slots[0])) == len(expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_empty_window_is_answered_with_nothing_and_a_narrow_one_with_what_is_there(strategy: str) -> None:
    made = window()
    assert made.search(np.zeros((2, 8)), 5, 2.0, 3.0, strategy)[0].shape == (2, 0)
    number = made.tree.sorted[7]
    assert made.search(np.zeros((1, 8)), 5, number, number, strategy)[0].tolist() == [[made.tree.order[7]]]


@pytest.mark.parametrize("base", ["lists", "graph"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_approximate_base_never_answers_outside_the_window_nor_with_too_few(base: str, strategy: str) -> None:
    made = window(600, base, cutoff=60)
    rng = np.random.default_rng(1)
    for _ in range(10):
        low, high = np.sort(rng.random(2))
        slots, _ = made.search(rng.normal(size=(2, 8)), 10, low, high, strategy, Effort(beam=1))
        inside = (made.tree.numbers >= low) & (made.tree.numbers <= high)
        assert slots.shape == (2, min(10, inside.sum()))
        assert inside[slots].all()
        assert all(len(set(line)) == len(line) for line in slots)


@pytest.mark.parametrize("branching", BRANCHINGS)
def test_the_cover_is_disjoint_complete_and_small(branching: int) -> None:
    tree = window(997, branching=branching, cutoff=10).tree
    depth: dict[int, int] = {}

    def walk(node: Node, level: int) -> None:
        depth[id(node)] = level
        for child in node.children:
            walk(child, level + 1)

    walk(tree.root, 0)
    rng = np.random.default_rng(2)
    for _ in range(300):
        s, e = np.sort(rng.choice(998, 2, replace=False))
        nodes, pieces = tree.cover(int(s), int(e))
        spans = sorted([(node.start, node.stop) for node in nodes] + pieces)
        assert spans[0][0] == s and spans[-1][1] == e
        assert all(left[1] == right[0] for left, right in pairwise(spans))
        assert np.bincount([depth[id(node)] for node in nodes] or [0]).max() <= 2 * (branching - 1)
        assert len(pieces) <= 2


@given(st.integers(1, 3000), st.data())
def test_a_bucket_is_less_than_four_windows_long_or_everything(n: int, data: st.DataObject) -> None:
    s = data.draw(st.integers(0, n - 1))
    e = data.draw(st.integers(s + 1, n))
    level, place, start, stop = smallest_bucket(n, s, e)
    assert start <= s and e <= stop
    assert level == 0 or stop - start < 4 * (e - s) + 4
    assert (level, place, start, stop) in every_bucket(n)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000, 1023, 4096])
def test_buckets_hold_less_than_two_copies_a_level(n: int) -> None:
    held = sum(stop - start for *_, start, stop in every_bucket(n))
    levels = len({level for level, *_ in every_bucket(n)})
    assert held < 2 * n * levels
    made = window(n, cutoff=1)
    points, depth = made.tree.stored()
    assert points == n * depth or points <= n * depth
    assert made.stored()[0] < 2 * n * max(1, made.stored()[1])


@pytest.mark.parametrize("base", ["flat", "lists", "graph"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_after_changes_the_answers_are_those_of_a_tree_built_at_once(base: str, strategy: str) -> None:
    rng = np.random.default_rng(3)
    made = window(400, base, cutoff=40)
    made.search(np.zeros((1, 8)), 1, 0.2, 0.3, "super")  # the buckets are of now
    for step in range(6):
        made.tree.add(rng.normal(size=(30, 8)), rng.random(30) * (0.1 if step % 2 else 1))
        made.tree.remove(rng.choice(made.tree.order, 20, replace=False))
        low, high = np.sort(rng.random(2))
        query = rng.normal(size=8)
        _, distances = made.search(query[None], 5, low, high, strategy, Effort(beam=400))
        np.testing.assert_allclose(distances[0], truth(made.tree, query.astype(np.float32), 5, low, high), rtol=1e-5)
    kept = made.compact()
    assert len(made.tree.vectors) == len(made) == len(kept) == 460
    _, distances = made.search(query[None], 5, low, high, strategy, Effort(beam=400))
    np.testing.assert_allclose(distances[0], truth(made.tree, query.astype(np.float32), 5, low, high), rtol=1e-5)


def test_only_the_unbalanced_subtree_is_built_anew() -> None:
    tree = window(1024, cutoff=64).tree
    left, right = tree.root.children
    before, far = tree.rebuilt, right.children[1]
    tree.add(np.zeros((60, 8), np.float32), np.full(60, tree.sorted[3]))
    assert 0 < tree.rebuilt - before <= 400, "the leaf at the left, or little more"
    assert tree.root.children[0] is left and tree.root.children[1].children[1] is far
    tree.add(np.zeros((1100, 8), np.float32), np.full(1100, tree.sorted[3]))
    assert tree.root.children[0] is not left, "now the root itself is out of balance"
    assert [len(child) for child in tree.root.children] == [1092, 1092]


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60))
def test_nodes_partition_the_ranks_whatever_comes_and_goes(changes: list[tuple[int, bool]]) -> None:
    tree = WindowTree(np.zeros((8, 2), np.float32), np.arange(8), cutoff=2)
    for number, comes in changes:
        if comes or not len(tree):
            tree.add(np.zeros((1, 2), np.float32), np.array([number]))
        else:
            tree.remove(tree.order[[number % len(tree)]])
        rows = [tree.root]
        while rows:
            node = rows.pop()
            alive = np.sort(tree.rank[node.slots][tree.rank[node.slots] >= 0])
            np.testing.assert_array_equal(alive, np.arange(node.start, node.stop))
            if node.children:
                assert [c.start for c in node.children] + [node.stop] == [node.start] + [c.stop for c in node.children]
            rows += node.children


def test_items_without_a_number_are_found_only_where_no_end_is_set() -> None:
    numbers = np.array([1.0, np.nan, 2.0, np.nan])
    made = Window(WindowTree(np.eye(4), numbers, cutoff=2))
    for strategy in STRATEGIES:
        assert set(made.search(np.ones((1, 4)), 9, strategy=strategy)[0][0]) == {0, 1, 2, 3}
        assert set(made.search(np.ones((1, 4)), 9, low=0, strategy=strategy)[0][0]) == {0, 2}


def test_cosine_distances_are_those_of_the_sphere() -> None:
    made = window(200, geometry="cosine")
    query = np.random.default_rng(4).normal(size=8)
    for strategy in STRATEGIES:
        slots, distances = made.search(query[None] * 5, 3, 0.2, 0.9, strategy)
        angle = made.tree.vectors[slots[0]] @ query / np.linalg.norm(query)
        np.testing.assert_allclose(distances[0], 1 - angle, atol=1e-6)


def test_evaluations_are_the_rows_that_an_exact_base_measured() -> None:
    made = window(1000, cutoff=100)
    before = made.tree.evaluations
    s, e = made.tree.span(0.25, 0.4)
    made.search(np.zeros((3, 8)), 5, 0.25, 0.4, "pre-filter")
    assert made.tree.evaluations - before == 3 * (e - s)
    before = made.tree.evaluations
    made.search(np.zeros((3, 8)), 5, 0.25, 0.4, "cover")
    assert made.tree.evaluations - before == 3 * (e - s), "disjoint and complete"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: window().search(np.zeros((1, 8)), 1, 0.5, 0.2), "larger end first"),
        (lambda: window().search(np.zeros((1, 8)), 1, float("nan"), 0.2), "NaN"),
        (lambda: window().search(np.zeros((1, 8)), 1, 0.1, 0.2, "covr"), "cover"),
        (lambda: window(base="flatt"), "flat"),
        (lambda: window(branching=1), "branching is 1"),
        (lambda: WindowTree(np.zeros((3, 2)), np.array(["a", "b", "c"])), "numbers are needed"),
        (lambda: window().tree.remove(np.array([3, 3])), "twice"),
    ],
)
def test_a_mistake_has_one_line(make: Any, words: str) -> None:
    with pytest.raises(SemblanceError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
