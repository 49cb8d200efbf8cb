"""Penalised: what an encoder asks for beside the task, added to the loss.

    loss = objective + weight * encoder.penalty

The encoder leaves its penalty in the attribute `penalty` at every pass in training (`encoders/graphs/coarsen.py`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class Penalised(nn.Module):
    """An objective whose model's encoder has a penalty."""

    def __init__(self, objective: nn.Module, weight: float = 1.0):
        super().__init__()
        self.objective, self.weight, self.needs = objective, weight, objective.needs

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, the objective's metrics with the whole loss and the `penalty` in it."""
        loss, metrics = self.objective(model, batch)
        encoder: Any = model.encoder
        penalty, encoder.penalty = encoder.penalty, 0.0  # what is left behind would keep autograd's graph
        total = loss + self.weight * penalty
        return total, {**metrics, "loss": total.item(), "penalty": float(torch.as_tensor(penalty).detach())}
