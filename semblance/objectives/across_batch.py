"""Across the batch: the network's classifier answers for items alone and for items that have looked at their batch.

    loss = CE(head([X; across(X)]), [y; y])     with log priors of the classes added to logits where it is `balanced`

`across` is dropped after training (`heads.batch_attention`). Balanced softmax counts the classes of the training set in a
survey, so that rare classes are not answered too seldom: Ren et al. 2020, arXiv:2007.10740.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError


class AcrossBatch(nn.Module):
    """`across` None: plain cross-entropy, for comparison."""

    needs = frozenset({"labels"})
    prior: Tensor  # [classes], logarithms of their shares

    def __init__(self, classes: int, across: nn.Module | None = None, balanced: bool = False):
        super().__init__()
        self.across, self.balanced = across, balanced
        self.register_buffer("prior", torch.zeros(classes))

    def survey(self, batches: Iterable[Batch]) -> None:
        """Count the classes."""
        labels = torch.cat([batch["labels"] for batch in batches])
        count = torch.bincount(labels[labels >= 0], minlength=len(self.prior)).float()
        self.prior.copy_((count / count.sum().clamp_min(1)).clamp_min(1e-9).log())

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """x, labels [N] -> scalar, {loss, accuracy of the items alone}."""
        labels = batch["labels"]
        known = labels >= 0
        if not bool(known.any()):
            raise SemblanceError(
                f"none of the {len(labels)} items of a batch has a label: give larger batches or more labels"
            )
        z, labels = model.embed(batch)[known], labels[known]
        each = [z] if self.across is None else [z, self.across(z)]
        logits = model.head(torch.cat(each), batch).float()
        adjusted = logits + self.prior if self.balanced else logits
        loss = F.cross_entropy(adjusted, labels.repeat(len(each)))
        right = (logits[: len(labels)].argmax(1) == labels).float().mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float(right)}

    def from_others(self, z: Tensor, labels: Tensor, head: Any) -> Tensor:
        """z, labels [N] -> [N]: of all that an item's loss pulls at features, the share that pulls at other items'."""
        z = z.detach().requires_grad_()
        each = [z] if self.across is None else [z, self.across(z)]
        losses = sum(F.cross_entropy(head(part, {}).float(), labels, reduction="none") for part in each)
        shares = []
        for i in range(len(z)):
            pull = torch.autograd.grad(losses[i], z, retain_graph=True)[0].norm(dim=1)  # type: ignore[index]
            shares.append(1 - pull[i] / pull.sum().clamp_min(1e-20))
        return torch.stack(shares)
