"""Compatible: a new network whose embeddings may stand beside those of an old one, which stays as it is.

    loss = mean over triples of gap(a, b), drawn from the new embeddings and the old ones alike

Every item of a batch is there twice, as the old and as the new network see it, under one label; the triples are mined among
all of them, and what is of the old network alone teaches nothing. Schroff et al. 2015, arXiv:1503.03832 (harmonic
embeddings): the new network's last layer starts as the old one's and learns first, then the whole.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.objectives.mined import Mined


class Compatible(nn.Module):
    """`mined` with an old encoder, which is neither trained nor kept."""

    needs = frozenset({"labels"})
    old: Any

    def __init__(self, old: nn.Module, mined: Mined):
        super().__init__()
        self.old, self.mined = old.requires_grad_(False), mined

    def train(self, mode: bool = True) -> Compatible:
        """The old network answers as it did: always in eval mode."""
        super().train(mode)
        self.old.eval()
        return self

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x, labels [N] -> scalar, {loss, triples: how many of them the new network can change}."""
        with torch.no_grad():
            old = F.normalize(self.old.embed(batch).float(), dim=1)
        new = F.normalize(model.embed(batch).float(), dim=1)
        z, labels = torch.cat([new, old]), batch["labels"].repeat(2)
        anchor, positive, negative = self.mined.mining(z, labels)
        # An item is no positive of itself, and three old ones are as they are.
        n = len(new)
        kept = (anchor % n != positive % n) & ((anchor < n) | (positive < n) | (negative < n))
        anchor, positive, negative = anchor[kept], positive[kept], negative[kept]
        gaps = self.mined.gap(self.mined.distance(z[anchor], z[positive]), self.mined.distance(z[anchor], z[negative]))
        loss = gaps.mean() if len(gaps) else new.sum() * 0
        return loss, {"loss": float(loss.detach()), "triples": float(len(gaps))}
