"""The compiled passes behind `norm.BatchNormAct`: bfloat16 activations as rows of channels, [P, C] with P = N * H * W.

forward    statistics (1 read), then y = relu(a x + b + shortcut) (2 reads, 1 write)
backward   with g the gradient where y > 0: sums of g and g (x - mean) (3 reads), then
           dx = k1 g + k2 x + k3 and dshortcut = g (3 reads, 1 or 2 writes)

numba has no bfloat16: its bits travel as uint16. A bfloat16 is the upper half of a float32, so widening is a shift and
exact, narrowing rounds to nearest even. Sums run in float32 over short stretches and in float64 beyond, over blocks
that do not depend on the number of threads: neither does the result. A NaN passes through, as in torch.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.data.blocks import over_blocks

STRETCH = 128  # rows summed in float32
BLOCK = 1 << 18  # elements given to a thread at a time: half a megabyte, so that a block stays in its cache
# Everything that fastmath allows save to assume that there is no NaN or infinity.
FAST = {"nsz", "arcp", "contract", "reassoc"}
NONE = np.empty((0, 0), np.uint16)


class FusedNorm(torch.autograd.Function):
    """Batch norm of a training batch, + shortcut, + ReLU. Updates the running statistics in place."""

    @staticmethod
    def forward(ctx, x, shortcut, weight, bias, running_mean, running_var, momentum, eps, activation):  # type: ignore[no-untyped-def]
        """x, shortcut: bfloat16 [N, C, H, W], channels_last -> the same."""
        x_rows = _rows(x)
        count, channels = x_rows.shape
        # Deviations from about the mean rather than from zero: the difference of squares below then cancels less.
        pivot = _floats(x_rows[:: max(1, count // 64)]).mean(0)
        sums, squares = _totals(_moments, (x_rows, pivot), count, channels)
        mean = pivot + sums / count
        var = np.maximum(squares / count - (sums / count) ** 2, 0.0)
        inverse = 1 / np.sqrt(var + eps)
        gain = weight.detach().numpy() * inverse
        shift = bias.detach().numpy() - gain * mean

        y = torch.empty_like(x)
        y_rows, other = _rows(y), NONE if shortcut is None else _rows(shortcut)
        a, b = gain.astype(np.float32), shift.astype(np.float32)
        _over_rows(lambda start, stop: _apply(x_rows, other, a, b, activation, y_rows, start, stop), count, channels)

        running_mean.lerp_(torch.from_numpy(mean.astype(np.float32)), momentum)
        unbiased = (var * (count / (count - 1))).astype(np.float32)
        running_var.lerp_(torch.from_numpy(unbiased), momentum)
        ctx.save_for_backward(x, y if activation else None)
        ctx.statistics, ctx.shortcut = (mean, inverse, gain), shortcut is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        """Gradients of x, shortcut, weight and bias."""
        x, y = ctx.saved_tensors
        mean, inverse, gain = ctx.statistics
        x_rows, g_rows = _rows(x), _rows(gradient)
        y_rows = NONE if y is None else _rows(y)
        count, channels = x_rows.shape
        centre = mean.astype(np.float32)
        sums, products = _totals(_gradient_sums, (x_rows, y_rows, g_rows, centre), count, channels)

        # dx = gain (g - mean(g) - normed(x) mean(g normed(x))), gathered by g, x and a constant.
        slope = -gain * inverse**2 * products / count
        constant = -gain * sums / count - slope * mean
        k1, k2, k3 = (k.astype(np.float32) for k in (gain, slope, constant))
        dx = torch.empty_like(x)
        masked = torch.empty_like(x) if ctx.shortcut and y is not None else None
        dx_rows, masked_rows = _rows(dx), NONE if masked is None else _rows(masked)
        _over_rows(
            lambda start, stop: _gradient(x_rows, y_rows, g_rows, k1, k2, k3, dx_rows, masked_rows, start, stop),
            count,
            channels,
        )
        if ctx.shortcut and masked is None:
            masked = gradient
        d_weight = torch.from_numpy((products * inverse).astype(np.float32))
        d_bias = torch.from_numpy(sums.astype(np.float32))
        return dx, masked, d_weight, d_bias, None, None, None, None, None


def _rows(t: Tensor) -> np.ndarray:
    """bfloat16 [N, C, H, W] -> its bits, uint16 [N * H * W, C]; a copy only where it is not channels_last yet."""
    t = t.contiguous(memory_format=torch.channels_last)
    return t.permute(0, 2, 3, 1).reshape(-1, t.shape[1]).view(torch.uint16).numpy()


def _floats(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _block(channels: int) -> int:
    return max(STRETCH, BLOCK // channels)


def _over_rows(work, count: int, channels: int) -> None:  # type: ignore[no-untyped-def]
    over_blocks(work, count, _block(channels), torch.get_num_threads())


def _totals(kernel, arrays, count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Two sums per channel, float64 [C] each, of a kernel that sums a block into a row of `parts`."""
    block = _block(channels)
    parts = np.zeros((-(-count // block), 2, channels))
    _over_rows(lambda start, stop: kernel(*arrays, parts[start // block], start, stop), count, channels)
    first, second = parts.sum(0)
    return first, second


@nb.njit(inline="always")
def _wide(bits):
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@nb.njit(inline="always")
def _narrow(value):
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@nb.njit(fastmath=FAST, nogil=True, cache=True)
def _moments(x, pivot, total, start, stop):
    """Adds the sums of x - pivot and of its square over these rows to total [2, C]."""
    channels = x.shape[1]
    s = np.empty(channels, np.float32)
    q = np.empty(channels, np.float32)
    for first in range(start, stop, STRETCH):
        s[:] = 0
        q[:] = 0
        for i in range(first, min(first + STRETCH, stop)):
            for j in range(channels):
                v = _wide(x[i, j]) - pivot[j]
                s[j] += v
                q[j] += v * v
        for j in range(channels):
            total[0, j] += s[j]
            total[1, j] += q[j]


@nb.njit(fastmath=FAST, nogil=True, cache=True)
def _apply(x, shortcut, a, b, activation, y, start, stop):
    """y = a x + b [+ shortcut] [, no less than 0] over these rows."""
    channels = x.shape[1]
    zero = np.float32(0)
    if len(shortcut):
        for i in range(start, stop):
            for j in range(channels):
                v = _wide(x[i, j]) * a[j] + b[j] + _wide(shortcut[i, j])
                y[i, j] = _narrow(zero if activation and v < zero else v)
    else:
        for i in range(start, stop):
            for j in range(channels):
                v = _wide(x[i, j]) * a[j] + b[j]
                y[i, j] = _narrow(zero if activation and v < zero else v)


@nb.njit(fastmath=FAST, nogil=True, cache=True)
def _gradient_sums(x, y, g, centre, total, start, stop):
    """Adds the sums of g and g (x - centre) over these rows to total [2, C]; g counts where y is not 0, or always."""
    channels = x.shape[1]
    masked = len(y) > 0
    s = np.empty(channels, np.float32)
    q = np.empty(channels, np.float32)
    for first in range(start, stop, STRETCH):
        s[:] = 0
        q[:] = 0
        last = min(first + STRETCH, stop)
        if masked:
            for i in range(first, last):
                for j in range(channels):
                    v = _wide(g[i, j] if y[i, j] != 0 else np.uint16(0))
                    s[j] += v
                    q[j] += v * (_wide(x[i, j]) - centre[j])
        else:
            for i in range(first, last):
                for j in range(channels):
                    v = _wide(g[i, j])
                    s[j] += v
                    q[j] += v * (_wide(x[i, j]) - centre[j])
        for j in range(channels):
            total[0, j] += s[j]
            total[1, j] += q[j]


@nb.njit(fastmath=FAST, nogil=True, cache=True)
def _gradient(x, y, g, k1, k2, k3, dx, masked, start, stop):
    """dx = k1 g + k2 x + k3, and masked = g, over these rows; g counts where y is not 0 (no y: always)."""
    channels = x.shape[1]
    if len(masked):
        for i in range(start, stop):
            for j in range(channels):
                v = g[i, j] if y[i, j] != 0 else np.uint16(0)
                masked[i, j] = v
                dx[i, j] = _narrow(_wide(v) * k1[j] + _wide(x[i, j]) * k2[j] + k3[j])
    elif len(y):
        for i in range(start, stop):
            for j in range(channels):
                v = g[i, j] if y[i, j] != 0 else np.uint16(0)
                dx[i, j] = _narrow(_wide(v) * k1[j] + _wide(x[i, j]) * k2[j] + k3[j])
    else:
        for i in range(start, stop):
            for j in range(channels):
                dx[i, j] = _narrow(_wide(g[i, j]) * k1[j] + _wide(x[i, j]) * k2[j] + k3[j])
