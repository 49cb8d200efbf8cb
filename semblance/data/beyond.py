"""Compiled passes over rows of nearness: which negatives lie beyond a positive.

Nearness of anchor i and item j is t = z_i . z_j - |z_j|^2 / 2, so that |z_i - z_j|^2 = |z_i|^2 - 2 t: no distance is made
and no root taken but one a positive. A row is overwritten: what is of the anchor's own class leaves the race beforehand,
so that the loops over its items have no branch. Members of the anchor's class are order[start : stop], classes ragged.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EUCLIDEAN, SQUARED = 0, 1
OUT = np.float32(-3e38)  # finite, so that comparisons may be reordered
FAST = {"nnan", "nsz", "reassoc", "contract", "arcp"}
STRIPE = 256  # a maximum is looked for without its place first, then found again within the stripe that holds it


@njit(cache=True, nogil=True, fastmath=FAST)
def _own(row, order, low, high, kept):  # type: ignore[no-untyped-def]
    """The nearness of the class's members, taken out of the row."""
    for q in range(low, high):
        kept[q - low] = row[order[q]]
        row[order[q]] = OUT


@njit(cache=True, nogil=True, fastmath=FAST)
def _least(t, square, margin, how):  # type: ignore[no-untyped-def]
    """The nearness of what is `margin` further away than t."""
    if how == SQUARED:
        return np.float32(t - margin / 2)
    away = np.sqrt(max(square - 2 * t, 0.0)) + margin
    return np.float32((square - away * away) / 2)


@njit(cache=True, nogil=True, fastmath=FAST)
def _nearest(row, t):  # type: ignore[no-untyped-def]
    """Where the largest entry below t stands, -1 for none."""
    most, found = OUT, -1
    for first in range(0, len(row), STRIPE):
        here = OUT
        for j in range(first, min(first + STRIPE, len(row))):
            here = max(here, row[j] if row[j] < t else OUT)
        if here > most:
            most, found = here, first
    if found >= 0:
        for j in range(found, min(found + STRIPE, len(row))):
            if row[j] == most:
                return j
    return -1


@njit(cache=True, nogil=True, fastmath=FAST)
def _easiest_violator(row, t):  # type: ignore[no-untyped-def]
    """Where the smallest entry of at least t stands, -1 for none."""
    least, found = -OUT, -1
    for j in range(len(row)):
        if row[j] >= t and row[j] < least:
            least, found = row[j], j
    return found


@njit(cache=True, nogil=True, fastmath=FAST)
def one_each(near, first, square, order, start, stop, hardest, margin, how, fallback, triples):  # type: ignore[no-untyped-def]
    """near [B, n] of anchors first, first + 1, ...: for every positive (or the hardest) the nearest negative beyond it,
    with a `margin` above 0 only within it; `fallback` takes the easiest violator where there is none. -> how many."""
    count, kept = 0, np.empty(max(1, np.max(stop - start)), near.dtype)
    for i in range(len(near)):
        anchor, row = first + i, near[i]
        low, high = start[anchor], stop[anchor]
        _own(row, order, low, high, kept)
        if hardest:
            furthest = -1
            for q in range(low, high):
                if order[q] != anchor and (furthest < 0 or kept[q - low] < kept[furthest - low]):
                    furthest = q
            low, high = (furthest, furthest + 1) if furthest >= 0 else (0, 0)
        for q in range(low, high):
            if order[q] == anchor:
                continue
            t = kept[q - start[anchor]]
            j = _nearest(row, t)
            if j >= 0 and margin > 0 and row[j] <= _least(t, square[anchor], margin, how):
                j = -1
            if j < 0 and fallback:
                j = _easiest_violator(row, t)
            if j >= 0:
                triples[count, 0], triples[count, 1], triples[count, 2] = anchor, order[q], j
                count += 1
    return count


@njit(cache=True, nogil=True, fastmath=FAST)
def counted(near, first, square, order, start, stop, margin, how, own, least):  # type: ignore[no-untyped-def]
    """How many (anchor, positive, negative) have the negative beyond the positive by at most `margin`. Leaves, for every
    place in a class, the positive's nearness in `own` and the least within the margin in `least` [B, most of a class]."""
    total = 0
    for i in range(len(near)):
        anchor, row = first + i, near[i]
        low, high = start[anchor], stop[anchor]
        _own(row, order, low, high, own[i])
        for q in range(high - low):
            if order[low + q] == anchor:
                continue
            t = own[i, q]
            bound = _least(t, square[anchor], margin, how)
            least[i, q] = bound
            here = 0
            for j in range(len(row)):
                here += (row[j] < t) & (row[j] >= bound)
            total += here
    return total


@njit(cache=True, nogil=True, fastmath=FAST)
def written(near, first, order, start, stop, own, least, triples):  # type: ignore[no-untyped-def]
    """The triples that `counted` counted, into as many rows."""
    count = 0
    for i in range(len(near)):
        anchor, row = first + i, near[i]
        for q in range(stop[anchor] - start[anchor]):
            positive = order[start[anchor] + q]
            if positive == anchor:
                continue
            t, bound = own[i, q], least[i, q]
            for j in range(len(row)):
                if row[j] < t and row[j] >= bound:
                    triples[count, 0], triples[count, 1], triples[count, 2] = anchor, positive, j
                    count += 1
