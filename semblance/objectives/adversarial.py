"""Adversarial prior: embeddings shall be spread as normal draws, as far as a discriminator can tell.

    loss = objective + weight * ( -log D(e) - log(1 - D(z)) ),   e normal; the gradient that reaches z is turned around

So one step improves the discriminator and fools it. Reference: Pan et al. 2018, Adversarially Regularized Graph
Autoencoder, arXiv:1802.04407; the turned gradient: `turned.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.objectives.turned import turned


class Adversarial(nn.Module):
    """An objective and a discriminator of the states of nodes, `dim` wide, which trains along and is dropped afterwards."""

    def __init__(self, objective: nn.Module, dim: int, hidden: int = 64, weight: float = 1.0):
        super().__init__()
        self.objective, self.weight, self.needs = objective, weight, objective.needs
        self.discriminator = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, the objective's metrics with the whole loss and `told`, how often the discriminator is right."""
        loss, metrics = self.objective(model, batch)
        z = turned(model.encoder(batch))  # type: ignore[operator]
        drawn, ours = self.discriminator(torch.randn_like(z)), self.discriminator(z)
        total = loss + self.weight * (F.softplus(-drawn).mean() + F.softplus(ours).mean())
        with torch.no_grad():
            told = torch.cat([drawn > 0, ours < 0]).float().mean()
        return total, {**metrics, "loss": float(total.detach()), "told": float(told)}
