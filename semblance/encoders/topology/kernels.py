"""Compiled passes of sheaf diffusion: maps of all pairs from two numbers a node, and the elementwise ends of a layer.

The linear map of the learner on [x_v | x_u] splits by node, a_v + b_u, so y [V, first + 2 o] holds a in the columns from
`first` on and b behind it, and no pair gathers features. Sixteen pairs go side by side, one a lane. Maps are not stored:
the backward pass makes them again, which costs less than reading them. kind is a type: size(0) diagonal, size(1)
orthogonal (Cayley), size(2) general. o numbers a map: d, d (d - 1) / 2, d^2.
"""

from __future__ import annotations

import numpy as np

from semblance.geometry.block_kernels import compiled
from semblance.geometry.lanes import (
    LANES,
    as_float,
    cayley,
    cayley_back,
    lanes_of,
    lanes_of_two,
    lanes_onto,
    lanes_onto_one,
    lanes_put,
    plus_times,
    times,
    times_turned,
    turned_times,
)

ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
ZERO = np.float32(0)
SMALL = np.float32(0.625)  # below this, tanh by its series: the quotient cancels there
TOP = np.float32(88)
LOG2E, LN2_HIGH, LN2_LOW = np.float32(1.442695041), np.float32(0.693359375), np.float32(-2.12194440e-4)
E0, E1, E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E3, E4, E5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
T0, T1, T2 = np.float32(-5.70498872745e-3), np.float32(2.06390887954e-2), np.float32(-5.37397155531e-2)
T3, T4 = np.float32(1.33314422036e-1), np.float32(-3.33332819422e-1)


