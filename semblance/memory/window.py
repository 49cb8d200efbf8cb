"""Window: nearest neighbours among the items whose number lies in a window [low, high].

Items are sorted by their number, so that a window is a range of ranks [s, e). A tree over the ranks (`window_tree.py`),
each node with a base index of its own, is asked in one of six ways:

    cover        the disjoint maximal nodes inside the window, at most 2 (branching - 1) a level, each searched plainly; the
                 two ragged pieces inside leaves are scanned
    optimised    the smallest node that contains the window, asked for k' of its items, k' doubled until k lie in the window
    three-split  the largest node inside the window searched plainly, what is left of it and right of it by `optimised`
    super        as `optimised`, in the smallest of overlapping buckets of n / 2^l ranks, one every half bucket: it is less
                 than four times as long as the window, or it is everything
    pre-filter   the window is scanned
    post-filter  as `optimised`, in the root

Buckets are made when they are first asked for; items that came since are scanned beside them until they are an eighth of
all. Engels, Landrum, Yu, Dhulipala, Shun 2024, Approximate Nearest Neighbor Search with Window Filters (arXiv:2402.00943).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import unknown
from semblance.memory.base_indexes import Floats, Ints
from semblance.memory.window_tree import Candidates, Effort, Node, WindowTree, best_of

FRESH = 0.125
"""Share of items that may be scanned beside the buckets."""


@dataclass(frozen=True)
class Buckets:
    """Overlapping buckets as of one moment: `numbers` [n] sorted, slots below `upto`, a node for each (level, place).
    What is no longer than the cut-off has none, and neither has level 0, which is everything."""

    numbers: NDArray[Any]
    upto: int
    nodes: dict[tuple[int, int], Node]


class Window:
    """A tree and its buckets, and the six ways to ask them."""

    def __init__(self, tree: WindowTree):
        self.tree = tree
        self._buckets: Buckets | None = None

    def __len__(self) -> int:
        return len(self.tree)

    def search(
        self,
        queries: np.ndarray,
        k: int,
        low: Any = None,
        high: Any = None,
        strategy: str = "optimised",
        effort: Effort = Effort(),  # noqa: B008 - frozen
    ) -> tuple[Ints, Floats]:
        """Queries [Q, d] -> slots and distances [Q, min(k, items in the window)], nearest first."""
        return self.among(queries, k, *self.tree.span(low, high), strategy, effort)

    def among(self, queries: np.ndarray, k: int, s: int, e: int, strategy: str, effort: Effort) -> tuple[Ints, Floats]:
        """The same for the ranks [s, e)."""
        if strategy not in STRATEGIES:
            raise unknown("strategy", strategy, STRATEGIES)
        space, vectors = self.tree.space, self.tree.vectors
        asked, found = space.prepare(queries), min(k, e - s)
        if not found or not len(asked):
            return np.empty((len(asked), found), np.int64), np.empty((len(asked), found), np.float32)
        distance, slots = best_of(STRATEGIES[strategy](self, asked, found, s, e, effort), found)
        for row, near in enumerate(slots):  # measured once more, each query alone: equal whichever node found them
            exact = space.distance(asked[row : row + 1].astype(np.float64), vectors[near].astype(np.float64))[0]
            order = np.lexsort((near, exact))
            slots[row], distance[row] = near[order], exact[order]
        return slots, distance

    def buckets(self) -> Buckets:
        """The buckets, of now or of a while ago: what came or went since is at most an eighth."""
        tree, old = self.tree, self._buckets
        if old is not None and len(tree.numbers) - old.upto <= FRESH * len(tree) >= len(old.numbers) - len(tree):
            return old
        nodes = {
            (level, place): tree.node_of(start, stop)
            for level, place, start, stop in every_bucket(len(tree))
            if level and stop - start > tree.cutoff
        }
        self._buckets = Buckets(tree.sorted_all.copy(), len(tree.numbers), nodes)
        return self._buckets

    def stored(self) -> tuple[int, int]:
        """Points held by the buckets' base indexes (level 0 is the tree's root), and levels."""
        nodes = self.buckets().nodes
        return len(self) + sum(len(node.slots) for node in nodes.values()), len({0, *(level for level, _ in nodes)})

    def compact(self) -> Ints:
        """Builds everything anew without what was removed: the old slot of every new one."""
        self._buckets = None
        return self.tree.compact()


def _step(n: int, level: int) -> tuple[int, int]:
    """Ranks in a bucket of this level, and between the starts of two."""
    size = -(-n // 2**level)
    return size, -(-size // 2)


def every_bucket(n: int) -> Iterator[tuple[int, int, int, int]]:
    """Level, place and ranks [start, stop) of every bucket over n ranks, down to single ranks."""
    for level in range(max(1, math.ceil(math.log2(max(n, 1))) + 1)):
        size, step = _step(n, level)
        for place in range(-(-(n - size) // step) + 1):  # the first that reaches the end is the last
            yield level, place, place * step, min(place * step + size, n)


def smallest_bucket(n: int, s: int, e: int) -> tuple[int, int, int, int]:
    """Level, place and ranks of the smallest bucket over n ranks that contains [s, e), s < e."""
    for level in range(max(0, math.ceil(math.log2(n))), 0, -1):
        size, step = _step(n, level)
        place = min(s // step, -(-(n - size) // step))  # the last that begins at s or before it reaches furthest
        if e <= min(place * step + size, n):
            return level, place, place * step, min(place * step + size, n)
    return 0, 0, 0, n


def _cover(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    tree = window.tree
    nodes, pieces = tree.cover(s, e)
    found = [tree.probe(node, asked, k, s, e, effort) for node in nodes]
    return found + [tree.scan(asked, k, tree.order[a:b]) for a, b in pieces]


def _optimised(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    return [window.tree.probe(window.tree.containing(s, e), asked, k, s, e, effort)]


def _three_split(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    nodes, _ = window.tree.cover(s, e)
    if not nodes:
        return _cover(window, asked, k, s, e, effort)
    middle = max(nodes, key=len)
    found = [window.tree.probe(middle, asked, k, s, e, effort)]
    for a, b in ((s, middle.start), (middle.stop, e)):
        if a < b:
            found += _optimised(window, asked, k, a, b, effort)
    return found


def _super(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    tree, buckets = window.tree, window.buckets()
    slots = tree.order[s:e]
    fresh = slots[slots >= buckets.upto]
    if len(fresh) == len(slots):
        return [tree.scan(asked, k, slots)]
    if len(tree) == len(buckets.numbers) and len(tree.numbers) == buckets.upto:
        a, b = s, e
    elif s == 0 and e == len(tree):
        a, b = 0, len(buckets.numbers)
    else:  # the ranks of then: equal numbers stay together, so they are those of the numbers at both ends
        a = int(np.searchsorted(buckets.numbers, tree.sorted_all[s], "left"))
        b = int(np.searchsorted(buckets.numbers, tree.sorted_all[e - 1], "right"))
    level, place, start, stop = smallest_bucket(len(buckets.numbers), a, b)
    if level == 0:
        return [tree.probe(tree.root, asked, k, s, e, effort)]
    if stop - start <= tree.cutoff:
        return [tree.scan(asked, k, slots)]
    found = [tree.probe(buckets.nodes[level, place], asked, k, s, e, effort, len(slots) - len(fresh))]
    return [*found, tree.scan(asked, k, fresh)] if len(fresh) else found


def _pre_filter(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    return [window.tree.scan(asked, k, window.tree.order[s:e])]


def _post_filter(window: Window, asked: Floats, k: int, s: int, e: int, effort: Effort) -> list[Candidates]:
    return [window.tree.probe(window.tree.root, asked, k, s, e, effort)]


Strategy = Callable[[Window, Floats, int, int, int, Effort], list[Candidates]]
STRATEGIES: dict[str, Strategy] = {
    "cover": _cover,
    "optimised": _optimised,
    "three-split": _three_split,
    "super": _super,
    "pre-filter": _pre_filter,
    "post-filter": _post_filter,
}
