"""How well points keep the distances that they stand for. Both are matrices [V, V]; what is not known is inf or nan.

    average distortion   mean |d(x_i, x_j) / d_ij - 1|
    worst distortion     greatest stretch / least stretch,  stretch = d(x_i, x_j) / d_ij
    MAP                  mean over nodes, then over a node's neighbours n, of the share of neighbours among all that are as
                         near in the embedding as n

Points at no distance from each other, whatever they stand for, make the worst distortion inf.
Reference: Sala et al. 2018, arXiv:1804.03329, section 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError

Array = NDArray[Any]


def stretches(embedded: Array, given: Array) -> NDArray[np.float64]:
    """d(x_i, x_j) / d_ij of all pairs i < j whose distance is known."""
    upper = np.triu_indices(len(given), 1)
    known = np.isfinite(given[upper])
    if not known.any():
        raise SemblanceError(f"of {len(given)} points no distance is known: give at least one")
    return np.asarray(embedded[upper][known] / given[upper][known], np.float64)


def average_distortion(stretch: Array) -> float:
    """Of stretches [m]."""
    return float(np.abs(stretch - 1).mean())


def worst_distortion(stretch: Array) -> float:
    """Of stretches [m]; inf where one is 0."""
    least = float(stretch.min())
    return float(stretch.max()) / least if least > 0 else math.inf


def best_scale(stretch: Array) -> float:
    """The factor on all stretches that makes the average distortion least: a median of 1 / stretch, weighted by it."""
    order = np.argsort(-stretch)
    held = stretch[order]
    place = int(np.searchsorted(np.cumsum(held), held.sum() / 2))
    return float(1 / held[place]) if held[place] > 0 else 1.0


def mean_average_precision(embedded: Array, neighbours: Any, own: Array | None = None) -> float:
    """embedded [n, V], neighbours SciPy CSR [n, V], a stored value for each; own: which column a row itself is
    (None: that of its number). Rows without neighbours are left out."""
    own = np.arange(len(embedded)) if own is None else own
    found = []
    for row, itself, near in zip(embedded, own, np.split(neighbours.indices, neighbours.indptr[1:-1]), strict=True):
        near = near[near != itself]
        if not len(near):
            continue
        mine = np.sort(row[near])
        # Ties count as nearer, on either side.
        within = np.searchsorted(np.sort(np.delete(row, itself)), mine, side="right")
        found.append(float((np.searchsorted(mine, mine, side="right") / within).mean()))
    if not found:
        raise SemblanceError("no node has a neighbour: the mean over neighbours has no value")
    return float(np.mean(found))
