"""Clusters: points, a few codes, and an assignment of the one to the other.

    Episode   codes are class means of a few support items, drawn anew for every task; the assignment is the label
              loss = mean over queries of -log softmax_k(-distance(z, c_k))       Snell et al. 2017, arXiv:1703.05175
              with read="matching" the support items vote themselves              Vinyals et al. 2016, arXiv:1606.04080

An episode is a batch of `data.samplers.Episodes`: of each label the first `shots` items are support, the rest queries.
`turns` shows the whole batch upright and turned by quarter turns, each turn of a class being a class of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.heads.prototypes.class_means import Distance, measure_named, scores


class Episode(nn.Module):
    """Cross-entropy of the queries of one few-shot task, in nats."""

    needs = frozenset({"labels"})

    def __init__(
        self,
        shots: int = 5,
        distance: str | Distance = "euclidean",
        read: str = "prototypes",
        scale: float = 1.0,
        turns: int = 1,
    ) -> None:
        super().__init__()
        if turns not in (1, 2, 4):
            raise SemblanceError(f"turns is {turns}, but a picture has 4 quarter turns: give 1, 2 (half turns) or 4")
        self.shots, self.distance, self.read, self.scale, self.turns = shots, distance, read, scale, turns
        measure_named(distance)

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy of the queries}."""
        labels: Tensor = batch["labels"]
        x = batch["x"]
        if self.turns > 1:
            if x.ndim != 4 or x.shape[2] != x.shape[3]:
                raise SemblanceError(f"items of shape {tuple(x.shape[1:])} cannot be turned: set turns to 1")
            quarter = 4 // self.turns
            x = torch.cat([x.rot90(quarter * turn, (2, 3)) for turn in range(self.turns)])
            labels = torch.cat([labels * self.turns + turn for turn in range(self.turns)])
        logits, target = task(
            model.embed({**batch, "x": x}).float(), labels, self.shots, self.distance, self.read, self.scale
        )
        loss = F.cross_entropy(logits, target)
        accuracy = float((logits.argmax(1) == target).float().mean())
        return loss, {"loss": float(loss.detach()), "accuracy": accuracy}


def task(
    z: Tensor,
    labels: Tensor,
    shots: int,
    distance: str | Distance = "euclidean",
    read: str = "prototypes",
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """One episode's embeddings [N, d] and labels [N] -> logits [Q, ways] and targets [Q] of its queries."""
    values, way = torch.unique(labels, return_inverse=True)
    support = occurrence(way) < shots
    if not bool((~support).any()):
        raise SemblanceError(
            f"an episode of {shots} shots and {len(labels)} items has no queries: draw more items a class"
        )
    return scores(z[~support], z[support], way[support], len(values), distance, read, scale), way[~support]


def occurrence(labels: Tensor) -> Tensor:
    """[N] -> [N]: how many of the same label stand before."""
    order = labels.argsort(stable=True)
    count = torch.bincount(labels)
    first = (count.cumsum(0) - count)[labels[order]]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(labels), device=labels.device) - first
    return place
