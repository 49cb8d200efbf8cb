"""Classify: cross-entropy of the network's own head.

    loss = 1/n sum over labelled i of w_i CE(head(z_i), y_i),    CE = -sum_k q(k) log p(k),  q = (1 - s) [k = y] + s / K
    several classes an item: the mean over k of -y_k log sigmoid(f_k) - (1 - y_k) log sigmoid(-f_k), or, `shared`, the
    cross-entropy of a softmax with y / sum(y) (Mahajan et al. 2018, arXiv:1805.00932)

s is label smoothing (Szegedy et al. 2016, arXiv:1512.00567); w_i weighs items, 1 without weights (nearest neighbours
say which items are hard: Jia et al. 2021, arXiv:2112.08459). Items labelled -1, or with none of several
classes, are unlabelled and left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError, unknown

Weights = Callable[[Batch], Tensor]  # batch -> [N]
SEVERAL = ("each", "shared")


class CrossEntropy(nn.Module):
    """Cross-entropy of `model(batch)`, or of a side head that trains along and is dropped afterwards.

    several: what items of several classes are asked: every class by itself (`each`), or the share of each (`shared`).
    weights: a function of the batch giving [N], or a tensor [units] that is looked up by the batch's `index`. side: a
    head for `read(model, batch)` [N, d], where the network's own head is solved later or reads something else.
    """

    needs = frozenset({"labels"})
    weights: Tensor | None

    def __init__(
        self,
        smoothing: float = 0.0,
        weights: Weights | Tensor | None = None,
        side: nn.Module | None = None,
        read: Callable[[nn.Module, Batch], Tensor] | None = None,
        several: str = "each",
    ):
        super().__init__()
        if several not in SEVERAL:
            raise unknown("way with several classes", several, SEVERAL)
        if not 0 <= smoothing < 1:
            raise SemblanceError(
                f"smoothing is {smoothing}, but it is the share taken from the label: give 0 to below 1"
            )
        self.smoothing, self.side, self.read, self.several = smoothing, side, read, several
        self.weigh = weights if callable(weights) and not isinstance(weights, Tensor) else None
        self.register_buffer("weights", weights if isinstance(weights, Tensor) else None)

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar (0 where no item of the batch is labelled), {loss, accuracy, labelled: the share of labelled items}.

        labels: int64 [N], or bool [N, K] for several classes an item; accuracy is then the F1 over all items and classes.
        """
        logits = self._logits(model, batch).float()
        labels: Tensor = batch["labels"]
        several = labels.ndim == 2
        known = labels.any(1) if several else labels >= 0
        count = int(known.sum())
        metrics = {"labelled": count / max(len(labels), 1)}
        if count == 0:
            return logits.sum() * 0, {"loss": 0.0, **metrics}
        told, asked = logits[known], labels[known]
        if several and self.several == "shared":
            share = asked.to(told) / asked.sum(1, keepdim=True)
            each = F.cross_entropy(told, share, label_smoothing=self.smoothing, reduction="none")
        elif several:
            q = asked.to(told) * (1 - self.smoothing) + self.smoothing / 2
            each = F.binary_cross_entropy_with_logits(told, q, reduction="none").mean(1)
        else:
            each = F.cross_entropy(told, asked, label_smoothing=self.smoothing, reduction="none")
        weights = self._weights(batch)
        loss = (each if weights is None else each * weights[known].to(each)).sum() / count
        with torch.no_grad():
            right = micro_f1(told > 0, asked) if several else (told.argmax(1) == asked).float().mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float(right), **metrics}

    def _logits(self, model: nn.Module, batch: Batch) -> Tensor:
        if self.side is not None:
            z = model.embed(batch) if self.read is None else self.read(model, batch)  # type: ignore[operator]
            logits: Tensor = self.side(z, batch)
            return logits
        if getattr(model, "head", True) is None:
            raise SemblanceError(
                "cross-entropy needs a head to score classes and the recipe names none: Recipe(head=...)"
            )
        answered: Tensor = model(batch)
        return answered

    def _weights(self, batch: Batch) -> Tensor | None:
        if self.weigh is not None:
            return self.weigh(batch)
        return None if self.weights is None else self.weights[batch["index"]]


def micro_f1(answered: Tensor, wanted: Tensor) -> Tensor:
    """bool [N, K] each -> scalar: 2 hits / (answered + wanted), 0 where there is neither."""
    return 2 * (answered & wanted).sum() / (answered.sum() + wanted.sum()).clamp(min=1)
