"""Neighbourhoods: the nearest others of every item, found once, and what they say of it.

duplicates   pairs whose distance is small
outliers     items whose mean distance to their `NEAR` nearest is large
suspects     labelled items to whose own label their labelled neighbours give a small share of the votes, another
             label winning; votes are weighed by rank, 1 / (2 + r)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semblance.geometry.nearest import GEOMETRIES, nearest
from semblance.memory.exact import scan
from semblance.memory.segments import Floats, Ints, Vectors

NEAR = 10
BLOCK = 4096
Table = tuple[NDArray[np.integer], Floats]


class Pairs(NamedTuple):
    """One pair an entry, the most extreme first: who, beside whom, and the score by which they are judged."""

    item: Ints
    other: Ints
    score: NDArray[np.float64]


def everybody(
    vectors: Vectors, geometry: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> Table:
    """[N, d] -> positions [N, k] int32 and distances [N, k] float32 of the nearest others, the nearest first."""
    count = len(vectors)
    k = min(NEAR, count - 1)
    positions, distances = np.empty((count, max(k, 0)), np.int32), np.empty((count, max(k, 0)), np.float32)
    if k < 1:
        return positions, distances
    every = np.array(vectors[:]) if geometry in GEOMETRIES else None  # a copy: torch takes no map that is read-only
    for start in range(0, count, BLOCK):
        progress(start, count)
        rows = np.arange(start, min(start + BLOCK, count))
        if every is not None:
            near, similarity = nearest(every[rows], every, k, geometry, leave_out=rows)
            far = np.clip(1 - similarity, 0, 2) if geometry == "cosine" else -similarity
        else:
            near, far = _others(*scan(vectors, None, vectors[rows], k + 1, geometry), rows, k)
        positions[rows], distances[rows] = near, far
    progress(count, count)
    return positions, distances


def _others(near: Ints, far: Floats, rows: Ints, k: int) -> Table:
    """Without the item itself; where many equals hide it, without the last."""
    itself = near == rows[:, None]
    itself[~itself.any(1), -1] = True
    return near[~itself].reshape(len(rows), k), far[~itself].reshape(len(rows), k)


def duplicates(table: Table) -> Pairs:
    """Pairs of neighbours, each once, the nearest first."""
    positions, distances = table
    item = np.repeat(np.arange(len(positions)), positions.shape[1])
    other, far = positions.reshape(-1).astype(np.int64), distances.reshape(-1).astype(np.float64)
    first, last = np.minimum(item, other), np.maximum(item, other)
    _, once = np.unique(first * len(positions) + last, return_index=True)
    order = once[np.argsort(far[once], kind="stable")]
    return Pairs(first[order], last[order], far[order])


def outliers(table: Table) -> Pairs:
    """Items and their nearest, the most distant first."""
    positions, distances = table
    if not positions.shape[1]:
        return Pairs(*(np.empty(0, np.int64),) * 2, np.empty(0))
    score = distances.astype(np.float64).mean(1)
    order = np.argsort(-score, kind="stable")
    return Pairs(order, positions[order, 0].astype(np.int64), score[order])


class Suspects(NamedTuple):
    """Items whose neighbours disagree with their label: `own` is the share of their own label among the votes, `winner`
    the code of the label that wins, `share` its share."""

    pairs: Pairs
    winner: Ints
    share: NDArray[np.float64]


def suspects(table: Table, codes: Ints, classes: int) -> Suspects:
    """codes [N]: the label of each item, -1 where it has none. The least supported label comes first."""
    positions, _ = table
    k = positions.shape[1]
    if not k or not classes:
        nobody = np.empty(0, np.int64)
        return Suspects(Pairs(nobody, nobody, np.empty(0)), nobody, np.empty(0))
    near = codes[positions]
    weight = np.where(near >= 0, 1 / (2 + np.arange(k)), 0.0)
    rows = np.flatnonzero((codes >= 0) & (weight.sum(1) > 0))
    votes = np.zeros((len(rows), classes))
    np.add.at(votes, (np.arange(len(rows))[:, None], np.maximum(near[rows], 0)), weight[rows])
    votes /= weight[rows].sum(1, keepdims=True)
    winner, own = votes.argmax(1), votes[np.arange(len(rows)), codes[rows]]
    wrong = np.flatnonzero(votes.max(1) > own)
    order = wrong[np.argsort(own[wrong], kind="stable")]
    chosen = rows[order]
    first = (near[chosen] == winner[order][:, None]).argmax(1)
    pairs = Pairs(chosen, positions[chosen, first].astype(np.int64), own[order])
    return Suspects(pairs, winner[order], votes.max(1)[order])