@compiled
def exp(x):  # type: ignore[no-untyped-def]
    """e^x to a few units of the last place, |x| <= 88 (Moshier's polynomial), so that loops over it become vectors."""
    x = min(max(x, -TOP), TOP)
    scaled = x * LOG2E
    n = np.int32(scaled + (HALF if scaled > ZERO else -HALF))
    whole = np.float32(n)
    r = x - whole * LN2_HIGH - whole * LN2_LOW
    p = (((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5) * r * r + r + ONE
    return p * as_float(np.int32((n + np.int32(127)) << np.int32(23)))


@compiled
def tanh(x):  # type: ignore[no-untyped-def]
    """tanh x; a nan stays one."""
    size = abs(x)
    large = ONE - TWO / (exp(TWO * min(size, np.float32(20))) + ONE)
    z = x * x
    small = ((((T0 * z + T1) * z + T2) * z + T3) * z + T4) * z * x + x
    return small if not size > SMALL else (large if x > ZERO else -large)


@compiled
def _ends(low, other, q, lower, higher):  # type: ignore[no-untyped-def]
    """The ends of sixteen pairs from q on; behind the last pair it is repeated. How many there are."""
    many = min(LANES, len(other) - q)
    for s in range(LANES):
        at = q + min(s, many - 1)
        lower[s] = low[at]
        higher[s] = other[at]
    return many


@compiled
def _maps(work, flat, y, first, lower, higher, m1, m2, d, numbers, kind):  # type: ignore[no-untyped-def]
    """Rows 0 to o: the numbers of the lower ends' maps; o to 2 o: of the higher ends'; from m1 and m2 on, the maps."""
    o = len(numbers)
    lanes_of_two(work, 0, y, lower, first, higher, first + o, numbers)
    lanes_of_two(work, o, y, higher, first, lower, first + o, numbers)
    for at in range(2 * o * LANES):
        flat[at] = tanh(flat[at])
    if len(kind) == 1:
        cayley(work, m1, 0, d)
        cayley(work, m2, o, d)


@compiled
def _silence(work, at, count, many):  # type: ignore[no-untyped-def]
    """0 in the lanes behind the last pair."""
    for e in range(at, at + count):
        for s in range(many, LANES):
            work[e, s] = ZERO


@compiled
def _onto(work, at, table, node, column, k):  # type: ignore[no-untyped-def]
    """Pairs are grouped by their lower end, so most often all sixteen rows are one."""
    if node[0] == node[LANES - 1]:
        lanes_onto_one(work, at, table, node[0], column, k)
    else:
        lanes_onto(work, at, table, node, column, k)


@compiled
def make_blocks(low, other, y, first, cross, own, d, numbers, entries, kind):  # type: ignore[no-untyped-def]
    """cross [m, k] of all pairs; own [V, k], which holds the ridge, gains the diagonal (nothing for orthogonal maps, whose
    diagonal is the degree). Sizes: d, o, k."""
    full, o, k = len(d) * len(d), len(numbers), len(entries)
    work = np.zeros((2 * o + 3 * full, LANES), np.float32)
    flat = work.reshape(-1)
    lower, higher = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    m1, m2, out = (0, o, 2 * o) if len(kind) != 1 else (2 * o, 2 * o + full, 2 * o + 2 * full)
    for q in range(0, len(other), LANES):
        many = _ends(low, other, q, lower, higher)
        _maps(work, flat, y, first, lower, higher, m1, m2, d, numbers, kind)
        if len(kind) == 0:
            for e in range(k):
                for s in range(LANES):
                    work[out + e, s] = work[e, s] * work[o + e, s]
        else:
            turned_times(work, out, m1, m2, d)
        if many == LANES:
            lanes_put(work, out, cross, q, entries)
        else:
            for s in range(many):
                for e in range(k):
                    cross[q + s, e] = work[out + e, s]
        if len(kind) == 1:
            continue
        for side in range(2):
            at = m2 if side else m1
            if len(kind) == 0:
                for e in range(k):
                    for s in range(LANES):
                        work[out + e, s] = work[at + e, s] * work[at + e, s]
            else:
                turned_times(work, out, at, at, d)
            _silence(work, out, k, many)
            if side:
                lanes_onto(work, out, own, higher, 0, entries)
            else:
                _onto(work, out, own, lower, 0, entries)


@compiled
def blocks_back(low, other, y, first, of_cross, of_own, of_y, d, numbers, entries, kind):  # type: ignore[no-untyped-def]
    """From the gradients of the blocks (of_own [V, k], symmetrised: G + G^T) to that of y, added to `of_y`."""
    full, o, k = len(d) * len(d), len(numbers), len(entries)
    work = np.zeros((2 * o + 7 * full, LANES), np.float32)
    flat = work.reshape(-1)
    lower, higher, here = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    g = 2 * o
    h1, h2, of1, of2 = g + full, g + 2 * full, g + 3 * full, g + 4 * full
    m1, m2 = (0, o) if len(kind) != 1 else (g + 5 * full, g + 6 * full)
    last = len(other) - 1
    for q in range(0, len(other), LANES):
        many = _ends(low, other, q, lower, higher)
        _maps(work, flat, y, first, lower, higher, m1, m2, d, numbers, kind)
        for s in range(LANES):
            here[s] = min(q + s, last)
        lanes_of(work, g, of_cross, here, 0, entries)
        if len(kind) != 1:
            lanes_of(work, h1, of_own, lower, 0, entries)
            lanes_of(work, h2, of_own, higher, 0, entries)
        # C = M^T N and D = M^T M:  dM = N G^T + M (H + H^T),  dN = M G + N (H + H^T)
        if len(kind) == 0:
            for e in range(k):
                for s in range(LANES):
                    mine, theirs, slope = work[e, s], work[o + e, s], work[g + e, s]
                    work[of1 + e, s] = slope * theirs + mine * work[h1 + e, s]
                    work[of2 + e, s] = slope * mine + theirs * work[h2 + e, s]
        else:
            times_turned(work, of1, m2, g, d)
            times(work, of2, m1, g, d)
            if len(kind) == 1:
                cayley_back(work, h1, m1, of1, d)
                cayley_back(work, h2, m2, of2, d)
            else:
                plus_times(work, of1, m1, h1, d)
                plus_times(work, of2, m2, h2, d)
        from1, from2 = (h1, h2) if len(kind) == 1 else (of1, of2)
        for e in range(o):
            for s in range(LANES):
                work[from1 + e, s] *= ONE - work[e, s] * work[e, s]
        for e in range(o):
            for s in range(LANES):
                work[from2 + e, s] *= ONE - work[o + e, s] * work[o + e, s]
        _silence(work, from1, o, many)
        _silence(work, from2, o, many)
        _onto(work, from1, of_y, lower, first, numbers)
        _onto(work, from2, of_y, lower, first + o, numbers)
        lanes_onto(work, from2, of_y, higher, first, numbers)
        lanes_onto(work, from1, of_y, higher, first + o, numbers)


@compiled
def scale_of(own, added, floor, scale, d, k):  # type: ignore[no-untyped-def]
    """scale [V, d] = max(D's entries + added, floor)^-1/2, or 1 where added is negative."""
    n = len(d)
    for v in range(len(own)):
        for a in range(n):
            e = a if len(k) == n else a * n + a
            scale[v, a] = ONE if added < ZERO else ONE / np.sqrt(max(own[v, e] + added, floor))


@compiled
def load_rows(y, scale, rows, f, d):  # type: ignore[no-untyped-def]
    """rows [V d, w] = scale * the first d f columns of y, padded with 0."""
    n = len(d)
    for v in range(len(scale)):
        for a in range(n):
            factor = scale[v, a]
            for c in range(f):
                rows[v * n + a, c] = factor * y[v, a * f + c]
            for c in range(f, rows.shape[1]):
                rows[v * n + a, c] = 0


@compiled
def leave(z, gain, scale, out, made, f, d):  # type: ignore[no-untyped-def]
    """made = gain * z - elu(scale * out); z, made: [V, d f], gain: [d]."""
    n = len(d)
    for v in range(len(scale)):
        for a in range(n):
            factor, keep = scale[v, a], gain[a]
            for c in range(f):
                x = factor * out[v * n + a, c]
                # elu without a branch, which would keep the loop from becoming vectors: one of the two terms is 0.
                made[v, a * f + c] = keep * z[v, a * f + c] - max(x, ZERO) - (exp(min(x, ZERO)) - ONE)


@compiled
def leave_back(g, z, gain, scale, out, of_out, of_z, of_gain, of_scale, f, d):  # type: ignore[no-untyped-def]
    """Back through `leave`: of_out [V d, w] = gradient times scale, padded with 0; of_scale: what comes of this side."""
    n = len(d)
    for v in range(len(scale)):
        for a in range(n):
            factor, keep = scale[v, a], gain[a]
            of_keep, of_factor = ZERO, ZERO
            for c in range(f):
                x, slope = out[v * n + a, c], g[v, a * f + c]
                of_z[v, a * f + c] = keep * slope
                of_keep += slope * z[v, a * f + c]
                inner = -slope * exp(min(factor * x, ZERO))  # the slope of elu: e^0 above 0
                of_factor += inner * x
                of_out[v * n + a, c] = factor * inner
            for c in range(f, of_out.shape[1]):
                of_out[v * n + a, c] = 0
            of_gain[a] += of_keep
            of_scale[v, a] = of_factor


@compiled
def load_back(of_rows, y, scale, of_y, of_scale, f, d):  # type: ignore[no-untyped-def]
    """Back through `load_rows`: of_y's first columns, and the rest of of_scale."""
    n = len(d)
    for v in range(len(scale)):
        for a in range(n):
            factor, total = scale[v, a], ZERO
            for c in range(f):
                total += of_rows[v * n + a, c] * y[v, a * f + c]
                of_y[v, a * f + c] = factor * of_rows[v * n + a, c]
            of_scale[v, a] += total


@compiled
def scale_back(of_own, own, added, floor, scale, of_scale, d, k):  # type: ignore[no-untyped-def]
    """of_own [V, k] gains what comes through the scale, and is symmetrised: G + G^T."""
    n = len(d)
    for v in range(len(of_own)):
        for a in range(n):
            e = a if len(k) == n else a * n + a
            if not added < ZERO and own[v, e] + added > floor:
                s = scale[v, a]
                of_own[v, e] -= HALF * s * s * s * of_scale[v, a]
        for a in range(n):
            if len(k) == n:
                of_own[v, a] *= TWO
            else:
                for b in range(a + 1):
                    both = of_own[v, a * n + b] + of_own[v, b * n + a]
                    of_own[v, a * n + b] = both
                    of_own[v, b * n + a] = both
