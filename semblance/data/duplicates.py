"""Duplicates: items so alike that they are one, found before anybody is asked to label them.

Two items are the same where their cosine is at least `similarity`; what is the same as the same is the same. The first of
each group stays. Only the `k` nearest of each item are looked at, so groups are chained through near copies.
"""

from __future__ import annotations

import numpy as np

from semblance.errors import SemblanceError
from semblance.geometry.nearest import nearest


def groups(z: np.ndarray, similarity: float = 0.999, k: int = 10) -> np.ndarray:
    """Vectors [N, d] -> [N], the position of the first item of each item's group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not -1 < similarity <= 1:
        raise SemblanceError(f"similarity is {similarity}, but it is a cosine: give a number up to 1, 0.999 is usual")
    n = len(z)
    if n < 2:
        return np.arange(n)
    found, cosine = nearest(z, z, min(k, n - 1), leave_out="self")
    item, place = np.nonzero(cosine >= similarity - 1e-6)
    pairs = coo_array((np.ones(len(item), bool), (item, found[item, place])), shape=(n, n))
    _, group = connected_components(pairs, directed=False)
    _, first = np.unique(group, return_index=True)
    return first[group]


def without_duplicates(z: np.ndarray, similarity: float = 0.999, k: int = 10) -> np.ndarray:
    """Vectors [N, d] -> positions of the items that stay, ascending."""
    return np.unique(groups(z, similarity, k))
