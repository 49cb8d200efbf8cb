"""Regress: numbers from an embedding.

    y = mean + deviation * (W z + b)

The map works in units of the target's deviation (over the training units), so that rates and inits need not know its scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError


class Regress(nn.Module):
    """mean, deviation: those of the target; a deviation of 0 counts as 1."""

    deviation: Tensor
    mean: Tensor

    def __init__(self, dim: int, mean: float = 0.0, deviation: float = 1.0):
        super().__init__()
        if not 0 <= deviation < float("inf") or mean != mean:
            raise SemblanceError(
                f"the target has mean {mean} and deviation {deviation}: give numbers as labels, NaN if unknown"
            )
        self.map = nn.Linear(dim, 1)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("deviation", torch.tensor(float(deviation) or 1.0))

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> [N], in the target's units."""
        found: Tensor = self.mean + self.deviation * self.map(z)[:, 0]
        return found

    def decode(self, prediction: Tensor) -> list[float]:
        """[N] -> the numbers."""
        values: list[float] = prediction.tolist()
        return values
