"""Window search: a tree of indexes over a sorted number answers windows at a fraction of what both ends of filtering cost.

(a) 2,100 Gaussian points with repeated numbers, 10^4 random windows (a third open at one end, some empty), exact bases.
(b) MNIST, 60,000 training digits in 32 PCA coordinates, random numbers, graphs as bases, 100 test digits a width.
(c) 30,000 points in 20 Gaussian clusters, numbers by cluster; 30 queries at one cluster each, their windows on another.
Cost is distance evaluations; every strategy climbs the same ladders of beam and first guess, and its cheapest rung with
recall@10 of 0.95 or more counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from semblance.claims.ledger import Run, at_most, below, claim, exactly
from semblance.data.load import load
from semblance.memory.base_indexes import Graph
from semblance.memory.window import STRATEGIES, Window, smallest_bucket
from semblance.memory.window_rule import Span, climb, random_spans, truth
from semblance.memory.window_tree import Effort, Node, WindowTree

TREES = ("cover", "optimised", "three-split", "super")
K = 10
QUERIES, ELSEWHERE = 100, 30
BEAMS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256)
FIRSTS = (0.0, 1.0, 2.0)
BEFORE_AND_AFTER = ("pre-filter", "post-filter")


@claim(
    "window-search",
    parts={
        "(a) windows that any strategy answers otherwise than brute force": exactly(0),
        "(a) covers that overlap or leave something out": exactly(0),
        "(a) nodes of a cover per level over 2 (branching - 1), largest ratio": at_most(1),
        "(a) ragged pieces, most": at_most(2),
        "(a) buckets neither the root nor below 4 windows plus 4": exactly(0),
        "(a) points stored by the tree over n levels": at_most(1),
        "(a) points stored by the buckets over 2 n levels": below(1),
        "(b) window 1/16: best tree strategy over better of pre- and post-filter": at_most(0.5),
        "(b) window 1/32: best tree strategy over better of pre- and post-filter": at_most(0.5),
        "(b) window 1/1: best tree strategy over post-filter": at_most(1.2),
        "(b) window 1/1024: best tree strategy over pre-filter": at_most(1.2),
        "(c) window on another cluster: best tree strategy over post-filter": at_most(0.1),
    },
    data=("mnist",),
    seeds=(0,),
    broken="the tree is not cut: its root is its only node, and there are no buckets",
    files=("memory/window.py", "memory/window_tree.py", "memory/window_rule.py", "memory/base_indexes.py"),
    minutes=3.0,
)
def window_search(run: Run) -> None:
    """A window is a range of a sorted order: sub-indexes over nested or overlapping ranges answer it with far fewer
    distance evaluations than scanning it, or than dropping what lies outside from an index of everything."""
    for seed in run.seeds:
        exact(run, seed)
        digits(run, seed)
        clusters(run, seed)


def exact(run: Run, seed: int) -> None:
    rng = np.random.default_rng([348, seed])
    n, k = 2100, 5
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    numbers = np.where(rng.random(n) < 0.5, rng.integers(0, 500, n), 500 * rng.random(n))
    wrong = apart = fat = 0
    ratio, pieces_most = 0.0, 0
    for branching in (2, 3, 4, 8):
        tree = WindowTree(vectors, numbers, "flat", branching=branching, cutoff=n if run.broken else 32)
        window = Window(tree)
        depth = levels(tree.root)
        for _ in range(2500):
            low, high = window_at_random(rng)
            query = rng.normal(size=(1, 8)).astype(np.float32)
            inside = np.flatnonzero((numbers >= low) & (numbers <= high))
            far = np.sort(np.linalg.norm(vectors[inside].astype(np.float64) - query, axis=1))[:k]
            for strategy in STRATEGIES:
                slots, distances = window.search(query, k, low, high, strategy, Effort(first=1.0))
                same = len(far) == slots.shape[1] == len(set(slots[0])) and np.allclose(distances[0], far, rtol=1e-5)
                wrong += not (same and np.isin(slots[0], inside).all())
            s, e = tree.span(low, high)
            nodes, pieces = tree.cover(s, e)
            spans = sorted([(node.start, node.stop) for node in nodes] + pieces)
            ends = [s, *(stop for _, stop in spans)]
            apart += ends != [*(start for start, _ in spans), e] if s < e else bool(spans)
            counts = np.bincount([depth[id(node)] for node in nodes] or [0])
            ratio, pieces_most = max(ratio, counts.max() / (2 * (branching - 1))), max(pieces_most, len(pieces))
            if s < e:
                level, _, start, stop = smallest_bucket(n, s, e)
                fat += not (start <= s and e <= stop and (level == 0 or stop - start < 4 * (e - s) + 4))
        held, deep = tree.stored()
        shelf, shelves = window.stored()
    run.report("(a) windows that any strategy answers otherwise than brute force", wrong)
    run.report("(a) covers that overlap or leave something out", apart)
    run.report("(a) nodes of a cover per level over 2 (branching - 1), largest ratio", ratio)
    run.report("(a) ragged pieces, most", pieces_most)
    run.report("(a) buckets neither the root nor below 4 windows plus 4", fat)
    run.report("(a) points stored by the tree over n levels", held / (n * deep))
    run.report("(a) points stored by the buckets over 2 n levels", shelf / (2 * n * shelves))


def levels(root: Node) -> dict[int, int]:
    """Node (by identity) -> its level."""
    found, row, level = {}, [root], 0
    while row:
        found |= {id(node): level for node in row}
        row, level = [child for node in row for child in node.children], level + 1
    return found


def window_at_random(rng: np.random.Generator) -> tuple[float, float]:
    """Of any width: a power of two at random; a third is open at one end, a few lie between two numbers."""
    width = 500 * 2.0 ** -rng.uniform(0, 12)
    low = rng.uniform(-width, 500)
    side = rng.integers(6)
    return (-np.inf if side == 0 else low), (np.inf if side == 1 else low + width)


def cheapest(window: Window, queries: np.ndarray, spans: Sequence[Span], strategy: str) -> float:
    """Evaluations of the cheapest rung of the ladders with recall 0.95; infinite where none reaches it."""
    known = truth(window, queries, spans, K)
    costs = []
    for first in FIRSTS if strategy != "cover" else FIRSTS[:1]:
        ladder = [Effort(beam, first=first) for beam in BEAMS]
        _, measured = climb(window, queries, spans, known, K, strategy, 0.95, ladder)
        costs.append(measured.evaluations if measured.recall >= 0.95 else np.inf)
    return float(min(costs))


def compared(
    run: Run, window: Window, queries: np.ndarray, spans: Sequence[Span], against: Sequence[str], name: str
) -> dict[str, float]:
    costs = {strategy: cheapest(window, queries, spans, strategy) for strategy in (*TREES, *against)}
    run.progress(f"{name}: " + ", ".join(f"{strategy} {cost:.0f}" for strategy, cost in costs.items()))
    for strategy in against:
        run.baseline(f"{name}: evaluations of {strategy}", costs[strategy])
    return costs


def graphs(run: Run, vectors: np.ndarray, numbers: np.ndarray) -> Window:
    """A tree of graphs, with its buckets."""
    base = partial(Graph, neighbours=16, construction=40)
    window = Window(WindowTree(vectors, numbers, base, cutoff=len(vectors) if run.broken else 1000))
    window.buckets()
    return window


def digits(run: Run, seed: int) -> None:
    data = load("mnist")
    x = data.x.reshape(len(data), -1).astype(np.float32) / 255
    train, test = data.splits["train"], data.splits["test"]
    mean = x[train].mean(0)
    _, turn = np.linalg.eigh(np.cov(x[train[::6]].T))
    z = (x - mean) @ turn[:, ::-1][:, :32].astype(np.float32)
    rng = np.random.default_rng([3481, seed])
    window = graphs(run, z[train], rng.random(len(train)))
    run.progress("(b) tree and its graphs are built")
    n = len(train)
    for power in (0, 4, 5, 10):
        spans = random_spans(n, n >> power, QUERIES, rng)
        against = {0: ("post-filter",), 10: ("pre-filter",)}.get(power, BEFORE_AND_AFTER)
        queries = z[rng.choice(test, QUERIES, replace=False)]
        costs = compared(run, window, queries, spans, against, f"(b) window 1/{2**power}")
        best = min(costs[strategy] for strategy in TREES)
        said = against[0] if len(against) == 1 else "better of pre- and post-filter"
        run.report(f"(b) window 1/{2**power}: best tree strategy over {said}", best / min(costs[a] for a in against))


def clusters(run: Run, seed: int) -> None:
    rng = np.random.default_rng([3482, seed])
    n, groups, d = 30_000, 20, 32
    centres = 4 * rng.normal(size=(groups, d))
    group = np.repeat(np.arange(groups), n // groups)
    vectors = (centres[group] + rng.normal(size=(n, d))).astype(np.float32)
    window = graphs(run, vectors, group + rng.random(n))
    near = rng.integers(0, groups, ELSEWHERE)
    other = (near + rng.integers(1, groups, ELSEWHERE)) % groups
    queries = (centres[near] + rng.normal(size=(ELSEWHERE, d))).astype(np.float32)
    size = n // groups
    spans = [(int(c) * size, int(c) * size + size) for c in other]
    costs = compared(run, window, queries, spans, BEFORE_AND_AFTER[1:], "(c) window on another cluster")
    best = min(costs[strategy] for strategy in TREES)
    run.report("(c) window on another cluster: best tree strategy over post-filter", best / costs["post-filter"])
