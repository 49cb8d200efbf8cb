"""Prepare: from stored units to what encoders read, x -> (x - mean) / std per channel or column.

Images are stored as bytes and divided by 255 first; views end in the same preparation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semblance.data.dataset import Shape


@dataclass(frozen=True)
class Prepare:
    """From stored units to what encoders read: float32, per channel or column mean 0 and deviation 1.

    Images are divided by 255 first. `standardise=False` leaves 0..1 (images) or the values themselves (vectors).
    """

    shape: Shape
    standardise: bool = True

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation [C] or [d] that are used; (0, 1) without standardising, deviation 1 for constants."""
        width = self.shape.item[0]
        mean, std = torch.zeros(width), torch.ones(width)
        if self.standardise and self.shape.mean:
            mean, std = torch.tensor(self.shape.mean), torch.tensor(self.shape.std)
            std = torch.where(std > 0, std, 1.0)
        return mean, std

    def __call__(self, x: Tensor) -> Tensor:
        """x as stored: uint8 [n, C, H, W] or float [n, d] -> float32 of the same shape. Sparse rows (bags of words) have
        no mean to take off without ceasing to be sparse: standardised, each sums to 1. Tokens are numbers already."""
        if self.shape.domain == "text":
            return x
        if x.layout != torch.strided:
            return rows_to_one(x.float()) if self.standardise else x.float()
        if x.ndim == 2 and not (self.standardise and self.shape.mean):
            return x.float()
        mean, std = self.moments
        if x.ndim == 2:
            return (x.float() - mean) / std
        scale, offset = (1 / (255 * std))[:, None, None], (mean / std)[:, None, None]
        y = x.to(torch.float32, copy=True).mul_(scale).sub_(offset)
        # Permuted last: a channel's plane is one long loop, while three channels side by side are many short ones.
        return y.contiguous(memory_format=torch.channels_last) if x.shape[1] == 3 else y


def rows_to_one(x: Tensor) -> Tensor:
    """A torch.sparse_csr matrix whose rows sum to 1 in absolute value; empty rows stay empty."""
    start, values = x.crow_indices(), x.values()
    row = torch.repeat_interleave(torch.arange(x.shape[0]), start.diff())
    total = torch.zeros(x.shape[0], dtype=values.dtype).index_add(0, row, values.abs())
    shares = values / total.clamp_min(torch.finfo(values.dtype).tiny)[row]
    return torch.sparse_csr_tensor(start, x.col_indices(), shares, size=x.shape, check_invariants=False)
