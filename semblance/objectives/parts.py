"""Parts: prototypes of places are to be near their own class's pictures and far from the others'.

    loss = CE(logits, y) + cluster * mean of the least d_j to a prototype of y - separation * the same to the others

Needs a head with `nearest` and `owner` (heads/prototypes/image_parts.py). Reference: Chen et al. 2019,
arXiv:1806.10574."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class NearOwnParts(nn.Module):
    """The network's own answers by cross-entropy, with what its distances cost. The weights of the last layer are held:
    they are fitted by themselves."""

    needs = frozenset({"labels"})

    def __init__(self, cluster: float = 0.8, separation: float = 0.08):
        super().__init__()
        self.cluster, self.separation = cluster, separation

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar (0 where no item is labelled), {loss, accuracy, cluster, separation}."""
        head: Any = model.head
        nearest = head.nearest(model.encoder(batch))  # type: ignore[operator]
        labels: Tensor = batch["labels"]
        known = labels >= 0
        if not bool(known.any()):
            return nearest.sum() * 0, {"loss": 0.0}
        nearest, labels = nearest[known], labels[known]
        logits = F.linear(head.similarity(nearest), head.weight.detach())
        own = labels[:, None] == head.owner
        far = torch.finfo(nearest.dtype).max
        cluster = nearest.masked_fill(~own, far).amin(1).mean()
        separation = nearest.masked_fill(own, far).amin(1).mean()
        loss = F.cross_entropy(logits, labels) + self.cluster * cluster - self.separation * separation
        accuracy = float((logits.argmax(1) == labels).float().mean())
        told = {"cluster": float(cluster.detach()), "separation": float(separation.detach())}
        return loss, {"loss": float(loss.detach()), "accuracy": accuracy, **told}
