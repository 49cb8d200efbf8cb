"""An encoder that answers with relative codes, its anchors being training items that are encoded anew while it learns.

    embed(x) = r(e(x); e(a_1), ..., e(a_A))

The gradient reaches the encoder through the item and through the anchors. Anchors are drawn from the training units before
the first step, by a seed of the recipe's and not by that of the run, so that runs of several seeds have parallel anchors.
Reference: Moschella et al. 2023, arXiv:2209.15430.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.geometry.spaces import Sphere
from semblance.learning.parts import Budget, Feed, Parts, chance
from semblance.memory.anchors import Relative


class Anchored(nn.Module):
    """Codes [N, A] of any encoder of items `x`; A anchors of the shape `item`, zeros until they are held."""

    items: Tensor

    def __init__(
        self, inner: Any, count: int, item: tuple[int, ...], similarity: str = "cosine", centred: bool = False
    ):
        super().__init__()
        self.inner = inner
        self.register_buffer("items", torch.zeros(count, *item))
        self.relative = Relative(torch.zeros(count, inner.dim), similarity, centred)
        self.dim, self.geometry = count, Sphere()

    def forward(self, batch: Batch) -> Tensor:
        """x [N, ...] -> codes [N, A]."""
        if not self.training:
            coded: Tensor = self.relative(self.inner.embed(batch))
            return coded
        n = len(batch["x"])
        z = self.inner.embed({"x": torch.cat([batch["x"], self.items])})
        learning: Tensor = self.relative(z[:n], z[n:])
        return learning

    def embed(self, batch: Batch) -> Tensor:
        """The same: a code is its own read-out."""
        return self(batch)

    def hold(self, items: Tensor) -> None:
        """These are the anchors from now on, prepared as the encoder reads them."""
        self.items.copy_(items)

    def train(self, mode: bool = True) -> Anchored:
        """Where learning ends, the anchors are encoded once and kept."""
        settles = self.training and not mode
        super().train(mode)
        if settles:
            with torch.no_grad():
                self.relative.anchors.copy_(self.inner.embed({"x": self.items}))
        return self


@dataclass(frozen=True)
class Anchoring:
    """`rule`, after the encoder has been given its anchors: training units drawn by the seed `draw`."""

    rule: Any
    draw: int = 0

    @property
    def epochs(self) -> int:
        """The inner rule's."""
        epochs: int = self.rule.epochs
        return epochs

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """The inner rule's metrics."""
        encoder = parts.network.encoder
        rows = chance(self.draw, len(data)).permutation(len(data))[: len(encoder.items)]
        encoder.hold(replace(data, views=None).batch(rows)["x"])
        yield from self.rule.run(parts, data, budget)
