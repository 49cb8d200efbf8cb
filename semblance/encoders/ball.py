"""Ball: an encoder whose read-out is carried into the Poincare ball, z = exp0(f(x)), so that any network can be hyperbolic.

The length of f(x) becomes the distance from 0 (twice it), its direction stays. Reference: Khrulkov et al. 2020,
arXiv:1904.02239.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.geometry.ball import exp0
from semblance.geometry.spaces import PoincareBall


class InBall(nn.Module):
    """Any encoder of vectors, with its embedding in this ball."""

    def __init__(self, encoder: nn.Module, geometry: PoincareBall):
        super().__init__()
        self.encoder, self.geometry = encoder, geometry
        self.dim: int = encoder.dim  # type: ignore[assignment]

    def forward(self, batch: Batch) -> Any:
        """What the encoder itself gives: its maps stay Euclidean."""
        return self.encoder(batch)

    def embed(self, batch: Batch) -> Tensor:
        """x [N, ...] -> points [N, dim]."""
        z: Tensor = self.encoder.embed(batch)
        # Half precision would leave a few hundred places between 0 and the edge.
        return exp0(z.float() if z.itemsize < 4 else z, self.geometry.curvature)
