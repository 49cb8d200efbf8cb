"""Scores that need no learning: each is called with a data set and gives a number a unit, more being better.

Rules    what fits all of some bounds has 1, and 0 otherwise: words in the caption, the smaller side, how plain it is
Drawn    chance, which every filter has to beat
Mean     several scores as one: an ensemble of filters
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semblance.data.dataset import ArrayDataset
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Rules:
    """words: fewest and most in a caption (or in a text). side: pixels that the smaller side of the file has at least.
    contrast: the least deviation of a picture's values in 0..1 (0.02: nearly one colour)."""

    words: tuple[int, int] | None = None
    side: int = 0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if self.words is None and not self.side and not self.contrast:
            raise SemblanceError("rules without a rule keep everything: give words, side or contrast")

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n] of 0 and 1."""
        fits = np.ones(len(dataset), bool)
        if self.words is not None:
            texts = dataset.captions if dataset.domain == "images" else dataset.x
            if texts is None or dataset.domain == "vectors":
                raise SemblanceError("words are counted in captions and texts, and the data has none: leave words out")
            counts = np.array([len(str(text).split()) for text in getattr(texts, "texts", texts)])
            fits &= (counts >= self.words[0]) & (counts <= self.words[1])
        if self.side:
            known = set(dataset.attributes.column_names)
            sides = [dataset.attributes.column(name).to_numpy() for name in ("width", "height") if name in known]
            fits &= np.minimum(*sides) >= self.side if len(sides) == 2 else min(dataset.x.shape[2:]) >= self.side
        if self.contrast:
            fits &= dataset.raw(np.arange(len(dataset))).std(1) >= self.contrast
        return fits.astype(np.float64)


@dataclass(frozen=True)
class Drawn:
    """The same number for a unit of the same id, whatever stands around it."""

    seed: int = 0

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n] uniform in 0..1."""
        keyed = (hashlib.blake2b(f"{self.seed} {name}".encode(), digest_size=8).digest() for name in dataset.ids)
        return np.array([int.from_bytes(key, "big") / 2**64 for key in keyed])


class Mean:
    """The mean of several scores."""

    def __init__(self, *by: Callable[[ArrayDataset], np.ndarray]):
        if not by:
            raise SemblanceError("the mean of no scores is none: give one or more")
        self.by = by

    def __call__(self, dataset: ArrayDataset) -> np.ndarray:
        """[n]"""
        return np.mean([np.asarray(each(dataset), np.float64) for each in self.by], axis=0)

    def __repr__(self) -> str:
        return f"Mean{self.by!r}"
