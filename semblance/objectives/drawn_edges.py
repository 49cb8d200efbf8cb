"""Edges that an encoder drew: those of nodes which came out right become likelier, those of the others rarer.

    loss = objective + weight * mean over labelled i of (accuracy of i so far - [i is right]) * sum over drawn j of log p_ij

log p_ij = -d_ij / T is what the encoder keeps of its last pass in `drawn` (encoders/graphs/latent.py). The accuracy so
far is a running mean, so that a node which is always right, or never, teaches nothing: the score function with a
baseline.

Reference: Kazi et al. 2022, Differentiable graph module, arXiv:2002.04999.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics

KEPT = 0.9
"""Share of a node's running accuracy that a step keeps."""


class DrawnEdges(nn.Module):
    """An objective of scores [n, K] with the reward beside it; `units` is how many `index` counts."""

    accuracy: Tensor

    def __init__(self, objective: nn.Module, units: int, weight: float = 1.0):
        super().__init__()
        self.objective, self.weight = objective, weight
        self.needs: frozenset[str] = getattr(objective, "needs", frozenset())
        self.register_buffer("accuracy", torch.full((units,), 0.5))

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, the objective's metrics with the whole loss and the `reward` in it."""
        logits = model(batch)
        loss, metrics = self.objective(lambda _: logits, batch)
        if not model.training:  # validation draws nothing
            return loss, metrics
        encoder: Any = model.encoder
        drawn, encoder.drawn = encoder.drawn, None  # what is left behind would keep autograd's graph
        drawn = drawn[batch["nodes"]] if "nodes" in batch else drawn
        labels, index = batch["labels"], torch.as_tensor(batch["index"])
        known = labels >= 0
        right = (logits.detach().argmax(1) == labels).float()[known]
        held = self.accuracy[index[known]]
        reward = ((held - right) * drawn.sum(1)[known]).sum() / max(int(known.sum()), 1)
        self.accuracy[index[known]] = KEPT * held + (1 - KEPT) * right
        total = loss + self.weight * reward
        return total, {**metrics, "loss": total.item(), "reward": float(reward.detach())}
