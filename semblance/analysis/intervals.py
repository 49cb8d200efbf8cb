"""Intervals: how sure a mean is, and whether one row of a table is really above another.

    bootstrap_mean   draw the units again, with replacement, many times; the middle 95% of the means
    compare_rows     the same for differences of two rows measured on the same units, for every pair of rows, with p values
                     corrected after Holm (1979): the smallest times the number of pairs, the next times one fewer, ...

Scores are [units], or [draws, units] where a measurement was repeated (seeds, few-shot draws): then draws and units are
both drawn again, so the interval covers the chance of either. Drawing n units again is a multinomial draw over the distinct
scores, of which accuracies have few: the cost does not grow with n.

References: Efron & Tibshirani 1993; Holm 1979.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from semblance.errors import SemblanceError

DRAWS = 2000
LEVEL = 0.95
BLOCK = 2**22  # numbers held at a time while drawing


def means_again(scores: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """[units] or [repeats, units] -> [draws] means of the scores drawn again."""
    if scores.ndim == 1:
        distinct, count = np.unique(scores, return_counts=True)
        n = len(scores)
        if len(distinct) <= max(64, n // 16):
            return rng.multinomial(n, count / n, size=draws) @ distinct / n
        block = max(1, BLOCK // n)
        parts = [scores[rng.integers(n, size=(min(block, draws - i), n))].mean(1) for i in range(0, draws, block)]
        return np.concatenate(parts)
    repeats, n = scores.shape
    chosen = rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=draws)  # [draws, repeats] times drawn
    block = max(1, BLOCK // n)
    means = np.empty(draws)
    for i in range(0, draws, block):
        mixed = chosen[i : i + block] @ scores / repeats  # [b, n]
        units = rng.integers(n, size=mixed.shape)
        means[i : i + block] = np.take_along_axis(mixed, units, 1).mean(1)
    return means


def middle(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The ends of the middle share of drawn values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_mean(scores: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Scores of units [n], or of repeats by units [r, n] -> mean, low, high."""
    scores = _scores(scores)
    low, high = middle(means_again(scores, np.random.default_rng(seed)))
    return float(scores.mean()), low, high


def paired(
    a: np.ndarray, b: np.ndarray, seed: int = 0, *, same_units: bool = True, draws: int = DRAWS
) -> dict[str, float]:
    """Two rows measured on the same (seed, unit) -> {"difference", "low", "high", "p"}, of mean a - mean b.

    `same_units`: whether column j is the same unit for every seed (else units are drawn anew within each seed). p is
    two-sided: twice the share of drawn differences on the other side of 0, never below 1 / draws.
    """
    a, b = _scores(a), _scores(b)
    if a.shape != b.shape:
        raise SemblanceError(f"rows of {a.shape} and {b.shape} scores cannot be paired: measure both on the same units")
    gap, rng = a - b, np.random.default_rng(seed)
    if gap.ndim == 2 and len(gap) == 1:
        gap = gap[0]
    if gap.ndim == 2 and not same_units:
        each = np.stack([means_again(row, rng, draws) for row in gap])  # [seeds, draws]
        chosen = rng.integers(len(gap), size=(len(gap), each.shape[1]))
        drawn = np.take_along_axis(each, chosen, 0).mean(0)
    else:
        drawn = means_again(gap, rng, draws)
    low, high = middle(drawn)
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return {
        "difference": float(gap.mean()),
        "low": low,
        "high": high,
        "p": float(min(1, 2 * (beyond + 1) / (len(drawn) + 1))),
    }


def holm(p: np.ndarray) -> np.ndarray:
    """p values [m] -> corrected ones, in the same order: the i-th smallest (from 0) times m - i, never falling."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(raised, 1)
    return corrected


def compare_rows(
    scores: Mapping[str, np.ndarray], seed: int = 0, *, same_units: bool = True, level: float = LEVEL
) -> list[dict[str, object]]:
    """Rows name -> [seeds, units] -> one test per pair, the better row first.

    Each is {"a", "b", "difference", "low", "high", "p", "p_holm", "differs"}; `differs` where p_holm is below 1 - level.
    """
    names = sorted(scores, key=lambda name: (-float(np.mean(scores[name])), name))
    pairs = list(combinations(names, 2))
    # p is never below 2 / draws, and Holm multiplies it by the number of pairs: with 2,000 draws no two of twelve rows
    # could ever differ.
    draws = max(DRAWS, 60 * len(pairs))
    tests: list[dict[str, object]] = [
        {"a": a, "b": b, **paired(scores[a], scores[b], seed, same_units=same_units, draws=draws)} for a, b in pairs
    ]
    for test, corrected in zip(tests, holm(np.array([t["p"] for t in tests])), strict=True):
        test["p_holm"] = float(corrected)
        test["differs"] = bool(corrected < 1 - level)
    return tests


def _scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, float)
    if scores.ndim not in (1, 2) or not scores.size:
        raise SemblanceError(
            f"scores have shape {scores.shape}: give one or more per unit, [units] or [repeats, units]"
        )
    if not np.isfinite(scores).all():
        raise SemblanceError("scores hold NaN or infinity: leave those units out of every row")
    return scores
