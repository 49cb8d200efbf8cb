"""Batches by score, where nothing is to be thrown away; and batches of a fixed number, where the sizes differ.

    Weighed    a unit is drawn in proportion to exp(s / temperature), s standardised over the training units
    Widening   an epoch begins with the best and ends with all: a curriculum
    Shown      so many units an epoch, however many there are: filters that keep less are compared at equal samples seen

Scores are an attribute of the data (`score`, as a filter leaves it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semblance.errors import SemblanceError, unknown


def scores_of(dataset: Any, rows: np.ndarray, column: str) -> np.ndarray:
    """float64 [n], mean 0 and deviation 1 over these rows."""
    if column not in dataset.attributes.column_names:
        raise unknown("column of scores", column, dataset.attributes.column_names)
    scores = dataset.attributes.column(column).to_numpy()[rows].astype(np.float64)
    return (scores - scores.mean()) / max(scores.std(), np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Weighed:
    """Drawn with replacement; as many an epoch as there are units."""

    batch: int = 256
    temperature: float = 1.0
    column: str = "score"

    def bind(self, dataset: Any, rows: np.ndarray) -> _Chances:
        """With the scores of these rows."""
        if self.temperature <= 0:
            raise SemblanceError(f"temperature is {self.temperature}, but scores are divided by it: give more than 0")
        s = scores_of(dataset, rows, self.column) / self.temperature
        weight = np.exp(s - s.max())
        return _Chances(self.batch, weight / weight.sum())


@dataclass(frozen=True)
class _Chances:
    batch: int
    chance: np.ndarray

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions, `batch` at a time."""
        drawn = rng.choice(units, max(units - units % self.batch, min(units, self.batch)), p=self.chance)
        return np.split(drawn, np.arange(self.batch, len(drawn), self.batch))


@dataclass(frozen=True)
class Widening:
    """Batch b of B is drawn, without repetition, from the best start + (1 - start) b / (B - 1) of the units."""

    batch: int = 256
    start: float = 0.2
    column: str = "score"

    def bind(self, dataset: Any, rows: np.ndarray) -> _Widening:
        """With the order of these rows."""
        if not 0 < self.start <= 1:
            raise SemblanceError(f"start is {self.start}, but it is a share of the units: give above 0 to 1")
        order = np.argsort(-scores_of(dataset, rows, self.column), kind="stable")
        return _Widening(self.batch, self.start, order)


@dataclass(frozen=True)
class _Widening:
    batch: int
    start: float
    order: np.ndarray

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions, batch after batch."""
        batches = max(1, units // self.batch)
        batch = min(self.batch, units)
        shares = np.linspace(self.start, 1.0, batches)
        return [rng.choice(self.order[: max(batch, round(share * units))], batch, replace=False) for share in shares]


@dataclass(frozen=True)
class Shown:
    """`units` shown an epoch in whole batches: shuffle after shuffle of the data, whatever its size."""

    batch: int = 256
    units: int = 8192

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions, `units // batch` times `batch` (all there are, where these are fewer)."""
        size, batches = min(self.batch, units), max(1, self.units // self.batch)
        found: list[np.ndarray] = []
        while len(found) < batches:
            order = rng.permutation(units)
            found += [order[at : at + size] for at in range(0, units - size + 1, size)]
        return found[:batches]
