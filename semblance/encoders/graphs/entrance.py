"""Entrance: the first state of a node, a linear map of its features, where the layers that follow want states of one width.

    x_0 = dropout(features) W^T + b

Bags of words stay sparse up to here. Where the data has no features a node is told by its degree (`inputs.py`).
"""

from __future__ import annotations

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.encoders.graphs.inputs import InputLinear, features_of, width_of_features


class Entrance(nn.Module):
    """The `initial` of a stack: batch -> [V, dim]."""

    def __init__(self, shape: Shape, dim: int, dropout: float = 0.0):
        super().__init__()
        self.map, self.dim = InputLinear(width_of_features(shape), dim, dropout=dropout), dim

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim]."""
        states: Tensor = self.map(features_of(batch).to(self.map.weight.dtype))
        return states
