"""Normed: a layer whose answer is brought, at every node by itself, to mean 0 and deviation 1 over its channels.

y_v = gain * (layer(x, graph)_v - mean_v) / deviation_v + shift          layer norm: Ba et al. 2016, arXiv:1607.06450
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Normed(nn.Module):
    """layer(x [V, f], graph) -> [V, dim], normalised; the activation that follows is the stack's."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.dim = int(layer.dim)  # type: ignore[arg-type]
        self.layer, self.norm = layer, nn.LayerNorm(self.dim)

    def forward(self, x: Tensor, graph: Any) -> Tensor:
        """[V, f] -> [V, dim]."""
        states: Tensor = self.norm(self.layer(x, graph))
        return states
