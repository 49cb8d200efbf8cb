"""Perceptron: a hidden layer before a linear head, where one linear map of the embedding is not enough.

y = head( relu( W z + b ) )
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch


class Hidden(nn.Module):
    """A hidden layer of `width` units before another head: `answer`, made for that width, which also decodes."""

    def __init__(self, dim: int, width: int, answer: nn.Module):
        super().__init__()
        self.map, self.answer = nn.Linear(dim, width), answer

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> what the head answers."""
        answered: Tensor = self.answer(F.relu(self.map(z)), batch)
        return answered

    def decode(self, prediction: Tensor) -> list[str] | list[int] | list[float]:
        """As the head reads it."""
        read: list[str] | list[int] | list[float] = self.answer.decode(prediction)  # type: ignore[operator]
        return read
