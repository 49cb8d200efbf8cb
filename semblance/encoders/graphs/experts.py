"""Experts: several encoders of the same units side by side, the weakest (and cheapest) first.

forward   their representations, a list: a head decides whom to believe (`heads/experts.py`)
embed     their embeddings of length 1 each, one after the other: near where all experts find it near
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class Experts(nn.Module):
    """Two encoders or more."""

    def __init__(self, experts: Sequence[nn.Module], geometry: Geometry | None = None):
        super().__init__()
        if len(experts) < 2:
            raise SemblanceError(f"{len(experts)} expert has nobody to leave a unit to: give two or more")
        self.experts = nn.ModuleList(experts)
        self.dim = sum(int(expert.dim) for expert in experts)  # type: ignore[arg-type]
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> list[Tensor]:
        """-> what each encoder gives."""
        return [expert(batch) for expert in self.experts]

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return torch.cat([F.normalize(expert.embed(batch), dim=1) for expert in self.experts], 1)  # type: ignore[operator]
