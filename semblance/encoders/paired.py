"""Paired: an encoder of items and one of their captions, each brought into one space by a linear map of its own.

    z = A items(x),    w = B captions(tokens)

An item and the words that describe it are to be near; how they become so is the objective's matter (captions.py). Searches
by words find items, since both are directions of one space. `embed` reads items, `embed_captions` reads words.

Radford et al. 2021 (CLIP), arXiv:2103.00020.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.geometry.spaces import Geometry, Sphere


class Paired(nn.Module):
    """Both are kept: the space that is made answers words too."""

    geometry: Geometry

    def __init__(self, items: Any, captions: Any, dim: int = 64):
        super().__init__()
        self.items, self.captions = items, captions
        self.of_items = nn.Linear(items.dim, dim, bias=False)
        self.of_captions = nn.Linear(captions.dim, dim, bias=False)
        for layer in (self.of_items, self.of_captions):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.dim, self.geometry = dim, Sphere()

    def forward(self, batch: Batch) -> Any:
        """What the items' encoder gives: maps, tokens, states."""
        return self.items(batch)

    def embed(self, batch: Batch) -> Tensor:
        """Items -> [N, dim]."""
        z: Tensor = self.of_items(self.items.embed(batch))
        return z

    def embed_captions(self, tokens: Tensor) -> Tensor:
        """Tokens [N, T] -> [N, dim]. Without gradients too, so that a frozen side may stand still."""
        w: Tensor = self.of_captions(self.captions.embed({"x": tokens}))
        return w

    def agreement(self, batch: Batch) -> Tensor:
        """Cosine of every item with its own caption, [N]."""
        return torch.cosine_similarity(self.embed(batch), self.embed_captions(batch["captions"]))
