"""Unplaced: tokens of a transformer on patches, after a linear map that was found to take their place in the picture out.

h'_t = h_t M,    z' = z M;    M [d, d] is the identity until somebody finds it (learning/positions.py)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.encoders.vision.patches import Patches
from semblance.geometry.spaces import Geometry


class Unplaced(nn.Module):
    """`bare` is the encoder without the map, which trains."""

    map: Tensor

    def __init__(self, bare: Patches):
        super().__init__()
        self.bare, self.dim = bare, bare.dim
        self.geometry: Geometry = bare.geometry
        self.patch, self.channels = bare.patch, bare.channels
        self.register_buffer("map", torch.eye(bare.dim))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x [N, C, H, W] -> the patches' tokens [N, T, d] and who is there [N, T]."""
        tokens, there = self.bare(batch)
        return tokens @ self.map.to(tokens), there

    def embed(self, batch: Batch) -> Tensor:
        """x [N, C, H, W] -> [N, d]."""
        z = self.bare.embed(batch)
        return z @ self.map.to(z)


def unplaced(encoder: Callable[[Shape], Patches]) -> Callable[[Shape], Unplaced]:
    """The same as a lazy part."""
    return lambda shape: Unplaced(encoder(shape))
