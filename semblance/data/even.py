"""Even: every label equally often, however many items it has.

The labels may be anything that says what is alike, such as the clusters of the moment: were large clusters shown as often
as they are large, a network that puts every item into one of them would be right most of the time.

Caron et al. 2018, arXiv:1807.05520 (DeepCluster's uniform sampling over clusters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Even:
    """Batches of `batch` units, an epoch as long as the data. Items of a small label come several times, in turn; items of
    a large one stay out, others each epoch. Units without a label (-1) are left out."""

    batch: int = 256

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise SemblanceError(f"batch is {self.batch}, but it is a count: give 1 or more")

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As any sampler. A smaller last batch is dropped, unless it is the only one."""
        if labels is None or not (np.asarray(labels) >= 0).any():
            raise SemblanceError(f"labels are shown equally often, but none of the {units} units has one")
        order = rng.permutation(np.flatnonzero(np.asarray(labels) >= 0))
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
        _, start, count = np.unique(np.asarray(labels)[order], return_index=True, return_counts=True)
        each = -(-len(order) // len(start))
        turn = np.arange(each) % count[:, None]  # [labels, each], around the members of each label
        shown = rng.permutation(order[start[:, None] + turn].ravel())[: len(order)]
        stop = len(shown) - len(shown) % self.batch or len(shown)
        return [shown[i : i + self.batch] for i in range(0, stop, self.batch)]
