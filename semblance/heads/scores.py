"""Scores: the embedding is the answer, one coordinate for each class, where the encoder ends in them.

For networks that propagate class scores and change them on the way (a gate at every node): no linear map may follow.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.heads.classify import named


class Scores(nn.Module):
    """logits = z; `names` are the classes in order, which `decode` then answers with."""

    def __init__(self, names: Sequence[str] = ()):
        super().__init__()
        self.names = tuple(names)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, K] -> logits [N, K]."""
        return z

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item: its name, or its number where no names are known."""
        return named(logits.argmax(1).tolist(), self.names)
