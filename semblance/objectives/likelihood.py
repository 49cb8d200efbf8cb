"""Likelihood: an encoder that says how likely a unit is shall find the training units likely.

loss = - mean over units of log p(unit)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class Likelihood(nn.Module):
    """Of encoders with `log_likelihood(batch)` -> [n], or a bound from below."""

    needs: frozenset[str] = frozenset()

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss}: nats a unit."""
        encoder: Any = model.encoder
        loss: Tensor = -encoder.log_likelihood(batch).mean()
        return loss, {"loss": float(loss.detach())}
