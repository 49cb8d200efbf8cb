"""Kernels of block operators: every pair of nodes is read once and serves both directions, forward and backward.

    out_i = D_i x_i - sum over pairs (i, j) C x_j,        out_j gets - C^T x_i          C = F_i^T F_j, i < j

The operator is its own transpose, so the gradient of the product is the product. The rows of i stay in registers while its
pairs pass; the rows of j are read and written once a pair. Sizes are types (`block_rows.py`).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from semblance.geometry.block_rows import (
    ahead,
    block_times,
    get_rows,
    less_block,
    less_dots,
    less_turned,
    new_rows,
    put_rows,
)

# No nnan and ninf: values may be infinite. The rest lets sums be reordered into vectors.
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
compiled = nb.njit(fastmath=FAST, nogil=True, cache=True, error_model="numpy")


@compiled
def product(start, other, cross, own, x, out, d, w, k, k_own):  # type: ignore[no-untyped-def]
    """x, out: [V d, w]; cross: [m, k]; own: [V, k_own]."""
    held = new_rows(d, w)
    nodes, last = len(start) - 1, len(other) - 1
    for i in range(nodes):
        block_times(held, own, i, x, i, d, w, k_own)
        put_rows(held, out, i, d, w)
    for i in range(nodes):
        if start[i] == start[i + 1]:
            continue
        get_rows(held, out, i, d, w)
        for q in range(start[i], start[i + 1]):
            soon = np.int64(other[min(q + 4, last)])
            ahead(x, soon, d, w)
            ahead(out, soon, d, w)
            j = np.int64(other[q])
            less_block(held, cross, q, x, j, d, w, k)
            less_turned((out, j), cross, q, x, i, d, w, k)
        put_rows(held, out, i, d, w)


@compiled
def dots(start, other, x, y, out, d, w, k):  # type: ignore[no-untyped-def]
    """out[q, (a, b)] = - x_ia . y_jb for every pair; x, y: [V d, w]."""
    last = len(other) - 1
    for i in range(len(start) - 1):
        for q in range(start[i], start[i + 1]):
            ahead(y, np.int64(other[min(q + 4, last)]), d, w)
            less_dots(out, q, x, i, y, np.int64(other[q]), d, w, k)


@compiled
def joined(g, t, x, y, count):  # type: ignore[no-untyped-def]
    """x = [g | t | 0] and y = [t | g | 0], row by row, `count` columns of each: one dot product of theirs serves both
    directions of a pair."""
    for r in range(len(x)):
        for c in range(count):
            x[r, c] = g[r, c]
            y[r, c] = t[r, c]
        for c in range(count):
            x[r, count + c] = t[r, c]
            y[r, count + c] = g[r, c]
        for c in range(2 * count, x.shape[1]):
            x[r, c] = 0
            y[r, c] = 0


@compiled
def outer(g, t, out, count, d, k):  # type: ignore[no-untyped-def]
    """out[v, (a, b)] = g_va . t_vb: the gradient of the blocks on the diagonal."""
    n = len(d)
    for v in range(len(out)):
        for a in range(n):
            if len(k) == n:
                total = np.float32(0)
                for c in range(count):
                    total += g[v * n + a, c] * t[v * n + a, c]
                out[v, a] = total
            else:
                for b in range(n):
                    total = np.float32(0)
                    for c in range(count):
                        total += g[v * n + a, c] * t[v * n + b, c]
                    out[v, a * n + b] = total
