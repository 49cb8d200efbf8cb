"""Variational: an embedding with an uncertainty, which is to stay near the standard normal distribution.

    training    z = mean + exp(log_deviation) e,  e normal;      else z = mean
    penalty     mean over units of KL( N(mean, deviation^2) || N(0, 1) )

The penalty is left in `penalty` for `objectives/penalised.py`. References: Kingma & Welling 2014, arXiv:1312.6114; on
graphs Kipf & Welling 2016, arXiv:1611.07308."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.geometry.spaces import Euclidean, Geometry

FIRST = -2.0  # added to the logarithm of a deviation: with 1 at the start, noise is all that a decoder hears for long
WIDEST = 4.0  # of the logarithm of a deviation: beyond it the exponential runs away


class Variational(nn.Module):
    """An encoder whose `inner` answers twice `dim` numbers: means, and logarithms of deviations."""

    def __init__(self, inner: nn.Module, geometry: Geometry | None = None):
        super().__init__()
        self.inner, self.dim = inner, int(inner.dim) // 2  # type: ignore[arg-type]
        self.penalty: Tensor | float = 0.0
        self.geometry = Euclidean() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        return self._drawn(self.inner(batch))

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return self._drawn(self.inner.embed(batch))  # type: ignore[operator]

    def _drawn(self, told: Tensor) -> Tensor:
        mean, log_deviation = told.chunk(2, 1)
        if not self.training:
            return mean
        log_deviation = (log_deviation + FIRST).clamp(-WIDEST, WIDEST)
        each = mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation
        self.penalty = each.sum(1).mean() / 2
        return mean + log_deviation.exp() * torch.randn_like(mean)
