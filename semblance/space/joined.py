"""Joined: what several shards found, as the answer of one space that holds the items of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from semblance.memory import shards as memory
from semblance.memory.indexed import Near
from semblance.space.space import Results


@dataclass(frozen=True)
class Found(Results):
    """The answer of several shards to one query: as a space's, every result with the name of its `space`. `lost` says of
    each shard that did not answer why not; `matches` and `recall` are those of the others."""

    lost: Mapping[str, str] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether a shard did not answer."""
        return bool(self.lost)

    def to_dict(self) -> dict[str, Any]:
        """As `semblance search --json` prints it."""
        lost = [{"space": name, "reason": reason} for name, reason in self.lost.items()]
        return {**super().to_dict(), "partial": self.partial, "lost": lost}


class Query(NamedTuple):
    """A vector [d], and the shard and position of the item that asks, where one does."""

    vector: np.ndarray
    shard: str | None = None
    position: int = -1


class Joined(NamedTuple):
    """The nearest of all shards to each query: [Q, m] the shard's number, the position in it, the distance (inf where
    there are no more); and the positions wanted of each shard."""

    shard: np.ndarray
    position: np.ndarray
    distance: np.ndarray
    wanted: dict[str, np.ndarray]


def joined(answers: Mapping[str, Near], queries: Sequence[Query], k: int) -> Joined:
    """The answers of the shards as one, an item that asks left out."""
    numbers = {name: number for number, name in enumerate(answers)}
    asker = np.array([numbers.get(query.shard or "", -1) for query in queries])
    itself = np.array([query.position for query in queries])
    distances, positions = [], []
    for number, near in enumerate(answers.values()):
        position, distance = memory.level(near.positions, -1), memory.level(near.distances, np.inf)
        own = np.flatnonzero(asker == number)
        if len(own):
            distance = distance.copy()
            distance[own] = np.where(position[own] == itself[own, None], np.float32(np.inf), distance[own])
        distances.append(distance)
        positions.append(position)
    best = memory.merge(distances, k)
    starts = np.cumsum([0, *(part.shape[1] for part in positions)])
    at = np.take_along_axis(np.concatenate(positions, axis=1), starts[best.shard] + best.place, axis=1)
    there = np.isfinite(best.distance)
    wanted = {name: np.unique(at[there & (best.shard == number)]) for name, number in numbers.items()}
    return Joined(best.shard, at, best.distance, {name: rows for name, rows in wanted.items() if len(rows)})


def told_plan(names: Sequence[str], nears: Sequence[Near], total: int) -> str:
    """Who answered, and what the first of them did."""
    told = "; ".join(f"{name}: {near.plan}" for name, near in zip(names[:3], nears, strict=False))
    return f"{len(names)} of {total} shards; {told}{'; ...' if len(names) > 3 else ''}"
