"""Known: every batch holds some units of which something is known, however few there are.

Of 6,000 units with 120 labels a batch of 128 would hold two or three labelled ones, and a pair of one label now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.data.samplers import Shuffled
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Known:
    """Batches of `batch` units, the share `share` of which have a label, in turn; the others come once an epoch each, in
    random order. Where all units have a label, or none, or with share 0: as they come."""

    batch: int = 128
    share: float = 0.25

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 <= self.share < 1:
            raise SemblanceError(f"batch is {self.batch} and share {self.share}: give 1 or more, and 0 to below 1")

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As any sampler. A smaller last batch is dropped, unless it is the only one."""
        plain = Shuffled(self.batch)
        if labels is None or np.ndim(labels) != 1 or np.asarray(labels).dtype.kind not in "iu":
            return plain.epoch(units, None, rng)
        known = np.asarray(labels) >= 0
        each = round(self.share * self.batch)
        if known.all() or not known.any() or not each or each == self.batch:
            return plain.epoch(units, None, rng)
        others = rng.permutation(np.flatnonzero(~known))
        rest = self.batch - each
        stop = len(others) - len(others) % rest or len(others)
        batches = [others[i : i + rest] for i in range(0, stop, rest)]
        members = np.flatnonzero(known)
        rounds = -(-each * len(batches) // len(members))
        drawn = np.concatenate([rng.permutation(members) for _ in range(rounds)])
        return [np.concatenate([drawn[i * each : (i + 1) * each], batch]) for i, batch in enumerate(batches)]
