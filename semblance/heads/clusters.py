"""Clusters: the answer of a network whose embedding already scores clusters.

c(x) = argmax_c z_c
"""

from __future__ import annotations

from torch import Tensor, nn

from semblance.contracts import Batch


class Clusters(nn.Module):
    """Passes cluster logits on and names the best cluster of each item. Clusters are numbered, not classes."""

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, K] -> [N, K]."""
        return z

    def decode(self, logits: Tensor) -> list[str]:
        """[N, K] -> "cluster 0" to "cluster K-1"."""
        return [f"cluster {k}" for k in logits.argmax(1).tolist()]
