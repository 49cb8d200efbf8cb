"""Judged: pairs of units of which somebody said how alike they are, and batches of them.

    a man is eating | a man eats    4.8 of 5        a score
    dogs run        | it rains      not equal       a class

The units are what gets an embedding; a pair is two of their positions and what was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semblance.contracts import Batch
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Judged:
    """first, second: int64 [P] positions of units. said: float64 [P], NaN where nothing is known; or int64 [P] with -1,
    and then `classes` names them. splits: positions in these pairs."""

    first: np.ndarray
    second: np.ndarray
    said: np.ndarray
    classes: tuple[str, ...] = ()
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def scored(self) -> bool:
        """Whether numbers were said."""
        return self.said.dtype.kind == "f"

    def part(self, name: str) -> Judged:
        """The pairs of a split."""
        rows = self.splits[name]
        return Judged(self.first[rows], self.second[rows], self.said[rows], self.classes)

    def among(self, position: np.ndarray) -> Judged | None:
        """The pairs of the units that stay: `position` [N] says where each unit goes, -1 where it goes away. None where
        no pair stays."""
        first, second = position[self.first], position[self.second]
        stays = (first >= 0) & (second >= 0)
        where = np.cumsum(stays) - 1
        splits = {name: where[rows[stays[rows]]] for name, rows in self.splits.items()}
        return Judged(first[stays], second[stays], self.said[stays], self.classes, splits) if stays.any() else None


@dataclass(frozen=True)
class GivenPairs:
    """Batches of pairs: firsts | seconds, half of the batch each, with what was said of each pair as `said` [batch / 2].

    Pairs of texts of like lengths stand together, so that little is padded: of `pool` batches at a time they are sorted by
    length. A smaller last batch is dropped, unless it is the only one.
    """

    batch: int = 128
    pool: int = 16

    def __post_init__(self) -> None:
        if self.batch < 2 or self.batch % 2:
            raise SemblanceError(f"batch is {self.batch}, but it holds pairs: give an even number")

    def bind(self, dataset: Any, rows: np.ndarray) -> _Bound:
        """The sampler of this dataset's pairs within `rows`."""
        if getattr(dataset, "pairs", None) is None:
            raise SemblanceError("this recipe learns from pairs of texts that were judged, and the data has none")
        position = np.full(len(dataset), -1)
        position[rows] = np.arange(len(rows))
        pairs = dataset.pairs.part("train").among(position)
        if pairs is None:
            raise SemblanceError("no pair of the training part was judged: give one at least")
        lengths = dataset.x.lengths[rows] if hasattr(dataset.x, "lengths") else np.ones(len(rows), np.int64)
        return _Bound(self, pairs, rows, lengths)


class _Bound:
    """The pairs among `rows`, by positions within them."""

    def __init__(self, sampler: GivenPairs, pairs: Judged, rows: np.ndarray, lengths: np.ndarray):
        self.sampler, self.pairs, self.rows = sampler, pairs, rows
        self.length = np.maximum(lengths[pairs.first], lengths[pairs.second])
        key = pairs.first * len(rows) + pairs.second
        self.order = np.argsort(key, kind="stable")
        self.key = key[self.order]
        self.place = np.full(int(rows.max()) + 1, -1)
        self.place[rows] = np.arange(len(rows))

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions within the rows, firsts before seconds, one array a batch."""
        size, pairs = self.sampler.batch // 2, self.pairs
        order = rng.permutation(len(pairs))
        stop = len(order) - len(order) % size or len(order)
        order = order[:stop]
        for start in range(0, stop, size * self.sampler.pool):
            pool = order[start : start + size * self.sampler.pool]
            order[start : start + len(pool)] = pool[np.argsort(self.length[pool], kind="stable")]
        batches = [order[start : start + size] for start in range(0, stop, size)]
        batches = [batches[k] for k in rng.permutation(len(batches))]
        return [np.concatenate([pairs.first[b], pairs.second[b]]) for b in batches]

    def read(self, dataset: Any, units: np.ndarray, rng: np.random.Generator) -> Batch:
        """The units with `said`, one number for each pair; what is no pair of the training part is not known (NaN, -1)."""
        batch: Batch = dataset.read(units)
        first, second = np.array_split(self.place[units], 2) if len(units) % 2 == 0 else (self.place[:0],) * 2
        wanted = first * len(self.rows) + second
        at = np.minimum(np.searchsorted(self.key, wanted), len(self.key) - 1)
        unknown = np.nan if self.pairs.scored else -1
        batch["said"] = np.where(self.key[at] == wanted, self.pairs.said[self.order[at]], unknown)
        return batch
