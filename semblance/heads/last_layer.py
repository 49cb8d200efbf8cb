"""The last layer of a network over related units, where it passes messages too (GCN, GAT, sheaf diffusion).

    logits = layer(states, graph)[nodes]

The encoder ends one layer before: its states are what a space holds, and this head scores classes from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.heads.classify import named


class LastLayer(nn.Module):
    """layer(states [V, d], graph) -> [V, K]; answers for the nodes that a batch asks for, all without `nodes`."""

    reads = "representation"

    def __init__(self, layer: nn.Module, dropout: float = 0.0, names: Sequence[str] = ()):
        super().__init__()
        self.layer, self.dropout, self.names = layer, nn.Dropout(dropout), tuple(names)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """[V, d] -> logits [n, K]."""
        logits: Tensor = self.layer(self.dropout(states), batch["graph"])
        return logits[batch["nodes"]] if "nodes" in batch else logits

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[n, K] -> the best class of each node: its name, or its number where no names are known."""
        return named(logits.argmax(1).tolist(), self.names)
