"""Batch norm with what follows it: an optional shortcut and an optional ReLU.

    y = relu( weight (x - mean) / sqrt(var + eps) + bias + shortcut )

Ioffe & Szegedy 2015 (arXiv:1502.03167), standing as He et al. 2016 (arXiv:1512.03385) place it. In bfloat16 training
on a CPU the convolutions are fast enough that these passes over memory show: batch norm, sum, ReLU and their gradients
touch every activation some 16 times. There they are compiled into four passes (`fused_norm.py`) that touch it 8 times.
The parameters and buffers are those of nn.BatchNorm2d either way, so a checkpoint does not know which path wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_fuse = True


@contextmanager
def fused(on: bool) -> Iterator[None]:
    """Allow or forbid the compiled path within the block: for comparisons; the results agree up to rounding."""
    global _fuse
    before, _fuse = _fuse, on
    try:
        yield
    finally:
        _fuse = before


class BatchNormAct(nn.BatchNorm2d):
    """Batch norm over `channels`, plus a shortcut where one is given, then ReLU where `activation` says so."""

    def __init__(self, channels: int, activation: bool = True):
        super().__init__(channels)
        self.activation = activation

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """x, shortcut: [N, C, H, W] -> [N, C, H, W]."""
        if self._fusible(x, shortcut):
            from semblance.encoders.vision.fused_norm import FusedNorm

            self.num_batches_tracked.add_(1)
            return FusedNorm.apply(
                x,
                shortcut,
                self.weight,
                self.bias,
                self.running_mean,
                self.running_var,
                self.momentum,
                self.eps,
                self.activation,
            )
        y = super().forward(x)
        if shortcut is not None:
            y = y + shortcut
        # In place: the gradients of neither the norm nor the sum need what they gave.
        return F.relu(y, inplace=True) if self.activation else y

    def _fusible(self, x: Tensor, shortcut: Tensor | None) -> bool:
        """Training in bfloat16 on a CPU, in memory where a pixel's channels lie side by side."""
        return (
            _fuse
            and self.training
            and x.dtype == torch.bfloat16
            and x.device.type == "cpu"
            and self.weight.dtype == torch.float32
            and self.momentum is not None
            and x.shape[1] >= 8  # below that the inner loop is too short to pay
            and x.numel() > x.shape[1]
            and x.is_contiguous(memory_format=torch.channels_last)
            and (shortcut is None or (shortcut.dtype == x.dtype and shortcut.shape == x.shape))
        )
