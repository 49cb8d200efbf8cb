"""Faithfulness: whether a similarity (or a score) falls with the parts that an explanation names.

    deletion   the strongest parts go first: value over the share of parts that is gone; a small area is good
    insertion  from nothing, the strongest parts come first: a large area is good
    random     the same in random orders; what comes first by chance is an order read from its end, so one path tells both

`value` is a function of which parts are kept, [n, P] bool -> [n]: it may run a network, or look anything up. Areas are
means over the path by the trapezoid rule, in the value's own unit. References: Samek et al. 2017 (pixel flipping); Petsiuk
et al. 2018, arXiv:1806.07421 (deletion and insertion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from semblance.errors import SemblanceError

STEPS, ORDERS = 8, 4
Value = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Curve:
    """share: [S + 1] of parts gone (or come), 0 to 1. deletion, insertion: [S + 1]. random: [orders, S + 1], deletions in
    random orders."""

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray

    @property
    def deletion_area(self) -> float:
        """Mean value while the strongest go first."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """Mean value while the strongest come first."""
        return _area(self.insertion)

    @property
    def random_deletion_area(self) -> float:
        """Mean over random orders."""
        return _area(self.random.mean(0))

    @property
    def random_insertion_area(self) -> float:
        """The same number: a random order read backwards is a random order."""
        return self.random_deletion_area

    @property
    def faithful(self) -> bool:
        """Whether the value falls faster than in every random order, and rises faster than in their mean."""
        fastest = min(_area(path) for path in self.random)
        return self.deletion_area < fastest and self.insertion_area > self.random_insertion_area

    def to_dict(self) -> dict[str, Any]:
        """{share, deletion, insertion, random, areas: {deletion, insertion, random}, faithful}."""
        areas = {
            "deletion": self.deletion_area,
            "insertion": self.insertion_area,
            "random": self.random_deletion_area,
        }
        return {
            "share": self.share.tolist(),
            "deletion": self.deletion.tolist(),
            "insertion": self.insertion.tolist(),
            "random": self.random.mean(0).tolist(),
            "areas": areas,
            "faithful": self.faithful,
        }


def curve(value: Value, share: np.ndarray, seed: int = 0, steps: int = STEPS, orders: int = ORDERS) -> Curve:
    """share [P] -> what becomes of `value` as parts go by it. Calls `value` once, with all sets of kept parts."""
    count = len(share)
    if count < 2:
        raise SemblanceError(f"{count} part(s) have no order to go in: give two or more, or ask for no curve")
    steps = min(steps, count)
    sizes = np.round(np.linspace(0, count, steps + 1)).astype(int)  # parts gone
    rng = np.random.default_rng([seed, count])
    strongest = np.argsort(-share, kind="stable")  # what lowers the value is the last to go
    paths = [strongest, strongest[::-1], *(rng.permutation(count) for _ in range(orders))]
    kept = np.ones((len(paths), steps + 1, count), bool)
    for path, order in zip(kept, paths, strict=True):
        for row, size in zip(path, sizes, strict=True):
            row[order[:size]] = False
    flat, back = np.unique(kept.reshape(-1, count), axis=0, return_inverse=True)
    found = np.asarray(value(flat), np.float64)[back.reshape(-1)].reshape(len(paths), steps + 1)
    return Curve(sizes / count, found[0], found[1][::-1], found[2:])


def _area(path: np.ndarray) -> float:
    return float((path[1:] + path[:-1]).mean() / 2)
