"""Centres: as many learned points as there are clusters, and the nearest one answers.

logits_k = -|z - mu_k|^2
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.heads.prototypes.class_means import squared_euclidean


class Centres(nn.Module):
    """`clusters` points; where they are `classes`, the answer is a class's number, else a cluster's name."""

    def __init__(self, dim: int, clusters: int, classes: bool = False):
        super().__init__()
        if clusters < 1:
            raise SemblanceError(f"there shall be {clusters} clusters: give 1 or more (--set clusters=...)")
        self.points, self.classes = nn.Parameter(torch.randn(clusters, dim)), classes

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> [N, K]."""
        return -squared_euclidean(z, self.points)

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the nearest centre of each item."""
        best: list[int] = logits.argmax(1).tolist()
        return best if self.classes else [f"cluster {k}" for k in best]
