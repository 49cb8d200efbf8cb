"""Warp: pictures under an affine map of coordinates and an affine map of colours, in one compiled pass.

Bilinear. A row of the view is sampled into a small buffer that stays in cache, then its colours are mapped, clamped
and standardised while they are written. Where the map keeps rows and columns (crops, flips, zooms, shifts) the two
source rows are blended first, which vectorises and halves the scattered reads. Pictures are independent, so the result
does not depend on how many threads share them.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from semblance.data.blocks import over_blocks


def warp(
    x: np.ndarray,
    coordinates: np.ndarray,
    colours: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    zero: bool,
    threads: int = 1,
) -> np.ndarray:
    """uint8 [n, C, H, W] -> float32 [n, H, W, C].

    coordinates [n, 2, 3] and colours [n, K, K + 1] as `views.Maps` says; mean and std [C]; outside the picture there is
    zero or else its edge.
    """
    n, channels, height, width = x.shape
    out = np.empty((n, height, width, channels), np.float32)
    scale = (1 / std).astype(np.float32)
    offset = (mean / std).astype(np.float32)

    def work(start: int, stop: int) -> None:
        _warp(x, coordinates, colours, scale, offset, zero, out, start, stop)

    over_blocks(work, n, 16, threads)
    return out


@nb.njit(inline="always")
def _taps(p, size, zero):
    """Position (pixel centres at whole numbers) -> the two pixels to blend and their weights."""
    if not zero:
        p = min(max(p, np.float32(0)), np.float32(size - 1))
    # Far outside, all is zero: the clamp only keeps the whole number in range.
    p = min(max(p, np.float32(-2)), np.float32(size + 1))
    a = int(np.floor(p))
    t = p - np.float32(a)
    first, second = np.float32(1) - t, t
    if zero:
        if a < 0 or a >= size:
            first = np.float32(0)
        if a + 1 < 0 or a + 1 >= size:
            second = np.float32(0)
    return min(max(a, 0), size - 1), min(max(a + 1, 0), size - 1), first, second


@nb.njit(fastmath=True, nogil=True, cache=True)
def _warp(x, coordinates, colours, scale, offset, zero, out, start, stop):
    _, channels, height, width = x.shape
    half = np.float32(0.5)
    left = np.empty(width, np.int32)
    right = np.empty(width, np.int32)
    left_weight = np.empty(width, np.float32)
    right_weight = np.empty(width, np.float32)
    blended = np.empty(width, np.float32)
    row = np.empty((channels, width), np.float32)
    for i in range(start, stop):
        map_ = coordinates[i]
        straight = map_[0, 1] == 0 and map_[1, 0] == 0
        if straight:
            for u in range(width):
                p = map_[0, 0] * (np.float32(u) + half) + map_[0, 2] - half
                left[u], right[u], left_weight[u], right_weight[u] = _taps(p, width, zero)
        for v in range(height):
            if straight:
                p = map_[1, 1] * (np.float32(v) + half) + map_[1, 2] - half
                top, bottom, upper, lower = _taps(p, height, zero)
                for c in range(channels):
                    above, below = x[i, c, top], x[i, c, bottom]
                    for u in range(width):
                        blended[u] = upper * np.float32(above[u]) + lower * np.float32(below[u])
                    for u in range(width):
                        row[c, u] = blended[left[u]] * left_weight[u] + blended[right[u]] * right_weight[u]
            else:
                y = np.float32(v) + half
                for u in range(width):
                    across = np.float32(u) + half
                    p = map_[0, 0] * across + map_[0, 1] * y + map_[0, 2] - half
                    q = map_[1, 0] * across + map_[1, 1] * y + map_[1, 2] - half
                    a, b, wa, wb = _taps(p, width, zero)
                    top, bottom, upper, lower = _taps(q, height, zero)
                    for c in range(channels):
                        row[c, u] = upper * (x[i, c, top, a] * wa + x[i, c, top, b] * wb) + lower * (
                            x[i, c, bottom, a] * wa + x[i, c, bottom, b] * wb
                        )
            _colour(row, colours[i], scale, offset, out[i, v])


@nb.njit(fastmath=True, nogil=True, inline="always")
def _colour(row, colour, scale, offset, out):
    """row [C, W] in 0..255 -> out [W, C]: mapped, clamped to 0..1, standardised."""
    channels, width = row.shape
    zero, one, unit = np.float32(0), np.float32(1), np.float32(1 / 255)
    if channels == 3:
        for j in range(3):
            m0, m1, m2 = colour[j, 0] * unit, colour[j, 1] * unit, colour[j, 2] * unit
            shift, gain, less = colour[j, 3], scale[j], offset[j]
            for u in range(width):
                value = m0 * row[0, u] + m1 * row[1, u] + m2 * row[2, u] + shift
                out[u, j] = min(max(value, zero), one) * gain - less
    else:
        m0, shift = colour[0, 0] * unit, colour[0, 1]
        for j in range(channels):
            gain, less = scale[j], offset[j]
            for u in range(width):
                out[u, j] = min(max(m0 * row[j, u] + shift, zero), one) * gain - less
