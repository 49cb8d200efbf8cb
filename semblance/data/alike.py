"""Batches of places that look alike: hard negatives without a search in every batch.

A place is a label; each has a short vector, its proxy, the mean of what an encoder said of it the last time round. An epoch
draws a place that was not used yet, its nearest unused ones besides, and some items of each, until all places are used:
every place stands in exactly one batch. Before there are proxies (first epoch) places are drawn at random.

    cost    places^2 * width / (2 batch) multiplications, in one product a batch; nothing of size places x places

Ali-bey et al. 2022, arXiv:2302.14217 (global proxy-based hard mining).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semblance.errors import SemblanceError

Proxies = Callable[
    [], "tuple[np.ndarray, np.ndarray] | None"
]  # labels [P] and their vectors [P, d], once there are some


@dataclass(frozen=True)
class Alike:
    """`items` items of each of `places` places a batch; `proxies` None: places at random throughout.

    Places with fewer items give all they have; those with one are left out, since they have no positive.
    """

    places: int = 16
    items: int = 4
    proxies: Proxies | None = None

    def __post_init__(self) -> None:
        for name in ("places", "items"):
            if getattr(self, name) < 2:
                raise SemblanceError(
                    f"{name} is {getattr(self, name)}, but likes and unlikes are compared: give 2 or more"
                )

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As any sampler."""
        if labels is None:
            raise SemblanceError(f"places are labels, but none of the {units} units has one: give --label")
        labels = np.asarray(labels)
        values, counts = np.unique(labels[labels >= 0], return_counts=True)
        values = values[counts > 1]
        if len(values) < 2:
            raise SemblanceError(f"{len(values)} labels have two items or more: label others, or leave labels out")
        order = np.argsort(labels, kind="stable")
        start = np.searchsorted(labels[order], values)
        stop = np.searchsorted(labels[order], values, side="right")
        batches = []
        for chosen in groups(len(values), min(self.places, len(values)), self._vectors(values), rng):
            members = [rng.permutation(order[start[k] : stop[k]])[: self.items] for k in chosen]
            batches.append(np.concatenate(members))
        return batches

    def _vectors(self, values: np.ndarray) -> np.ndarray | None:
        """[P, d] unit vectors in the order of these labels, or None while one is missing."""
        known = None if self.proxies is None else self.proxies()
        if known is None or not np.isin(values, known[0]).all():
            return None
        rows = np.argsort(known[0], kind="stable")
        vectors = np.asarray(known[1], np.float32)[rows[np.searchsorted(known[0][rows], values)]]
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def groups(count: int, size: int, vectors: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
    """0..count-1 as groups of `size`, each a random unused one with those unused ones whose vectors are nearest to its;
    what is left over at the end joins the last group where it is one alone."""
    order = rng.permutation(count)
    if vectors is None:
        found = [order[first : first + size] for first in range(0, count, size)]
    else:
        unused, found = np.ones(count, bool), []
        for first in order:
            if not unused[first]:
                continue
            free = np.flatnonzero(unused)
            near = vectors[free] @ vectors[first]
            near[np.searchsorted(free, first)] = np.inf  # itself first
            take = min(size, len(free))
            chosen = free[np.argpartition(-near, take - 1)[:take]]
            unused[chosen] = False
            found.append(chosen)
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [np.concatenate(found[-2:])]
    return found
