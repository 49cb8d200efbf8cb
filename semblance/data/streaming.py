"""Streaming: batches from data that is read in stretches, mixed within what is open at a time.

Units stand on disk one after another. Reading them all in random order moves across the whole file for every unit;
here stretches of `stretch` consecutive units come in random order, `open` of them are held at a time, and batches draw
from those at random. Every unit comes once an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Streaming:
    """Batches of `batch` units; a smaller last one is dropped, unless it is the only one."""

    batch: int = 256
    stretch: int = 1024
    open: int = 8

    def __post_init__(self) -> None:
        for name in ("batch", "stretch", "open"):
            if getattr(self, name) < 1:
                raise SemblanceError(f"{name} is {getattr(self, name)}, but it is a count: give 1 or more")

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As any sampler."""
        order = self.order(units, rng)
        stop = units - units % self.batch if units >= self.batch else units
        return [order[first : first + self.batch] for first in range(0, stop, self.batch)]

    def order(self, units: int, rng: np.random.Generator) -> np.ndarray:
        """[units]: a reservoir of `open` stretches, from which a unit is drawn for each one that is read."""
        starts = rng.permutation(-(-units // self.stretch)) * self.stretch
        read = np.concatenate([np.arange(s, min(s + self.stretch, units)) for s in starts]) if units else starts
        window = self.stretch * self.open
        # A unit read at place i leaves at the rank of i + window u: at most a window later than others of its time.
        return read[np.argsort(np.arange(units) + window * rng.random(units), kind="stable")]
