"""Regress: predict a number, in mean squared error.

    loss = mean over labelled units of ((prediction - label) / scale)^2

scale is the head's `deviation` where it has one, so that a loss of 1 is that of always answering the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class SquaredError(nn.Module):
    """Of `model(batch)` [N]; labels [N] are numbers, NaN where unknown."""

    needs = frozenset({"labels"})

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar (0 where no unit is labelled), {loss, rmse in the label's units, labelled: a share of the units}."""
        answered: Tensor = model(batch).float()
        labels = batch["labels"].to(answered)
        known = labels.isfinite()
        count = int(known.sum())
        metrics = {"labelled": count / max(len(labels), 1)}
        if count == 0:
            return answered.sum() * 0, {"loss": 0.0, **metrics}
        error = answered[known] - labels[known]
        scale = getattr(getattr(model, "head", None), "deviation", torch.ones(()))
        loss = (error / scale.to(error)).square().mean()
        rmse = float(error.detach().square().mean().sqrt())
        return loss, {"loss": float(loss.detach()), "rmse": rmse, **metrics}
