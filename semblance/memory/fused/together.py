"""Together: one search over several parts and the rows that no part holds yet.

Each part answers in its own way; rows not indexed yet, which are few, are measured. The best of all answers are the
answer, and it says how many rows matched, what was done and which recall that was planned for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semblance.memory.conditions import Condition
from semblance.memory.fused.codes import padded
from semblance.memory.fused.part import Part
from semblance.memory.fused.planner import SHARES, share_at_least
from semblance.memory.masks import Column, true_rows
from semblance.memory.segments import Floats, Ints

Alive = NDArray[np.bool_]


class Tail(NamedTuple):
    """Rows that no part holds: keys [t], prepared vectors [t, d], their attributes."""

    keys: Ints
    vectors: Floats
    columns: Mapping[str, Column]


class Found(NamedTuple):
    """Keys [Q, m] and scores [Q, m], best first, -1 and -inf where there are no more; rows that matched; what was done.

    A score is an inner product, and in flat space minus half the square of the distance."""

    keys: Ints
    scores: Floats
    matches: int
    recall: float
    plan: str


def search(
    parts: Sequence[tuple[Part, Alive | None]], tail: Tail, queries: Floats, count: int, condition: Condition | None,
    recall: float, flat: bool,
) -> Found:  # fmt: skip
    """The `count` best for each of the prepared queries [Q, d] among the rows for which the condition is true."""
    share = share_at_least(recall)
    keys, scores, plans, matches, least = [], [], [], 0, 1.0
    for part, alive in parts:
        window = part.window(condition, alive)
        if not window.matches:
            continue
        step = part.step(window, count, share)
        best, places, found = part.search(padded(queries, part.width), min(count, window.matches), window, step)
        missing = np.arange(best.shape[1]) >= found[:, None]
        keys.append(np.where(missing, -1, part.keys[np.where(missing, 0, places)]))
        scores.append(np.where(missing, -np.inf, best))
        matches += window.matches
        least = min(least, SHARES[share] if step.depth else 1.0)
        where = window.order or "all"
        plans.append(f"{step} ({window.matches:,} of {len(part):,} rows by {where})")
    if len(tail.keys):
        allowed = np.ones(len(tail.keys), np.bool_) if condition is None else true_rows(condition, tail.columns)
        rows = np.flatnonzero(allowed)
        if len(rows):
            vectors = tail.vectors[rows]
            near = (
                queries @ vectors.T
                if not flat
                else _flat_scores(queries.astype(np.float64), vectors.astype(np.float64))
            )
            top = np.argsort(-near, axis=1, kind="stable")[:, :count]
            keys.append(tail.keys[rows[top]])
            scores.append(np.take_along_axis(near, top, 1))
            matches += len(rows)
            plans.append(f"exact scan ({len(rows):,} rows not indexed yet)")
    if not keys:
        return Found(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32), 0, 1.0, "no match")
    if len(keys) == 1:
        return Found(keys[0], scores[0].astype(np.float32), matches, least, plans[0])
    key, score = np.concatenate(keys, 1), np.concatenate(scores, 1)
    top = np.argsort(-score, axis=1, kind="stable")[:, :count]
    return Found(
        np.take_along_axis(key, top, 1),
        np.take_along_axis(score, top, 1).astype(np.float32),
        matches,
        least,
        "; ".join(plans),
    )


def _flat_scores(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """[Q, t], in float64, since squares are taken from one another."""
    lengths = [np.einsum("nd,nd->n", x, x) / 2 for x in (queries, vectors)]
    scores: np.ndarray = np.minimum(queries @ vectors.T - lengths[0][:, None] - lengths[1], 0)
    return scores
