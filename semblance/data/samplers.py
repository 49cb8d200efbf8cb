"""Samplers: which units stand together in a batch.

    Shuffled   every unit once, in random order
    Repeated   an epoch of another sampler, several times over where the data is small
    Balanced   so many items of so many labels: every item has companions of its label (supcon, triplets mined in batch)
    Episodes   few-shot tasks: support and query items of a few labels (prototypical networks)
    Triples    anchor, another of its label, one of another label (triplet network)
    Pairs      two items, half of the pairs of one label (siamese networks)

`epoch(units, labels, rng)` returns one array of positions per batch; a sampler remembers nothing between epochs. Units
without a label (-1) are left out wherever labels decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Shuffled:
    """Batches of `batch` units in random order. A smaller last one is dropped, unless it is the only one."""

    batch: int = 256
    drop_last: bool = True

    def __post_init__(self) -> None:
        _positive("batch", self.batch)

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        order = rng.permutation(units)
        stop = units - units % self.batch if self.drop_last and units >= self.batch else units
        return [order[start : start + self.batch] for start in range(0, stop, self.batch)]


class Sampler(Protocol):
    """What all of these do."""

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class Repeated:
    """Epochs of `sampler`, one after another, until at least `least` units were shown: a hundred items then get as many
    optimiser steps an epoch as some thousand."""

    sampler: Sampler
    least: int = 4096

    def __post_init__(self) -> None:
        _positive("least", self.least)

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        batches = self.sampler.epoch(units, labels, rng)
        while 0 < sum(map(len, batches)) < self.least:
            batches += self.sampler.epoch(units, labels, rng)
        return batches


@dataclass(frozen=True)
class Balanced:
    """Batches of `items` items of each of `labels` labels, label after label.

    An epoch has as many batches as cover the labelled units. Data with fewer labels gives all of them, a label with
    fewer items all it has. Within an epoch the items of a label come once each before any comes again.
    """

    labels: int = 8
    items: int = 32

    def __post_init__(self) -> None:
        _positive("labels", self.labels)
        _positive("items", self.items)

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        groups = _Groups(labels, units)
        ways = min(self.labels, len(groups))
        batches = max(1, int(groups.counts.sum()) // (ways * self.items))
        chosen = np.argsort(rng.random((batches, len(groups))), axis=1)[:, :ways]  # [batches, ways]
        parts: list[list[np.ndarray]] = [[] for _ in range(batches)]
        turns = [self._turns(groups.members(k), int((chosen == k).sum()), rng) for k in range(len(groups))]
        for batch, ks in enumerate(chosen):
            for k in ks:
                parts[batch].append(turns[k].pop())
        return [np.concatenate(part) for part in parts]

    def _turns(self, members: np.ndarray, wanted: int, rng: np.random.Generator) -> list[np.ndarray]:
        """`wanted` groups of one label's items, each without repetition, drawn from as few shuffles as suffice."""
        take = min(self.items, len(members))
        per = len(members) // take
        shuffles = [rng.permutation(members)[: per * take].reshape(per, take) for _ in range(-(-wanted // per))]
        return list(np.concatenate(shuffles)[:wanted][::-1]) if shuffles else []


@dataclass(frozen=True)
class Episodes:
    """Few-shot tasks: each batch holds `ways` labels with `shots` support items each, then `queries` items each.

    All support items come first, label after label, so the first `shots` occurrences of a label are its support.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15
    episodes: int = 100

    def __post_init__(self) -> None:
        for name in ("shots", "queries", "episodes"):
            _positive(name, getattr(self, name))
        if self.ways < 2:
            raise SemblanceError(f"ways is {self.ways}, but a task tells labels apart: give 2 or more")

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        groups = _Groups(labels, units)
        if self.ways > len(groups):
            raise SemblanceError(
                f"ways is {self.ways}, but the data has {len(groups)} labels: give ways={len(groups)} or fewer"
            )
        each = self.shots + self.queries
        groups.require(each, f"shots + queries is {each}", "ask for fewer")
        batches = []
        for _ in range(self.episodes):
            ks = rng.permutation(len(groups))[: self.ways]
            # Distinct items of each label: the first `each` of a random order of its members.
            keys = rng.random((self.ways, int(groups.counts[ks].max())))
            keys[np.arange(keys.shape[1]) >= groups.counts[ks][:, None]] = 2.0
            places = groups.starts[ks][:, None] + np.argsort(keys, axis=1)[:, :each]
            drawn = groups.order[places]  # [ways, shots + queries]
            batches.append(np.concatenate([drawn[:, : self.shots].ravel(), drawn[:, self.shots :].ravel()]))
        return batches


@dataclass(frozen=True)
class Triples:
    """Anchors | positives | negatives, a third of the batch each; row i of the thirds is one triple.

    `batches` per epoch; None: as many as give every labelled unit one turn as anchor on average.
    """

    batch: int = 192
    batches: int | None = None

    def __post_init__(self) -> None:
        if self.batch < 3 or self.batch % 3:
            raise SemblanceError(f"batch is {self.batch}, but it holds triples: give a multiple of 3")

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        groups, size = _Groups(labels, units), self.batch // 3
        groups.require(2, "a positive needs a second item", "label more or leave the label out")
        batches = self.batches or max(1, int(groups.counts.sum()) // size)
        anchor, k = groups.anchors((batches, size), rng)
        triples = np.concatenate([anchor, groups.same(anchor, k, rng), groups.other(k, rng)], axis=1)
        return list(groups.order[triples])


@dataclass(frozen=True)
class Pairs:
    """Firsts | seconds, half of the batch each; row i of the halves is one pair, and the first half of the pairs agrees
    in its label while the rest does not.

    `batches` per epoch; None: as many as give every labelled unit one turn as first on average.
    """

    batch: int = 128
    batches: int | None = None

    def __post_init__(self) -> None:
        if self.batch < 4 or self.batch % 4:
            raise SemblanceError(
                f"batch is {self.batch}, but it holds as many equal as unequal pairs: give a multiple of 4"
            )

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        groups, size = _Groups(labels, units), self.batch // 2
        groups.require(2, "an equal pair needs a second item", "label more or leave the label out")
        batches = self.batches or max(1, int(groups.counts.sum()) // size)
        first, k = groups.anchors((batches, size), rng)
        equal = np.arange(size) < size // 2
        second = np.where(equal, groups.same(first, k, rng), groups.other(k, rng))
        return list(groups.order[np.concatenate([first, second], axis=1)])


class _Groups:
    """The labelled units sorted by label: members of group k are order[starts[k] : starts[k] + counts[k]].

    The draws below work on places in `order`, for which "of the same label" is a range and needs no loop.
    """

    def __init__(self, labels: np.ndarray | None, units: int):
        if labels is None:
            raise SemblanceError(
                f"this sampler needs labels, but none of the {units} units has one: "
                "give --label or use a recipe without labels"
            )
        labels = np.asarray(labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise SemblanceError(
                f"this sampler needs one label per unit, but the labels are {labels.dtype} of shape {labels.shape}: "
                "choose a column of classes"
            )
        known = np.flatnonzero(labels >= 0)
        self.order = known[np.argsort(labels[known], kind="stable")]
        self.values, self.counts = np.unique(labels[known], return_counts=True)
        self.starts = np.cumsum(self.counts) - self.counts
        if len(self.values) < 2:
            held = (
                f"all {len(known)} labelled units have label {self.values[0]}"
                if len(known)
                else f"none of the {units} units has one"
            )
            raise SemblanceError(
                f"this sampler needs two labels or more, but {held}: label others or use a recipe without labels"
            )

    def __len__(self) -> int:
        return len(self.values)

    def members(self, k: int) -> np.ndarray:
        return self.order[self.starts[k] : self.starts[k] + self.counts[k]]

    def require(self, least: int, why: str, remedy: str) -> None:
        k = int(np.argmin(self.counts))
        if self.counts[k] < least:
            raise SemblanceError(
                f"label {self.values[k]} has {self.counts[k]} items, but {why}: {remedy}, or add items to it"
            )

    def anchors(self, size: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Places drawn uniformly over items, and the group of each."""
        place = rng.integers(0, len(self.order), size)
        return place, np.searchsorted(self.starts, place, side="right") - 1

    def same(self, place: np.ndarray, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another place in the same group: 1 to count - 1 steps on, around the group."""
        step = 1 + np.floor(rng.random(k.shape) * (self.counts[k] - 1)).astype(np.int64)
        return self.starts[k] + (place - self.starts[k] + step) % self.counts[k]

    def other(self, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A place outside the group: places after it are counted as if it were not there."""
        place = np.floor(rng.random(k.shape) * (len(self.order) - self.counts[k])).astype(np.int64)
        return np.where(place >= self.starts[k], place + self.counts[k], place)


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise SemblanceError(f"{name} is {value}, but it is a count: give 1 or more")
