"""Window rule: which way to ask a window tree, measured for windows of 1/1, 1/2, 1/4, ... of all items.

For each width the strategies climb a ladder of efforts on windows at random places, until one reaches the asked recall; the
strategy that needs the fewest distance evaluations there is the rule's for that width. Evaluations, not seconds: a rule is
the same on every machine and on every run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from semblance.memory.base_indexes import Floats
from semblance.memory.window import STRATEGIES, Window
from semblance.memory.window_tree import Effort

BEAMS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LADDER = tuple(Effort(beam) for beam in BEAMS)
Span = tuple[int, int]


class Measured(NamedTuple):
    """Recall@k, and distance evaluations a query."""

    recall: float
    evaluations: float


@dataclass(frozen=True)
class Choice:
    strategy: str
    effort: Effort
    evaluations: float = 0.0


DEFAULT = Choice("optimised", Effort(64))


@dataclass(frozen=True)
class Rule:
    """A choice for each power of two: `choices[i]` for windows of about n / 2^i items, the last for all narrower ones."""

    choices: tuple[Choice, ...] = (DEFAULT,)

    def choose(self, items: int, window: int) -> Choice:
        """For a window of so many of the items."""
        power = round(math.log2(items / window)) if window else 0
        return self.choices[min(power, len(self.choices) - 1)]


def truth(window: Window, queries: np.ndarray, spans: Sequence[Span], k: int) -> list[Floats]:
    """Distances of the k nearest in each query's own window, exactly."""
    exact = Effort()
    return [
        window.among(query[None], k, s, e, "pre-filter", exact)[1][0]
        for query, (s, e) in zip(queries, spans, strict=True)
    ]


def measure(
    window: Window,
    queries: np.ndarray,
    spans: Sequence[Span],
    known: Sequence[Floats],
    k: int,
    strategy: str,
    effort: Effort,
) -> Measured:
    """Each query [d] in its own ranks [s, e), against the `known` distances of its neighbours there."""
    before, found, wanted = window.tree.evaluations, 0, 0
    for query, (s, e), there in zip(queries, spans, known, strict=True):
        _, distances = window.among(query[None], k, s, e, strategy, effort)
        wanted += len(there)
        if len(there):  # equals of the last one are no misses
            found += int((distances[0] <= there[-1] * (1 + 1e-6) + 1e-9).sum())
    return Measured(found / max(wanted, 1), (window.tree.evaluations - before) / max(len(queries), 1))


def climb(
    window: Window,
    queries: np.ndarray,
    spans: Sequence[Span],
    known: Sequence[Floats],
    k: int,
    strategy: str,
    recall: float = 0.95,
    ladder: Sequence[Effort] = LADDER,
) -> tuple[Effort, Measured]:
    """The first effort of the ladder that reaches the recall, or the last one."""
    for effort in ladder:
        measured = measure(window, queries, spans, known, k, strategy, effort)
        if measured.recall >= recall:
            break
    return effort, measured


def random_spans(items: int, length: int, count: int, rng: np.random.Generator) -> list[Span]:
    """Windows of so many ranks at random places."""
    return [(int(start), int(start) + length) for start in rng.integers(0, items - length + 1, count)]


def measured_rule(
    window: Window,
    queries: np.ndarray,
    rng: np.random.Generator,
    k: int = 10,
    recall: float = 0.95,
    strategies: Sequence[str] = tuple(STRATEGIES),
    ladder: Sequence[Effort] = LADDER,
) -> Rule:
    """The rule for these queries [Q, d] in windows at random, down to windows of 2 k items."""
    choices: list[Choice] = []
    length = len(window)
    while length >= 2 * k:
        spans = random_spans(len(window), length, len(queries), rng)
        known = truth(window, queries, spans, k)
        options = []
        for strategy in strategies:
            effort, measured = climb(window, queries, spans, known, k, strategy, recall, ladder)
            if measured.recall >= recall:
                options.append(Choice(strategy, effort, measured.evaluations))
        choices.append(min(options or [Choice("pre-filter", Effort())], key=lambda choice: choice.evaluations))
        length //= 2
    return Rule((*choices, Choice("pre-filter", Effort())))
