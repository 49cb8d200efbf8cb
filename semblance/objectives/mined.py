"""Mined triples: a triplet loss over what a rule finds among the embeddings of a batch.

    loss = mean over the triples found of gap(a, b),    a = distance(f(x), f(x+)),  b = distance(f(x), f(x-))

The rule sees embeddings and labels (`data.semi_hard.SemiHard`, or any function of both), so that the memory of a batch
grows with its items and the triples that were found, and not with the pairs. Gaps and distances are those of `triplets.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.semi_hard import SemiHard, Triple
from semblance.objectives.triplets import Distance, Gap, distance_named, hinge


class Mined(nn.Module):
    """`directions` brings embeddings to length 1 first, as FaceNet has them. Without labels, with `from_views`, the other
    view of an item is its positive."""

    def __init__(
        self,
        mining: Callable[[Tensor, Tensor], Triple] | None = None,
        gap: Gap = hinge,
        distance: str | Distance = "squared",
        *,
        directions: bool = True,
        from_views: bool = False,
    ):
        super().__init__()
        self.mining, self.gap, self.directions, self.from_views = mining or SemiHard(), gap, directions, from_views
        self.distance = distance_named(distance) if isinstance(distance, str) else distance
        self.needs = frozenset({"views"} if from_views else {"labels"})

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, triples: how many were found, active: the share of them with a loss}. Where none is found all
        are apart, and the loss is 0."""
        if self.from_views:
            z = torch.cat([model.embed(view) for view in batch["views"]])
            labels = torch.arange(len(z) // len(batch["views"]), device=z.device).repeat(len(batch["views"]))
        else:
            z, labels = model.embed(batch), batch["labels"]
        z = F.normalize(z.float(), dim=1) if self.directions else z.float()
        gaps = self.of(z, labels)
        loss = gaps.mean() if len(gaps) else z.sum() * 0
        active = float((gaps > 0).float().mean()) if len(gaps) else 0.0
        return loss, {"loss": float(loss.detach()), "triples": float(len(gaps)), "active": active}

    def of(self, z: Tensor, labels: Tensor) -> Tensor:
        """z [N, d], labels [N] -> the gaps of the triples found, [T]."""
        anchor, positive, negative = self.mining(z, labels)
        return self.gap(self.distance(z[anchor], z[positive]), self.distance(z[anchor], z[negative]))
