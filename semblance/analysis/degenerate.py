"""Degenerate: whether an embedding has lost what an embedding is for, in one line with the usual remedy.

    one direction    all items point nearly the same way (`learning.watch`), or all are equal
    duplicates       many items have the embedding of another, to the last digit that float32 keeps
    few directions   effective rank (uniformity.py) far below the numbers of an embedding
    classes only     within-class variability (collapse.py) near 0: the label is left, and nearly nothing else

The first that holds is said, from the gravest on. An embedding of few numbers, or of few items, is not blamed for its rank.
"""

from __future__ import annotations

import numpy as np
import torch

from semblance.analysis.collapse import COLLAPSED, class_means, variability
from semblance.analysis.uniformity import effective_rank
from semblance.learning import watch

MOST = 10_000  # items that are looked at; a sample above
SAME = 0.05
"""Share of items that may be another's double, as pictures that were taken twice are."""
FEW = 0.1
"""Share of the numbers of an embedding, below which its effective rank is far below them."""


def degenerate(
    z: np.ndarray, y: np.ndarray | None = None, rank: float | None = None, geometry: str = "cosine", seed: int = 0
) -> str | None:
    """Embeddings [N, d], classes int [N] (-1: none) where there are any, the effective rank where it is known -> the
    line, or None for a healthy embedding."""
    if len(z) < 3:
        return None
    if len(z) > MOST:
        some = np.sort(np.random.default_rng(seed).choice(len(z), MOST, replace=False))
        z, y = z[some], None if y is None else y[some]
    rank = effective_rank(z) if rank is None else rank
    return _one_direction(z, rank, geometry) or _duplicates(z) or _of_classes(z, y, rank) or _few_directions(z, rank)


def _one_direction(z: np.ndarray, rank: float, geometry: str) -> str | None:
    if np.ptp(z, 0).max() <= 1e-6 * np.abs(z).max():
        return f"collapse: all {len(z):,} embeddings are equal; usual remedies: {REMEDIES['one']}"
    if geometry != "cosine":  # where lengths count, a common direction is no loss
        return None
    found = watch.spread(torch.from_numpy(np.ascontiguousarray(z)))
    if found["spread"] >= watch.COLLAPSED_SPREAD:  # few directions are judged below, by how many there could be
        return None
    return watch.warning({**found, "effective_rank": rank})


def _duplicates(z: np.ndarray) -> str | None:
    _, at, counts = np.unique(z.astype(np.float32).round(6), axis=0, return_inverse=True, return_counts=True)
    share = float((counts[at.reshape(-1)] > 1).mean())
    if share <= SAME:
        return None
    return (
        f"duplicates: {share:.0%} of the items have the embedding of another, so that a search cannot tell them apart; "
        f"usual remedies: {REMEDIES['duplicates']}"
    )


def _of_classes(z: np.ndarray, y: np.ndarray | None, rank: float) -> str | None:
    if y is None:
        return None
    known = y >= 0
    classes = len(np.unique(y[known]))
    if classes < 2 or known.sum() < 3 * classes:
        return None
    within = variability(class_means(z[known], y[known]))
    if within >= COLLAPSED:
        return None
    return (
        f"classes only: items of a class have nearly one embedding (within-class variability {within:.3f}, effective rank "
        f"{rank:.1f} for {classes} classes), which tells classes and little else; usual remedies: {REMEDIES['classes']}"
    )


def _few_directions(z: np.ndarray, rank: float) -> str | None:
    most = min(z.shape[1], len(z) - 1)
    if rank >= 1 + FEW * (most - 1):
        return None
    still = int((z.std(0) <= 1e-6 * np.abs(z).max()).sum())
    constant = f", {still} are constant" if still else ""
    return (
        f"few directions: {z.shape[1]} numbers of an embedding are used as if they were {rank:.1f} (effective rank)"
        f"{constant}; usual remedies: {REMEDIES['rank']}"
    )


REMEDIES = {
    "one": "a lower learning rate, stop-gradient and predictor kept, or an objective with negatives (simclr)",
    "duplicates": "leave items out that are copies, train longer, or take more numbers (dim)",
    "classes": "fewer epochs, or a method without labels (simclr), where more than the class is asked for",
    "rank": "fewer numbers (dim), weight decay off, or an objective that keeps numbers apart (decorrelation)",
}
