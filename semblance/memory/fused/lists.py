"""Inverted lists: each row belongs to the nearest of some centres, and the rows of a list ascend.

A stretch of the rows' own order cuts each list to a stretch, found by two binary searches (Sivic & Zisserman 2003,
"Video Google", for the lists). For stretches so wide that scanning all of them would cost more than looking into few
lists. The rows of a list fill blocks of codes of their own.
"""

from __future__ import annotations

import math

import faiss
import numpy as np

from semblance.memory.fused.codes import Bytes, packed
from semblance.memory.fused.kernels import Lists
from semblance.memory.fused.shuffle import ROWS
from semblance.memory.segments import Floats, Ints

LEAST = 8_192
"""Fewer rows than this are scanned faster than lists are chosen."""
BLOCKED = 65_536
"""Rows whose nearest centre is looked for at a time."""


def make_lists(vectors: Floats, flat: bool) -> Lists:
    """Lists over rows [n, d], about 0.8 sqrt(n) of them; none over fewer than LEAST."""
    if len(vectors) < LEAST:
        whole = np.zeros(0, np.int64)
        return Lists(vectors[:0].copy(), vectors[:0, 0].copy(), whole.astype(np.int32), np.zeros(1, np.int64), whole)
    count = int(0.8 * math.sqrt(len(vectors)))
    learner = faiss.Kmeans(
        vectors.shape[1], count, niter=10, spherical=not flat, seed=1, max_points_per_centroid=100,
        min_points_per_centroid=1,
    )  # fmt: skip
    learner.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // (100 * count))]))
    centres = np.ascontiguousarray(learner.centroids, np.float32)
    bias = (centres**2).sum(1) / 2 if flat else np.zeros(count, np.float32)
    owner = nearest_centres(vectors, centres, bias)
    held = np.bincount(owner, minlength=count)
    blocks = -(-held // ROWS)
    return Lists(
        centres,
        bias.astype(np.float32),
        np.argsort(owner, kind="stable").astype(np.int32),
        np.concatenate([[0], np.cumsum(held)]).astype(np.int64),
        np.concatenate([[0], np.cumsum(blocks)[:-1]]).astype(np.int64),
    )


def nearest_centres(vectors: Floats, centres: Floats, bias: Floats) -> Ints:
    """The list [n] that each row belongs to."""
    parts = [
        (vectors[start : start + BLOCKED] @ centres.T - bias).argmax(1) for start in range(0, len(vectors), BLOCKED)
    ]
    return np.concatenate(parts)


def list_blocks(lists: Lists, codes: Bytes) -> Bytes:
    """Codes [n, pairs] of the rows -> blocks, list by list, each list from a block of its own on."""
    held = np.diff(lists.first)
    slots = np.repeat(lists.block * ROWS - lists.first[:-1], held) + np.arange(len(lists.rows))
    spread = np.zeros((int((-(-held // ROWS)).sum()) * ROWS, codes.shape[1]), np.uint8)
    spread[slots] = codes[lists.rows]
    return packed(spread)


def owners(lists: Lists) -> Ints:
    """The list [n] of each row."""
    owner = np.empty(len(lists.rows), np.int64)
    owner[lists.rows] = np.repeat(np.arange(len(lists.centres)), np.diff(lists.first))
    return owner
