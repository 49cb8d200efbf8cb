"""Bags: a row of a table read as a set of instances, or as a state among learned prototypes.

    Bags         `items` instances in a row, each read by the same perceptron, then pooled: multiple-instance learning
    MotifBags    `items` words of letters, each read by the same convolution, then pooled: which motif hides in which word
    Prototypes   the row itself is a state that retrieves from learned patterns: tables of a few hundred rows

Pooling is Hopfield's: a few learned states pick the instances that matter (Ramsauer et al. 2021, arXiv:2008.02217; bags of
immune receptors: Widrich et al. 2020, arXiv:2007.13505).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.sequences.hopfield import HopfieldLayer, HopfieldPooling
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class _Pooled(nn.Module):
    """Instances [B, items, hidden] and what is left of them."""

    def __init__(self, items: int, hidden: int, dim: int, heads: int, beta: float, steps: int):
        super().__init__()
        self.items = items
        self.pool = HopfieldPooling(hidden, dim, heads=heads, beta=(beta,) * heads, steps=steps)
        self.dim, self.geometry = dim, Sphere()

    geometry: Geometry

    def instances(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        """x [N, ...] -> [N, dim]; `mask` [N, items] where some instances are missing."""
        z: Tensor = self.pool(self.instances(batch), batch.get("mask"))
        return z

    def embed(self, batch: Batch) -> Tensor:
        """The same."""
        return self.forward(batch)

    def association(self, batch: Batch) -> Tensor:
        """Which instances a bag's embedding was taken from: [N, heads, 1, items], rows sum to 1."""
        x = self.instances(batch)
        return self.pool.associate.association(self.pool.states.expand(len(x), -1, -1), x, batch.get("mask"))


class Bags(_Pooled):
    """x [N, items * width] or [N, items, width]; no `hidden`: instances as they are."""

    def __init__(
        self,
        inputs: int,
        items: int,
        hidden: int = 64,
        dim: int = 32,
        heads: int = 4,
        beta: float = 1.0,
        steps: int = 1,
    ):
        _divides(inputs, items)
        super().__init__(items, hidden or inputs // items, dim, heads, beta, steps)
        width = inputs // items
        self.read = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()

    def instances(self, batch: Batch) -> Tensor:
        """[N, items, hidden]"""
        x: Tensor = self.read(batch["x"].reshape(len(batch["x"]), self.items, -1))
        return x


class MotifBags(_Pooled):
    """x [N, items * length] of letters 0 .. letters - 1 (others are none); motifs of `kernel` letters at any place."""

    def __init__(
        self,
        inputs: int,
        items: int,
        letters: int = 20,
        kernel: int = 5,
        hidden: int = 32,
        dim: int = 32,
        heads: int = 4,
        beta: float = 1.0,
        steps: int = 1,
    ):
        _divides(inputs, items)
        super().__init__(items, hidden, dim, heads, beta, steps)
        self.letters = letters
        self.read = nn.Conv1d(letters, hidden, kernel, padding=kernel // 2)

    def instances(self, batch: Batch) -> Tensor:
        """[N, items, hidden]: how well each motif fits at its best place."""
        x = batch["x"].reshape(len(batch["x"]) * self.items, -1).round().long()
        x = torch.where((x < 0) | (x >= self.letters), self.letters, x)
        ones = F.one_hot(x, self.letters + 1)[..., : self.letters].to(
            self.read.weight.dtype
        )  # [N * items, length, letters]
        found = self.read(ones.transpose(1, 2)).relu().amax(2)
        return found.reshape(-1, self.items, found.shape[1])


class Prototypes(nn.Module):
    """x [N, inputs] -> [N, dim]: each row, projected, retrieves from `count` learned patterns, and keeps itself besides."""

    geometry: Geometry

    def __init__(self, inputs: int, count: int = 32, dim: int = 32, heads: int = 4, beta: float = 1.0, steps: int = 1):
        super().__init__()
        self.read = nn.Linear(inputs, dim)
        self.layer = HopfieldLayer(dim, dim, count, heads=heads, beta=(beta,) * heads, steps=steps)
        self.dim, self.geometry = dim, Sphere()

    def forward(self, batch: Batch) -> Tensor:
        """x [N, inputs] -> [N, dim]"""
        state = self.read(batch["x"].flatten(1))
        z: Tensor = state + self.layer(state[:, None])[:, 0]
        return z

    def embed(self, batch: Batch) -> Tensor:
        """The same."""
        return self.forward(batch)


def _divides(inputs: int, items: int) -> None:
    if items < 1 or inputs % items:
        raise SemblanceError(
            f"a row has {inputs} numbers, which are not {items} equal instances: give items that divide it"
        )
