"""Hubness: in many dimensions a few items are among the nearest of very many others, and most are nobody's neighbour.

    N_k(x)     how often x is among the k nearest of the other items
    hubness    skewness of N_k: mean((N_k - k)^3) / deviation^3; near 0 where neighbours are shared out evenly

Radovanovic, Nanopoulos, Ivanovic 2010, Hubs in space: popular nearest neighbors in high-dimensional data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.memory import scan
from semblance.reports import TableReport

MOST = 2000
"""Items that are asked, drawn by the seed where there are more."""


def hubness(space: Any, k: int = 10, seed: int = 0) -> TableReport:
    """How unevenly the items of a space are each other's neighbours."""
    items = len(space)
    if not 1 <= k < items:
        raise SemblanceError(f"k is {k} and the space has {items} items: give 1 to {items - 1}")
    asked = np.sort(np.random.default_rng(seed).permutation(items)[:MOST])
    z = space.vectors
    near, _ = scan(z, None, z[asked], k + 1, space.geometry)
    own = near == asked[:, None]
    own[~own.any(1), -1] = True  # where copies push an item out of its own neighbours, the farthest one goes
    counts = np.bincount(near[~own], minlength=items)
    mean, deviation = counts.mean(), counts.std()
    skew = float(((counts - mean) ** 3).mean() / deviation**3) if deviation else 0.0
    most, nobody = int(counts.argmax()), float((counts == 0).mean())
    times, how_many = np.unique(counts, return_counts=True)
    return TableReport(
        title="Hubness",
        verdict=f"hubness {skew:.2f}: {100 * nobody:.0f}% of the items are among nobody's {k} nearest, and item "
        f"{space.ids[most]!r} is among those of {100 * counts[most] / len(asked):.1f}% of the items",
        rows=tuple({"times": int(t), "items": int(n)} for t, n in zip(times, how_many, strict=True)),
        x="times",
        lines=("items",),
    )
