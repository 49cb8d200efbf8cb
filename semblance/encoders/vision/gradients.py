"""Gradients: a network that sees how brightness changes from left to right and from top to bottom, and no colours.

    x [N, C, H, W] -> mean over C -> Sobel's two filters -> [N, 2, H, W] -> the network

Clusters of colours are found easily and mean little; DeepCluster takes colours away (Caron et al. 2018, arXiv:1807.05520).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape


class Gradients(nn.Module):
    """An encoder of two channels, reading pictures of any number of them."""

    filters: Tensor

    def __init__(self, encoder: Any):
        super().__init__()
        self.encoder, self.dim, self.geometry = encoder, encoder.dim, encoder.geometry
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
        self.register_buffer("filters", torch.stack([across, across.T])[:, None])

    def seen(self, batch: Batch) -> Batch:
        """x [N, C, H, W] -> [N, 2, H, W], borders repeated."""
        grey = F.pad(batch["x"].mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return {**batch, "x": F.conv2d(grey, self.filters.to(grey.dtype))}

    def forward(self, batch: Batch) -> Any:
        """What the encoder gives."""
        return self.encoder(self.seen(batch))

    def embed(self, batch: Batch) -> Tensor:
        """[N, dim]."""
        z: Tensor = self.encoder.embed(self.seen(batch))
        return z


def on_gradients(encoder: Callable[[Shape], nn.Module]) -> Callable[[Shape], Gradients]:
    """The lazy encoder behind the two filters."""

    def build(shape: Shape) -> Gradients:
        return Gradients(encoder(replace(shape, item=(2, *shape.item[1:]))))

    return build
