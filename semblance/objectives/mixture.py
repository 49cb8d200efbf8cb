"""Mixture: every unit's loss is that of its experts, weighed by how much each of them counts for it.

    weighed   mean over labelled i of  sum over experts m of  w_im CE(p_im, y_i)            Mowst
    joint     mean over labelled i of  CE( sum over m of w_im p_im, y_i )                   Mowst*

w comes from the confidence of weaker experts (`heads/experts.py`). Under `weighed`, a weak expert is rewarded for being
sure only where the stronger one does worse. `turn` names who learns: the others are held and answer without dropout. Zeng
et al. 2024, arXiv:2311.05185.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class Mixture(nn.Module):
    """joint: the second loss. through: whether the gradient passes the weights."""

    needs = frozenset({"labels"})

    def __init__(self, joint: bool = False, through: bool = True):
        super().__init__()
        self.joint, self.through = joint, through
        self.turn(None)

    def turn(self, expert: int | None, alone: bool = False) -> None:
        """Who learns from now on: one expert (`alone`: as if there were no other), or all of them."""
        self.expert, self.alone = expert, alone

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy and labelled; confidence: how much the weakest counts on average}."""
        if self.training and self.expert is not None:
            for m, (encoder, head) in enumerate(zip(model.encoder.experts, model.head.heads, strict=True)):
                encoder.train(m == self.expert)
                head.train(m == self.expert)
        logits, weight = model.head.told(model.encoder(batch), batch)
        labels: Tensor = batch["labels"]
        known = labels >= 0
        metrics = {"labelled": int(known.sum()) / max(len(labels), 1)}
        y = labels[known]
        if not len(y):
            return sum(each.sum() for each in logits) * 0, {"loss": 0.0, **metrics}
        weight = weight[known] if self.through else weight[known].detach()
        answers = [each[known].float() for each in logits]
        if self.alone and self.expert is not None:
            loss, p = F.cross_entropy(answers[self.expert], y), answers[self.expert].softmax(1)
        else:
            p = torch.stack([w[:, None] * a.softmax(1) for w, a in zip(weight.unbind(1), answers, strict=True)]).sum(0)
            if self.joint:
                loss = F.nll_loss(p.clamp_min(torch.finfo(p.dtype).tiny).log(), y)
            else:
                each = torch.stack([F.cross_entropy(a, y, reduction="none") for a in answers], 1)  # [n, experts]
                loss = (weight * each).sum(1).mean()
        with torch.no_grad():
            right = (p.argmax(1) == y).float().mean()
        told = {"accuracy": float(right), "confidence": float(weight[:, 0].detach().mean())}
        return loss, {"loss": float(loss.detach()), **told, **metrics}
