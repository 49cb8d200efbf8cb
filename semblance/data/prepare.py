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
        """x as stored: uint8 [n, C, H, W] or float [n, d] -> float32 of the same shape. Where nothing is known to be taken
        off (sparse features), x itself."""
        if x.layout != torch.strided or (x.ndim == 2 and not (self.standardise and self.shape.mean)):
            return x.float()
        mean, std = self.moments
        if x.ndim == 2:
            return (x.float() - mean) / std
        scale, offset = (1 / (255 * std))[:, None, None], (mean / std)[:, None, None]
        y = x.to(torch.float32, copy=True).mul_(scale).sub_(offset)
        # Permuted last: a channel's plane is one long loop, while three channels side by side are many short ones.
        return y.contiguous(memory_format=torch.channels_last) if x.shape[1] == 3 else y
