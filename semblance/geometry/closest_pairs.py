"""The closest pairs among N items: of all N (N - 1) / 2, in blocks of rows, never all at once."""

from __future__ import annotations

import numpy as np

from semblance.errors import SemblanceError

BLOCK = 1024
"""Rows whose products stand in memory at a time."""


def closest_pairs(z: np.ndarray, k: int = 1, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [N, d] -> the k pairs of largest cosine as positions [k, 2], i < j, and their cosines [k], largest first.

    k may be more than there are pairs: then all of them. Among equals the one of lower positions comes first.
    """
    if k < 1:
        raise SemblanceError(f"k is {k}: ask for one pair or more")
    z = np.asarray(z, np.float32)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    unit = z / np.where(length > 0, length, 1)
    pairs, cosines = np.empty((0, 2), np.int64), np.empty(0, np.float32)
    for start in range(0, len(z), block):
        rows = unit[start : start + block] @ unit[start:].T  # the columns before are pairs that have been seen
        rows[np.tri(*rows.shape, dtype=np.bool_)] = -np.inf
        near = np.argpartition(-rows, min(k, rows.size) - 1, axis=None)[:k]
        i, j = np.unravel_index(near, rows.shape)
        kept = np.isfinite(rows[i, j])
        pairs = np.concatenate([pairs, np.stack([i[kept], j[kept]], axis=1) + start])
        cosines = np.concatenate([cosines, rows[i, j][kept]])
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))[:k]
        pairs, cosines = pairs[order], cosines[order]
    return pairs, cosines
