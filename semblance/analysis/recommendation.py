"""Recommendation: are the items that a user turns to next among those that the embeddings put first?

    score(user, item) = z_user . z_item,   items already seen are left out,   the best N are recommended
    precisionN, recallN   hits / N, hits / held out         f1N   their harmonic mean
    ndcgN                 sum over hits of 1 / log2(1 + place), over the best possible sum

Every measure is a user's; its mean is over the users who have something held out.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from semblance.errors import SemblanceError

BLOCK = 1 << 22  # scores held at a time


def top_items(
    user_z: np.ndarray, item_z: np.ndarray, seen: sparse.csr_array, n: int, users: np.ndarray | None = None
) -> np.ndarray:
    """[users, n]: the unseen items of highest product, best first; ties by number. `seen` is [U, I]. Where fewer than n are
    unseen, -1 fills up."""
    asked = np.arange(len(user_z)) if users is None else users
    n = min(n, item_z.shape[0])
    best = np.empty((len(asked), n), np.int64)
    size = max(1, BLOCK // max(1, len(item_z)))
    for start in range(0, len(asked), size):
        some = asked[start : start + size]
        scores = user_z[some] @ item_z.T
        own = seen[some].tocoo()
        scores[own.row, own.col] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        left = np.take_along_axis(scores, order, 1) > -np.inf
        best[start : start + size] = np.where(left, order, -1)
    return best


def recommendation_measures(
    best: np.ndarray, held_out: sparse.csr_array, ns: tuple[int, ...] = (1, 10, 20)
) -> dict[str, np.ndarray]:
    """best [users, n] items (-1: none), held_out [users, I] -> measure -> [users with something held out]."""
    asked = np.diff(held_out.indptr) > 0
    if not asked.any():
        raise SemblanceError("no user has an interaction held out: hold out a larger share")
    best, held_out = best[asked], held_out[asked]
    known = np.diff(held_out.indptr)
    user = np.arange(len(best))[:, None]
    hits = np.asarray(held_out[user, np.maximum(best, 0)].todense() > 0) & (best >= 0)
    gain = 1 / np.log2(np.arange(2, best.shape[1] + 2))
    found = {}
    for n in ns:
        right = hits[:, :n]
        precision, recall = right.sum(1) / n, right.sum(1) / known
        ideal = np.concatenate([[0], np.cumsum(gain[:n])])[np.minimum(known, len(gain[:n]))]
        found[f"precision{n}"], found[f"recall{n}"] = precision, recall
        found[f"f1_{n}"] = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        found[f"ndcg{n}"] = (right * gain[:n]).sum(1) / ideal
    return found
