"""Clusters by coding: groups of a doubly stochastic affinity, and the number of them that takes fewest bits.

    groups(A, k)     spectral clustering of A [n, n]
    bits(Z, A, ks)   coding length of the k groups for every k (`objectives.coding_rate.coding_length`); least: the number

Chu et al. 2023, arXiv:2306.05272; coding length: Ma et al. 2007.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from semblance.errors import SemblanceError
from semblance.objectives.coding_rate import DISTORTION, coding_length


def groups(affinity: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """[n, n] of non-negative numbers -> [n], 0 to k-1."""
    from sklearn.cluster import SpectralClustering

    n = len(affinity)
    if not 1 <= k <= n:
        raise SemblanceError(f"k is {k}, but {n} items make 1 to {n} groups")
    if k == 1:
        return np.zeros(n, np.int64)
    even = (affinity + affinity.T) / 2
    made = SpectralClustering(k, affinity="precomputed", random_state=seed, assign_labels="kmeans")
    return np.asarray(made.fit_predict(even), np.int64)


def bits(
    z: np.ndarray, affinity: np.ndarray, ks: Iterable[int], distortion: float = DISTORTION, seed: int = 0
) -> dict[int, float]:
    """Unit features [n, d] and their affinity [n, n] -> k -> bits to write the features group by group."""
    features = torch.from_numpy(np.asarray(z, np.float64))
    return {
        k: coding_length(features, torch.from_numpy(groups(affinity, k, seed)), distortion) for k in dict.fromkeys(ks)
    }


def number(lengths: dict[int, float]) -> int:
    """The number of groups that takes fewest bits."""
    if not lengths:
        raise SemblanceError("no number of groups was tried: give a range")
    return min(lengths, key=lambda k: lengths[k])
