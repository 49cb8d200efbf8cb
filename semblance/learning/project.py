"""Project: prototypes that become places of training pictures, and the last layer learned after that.

PutOntoParts   every prototype moves to the nearest place of any training picture of its class, and keeps which that was
RefitLast      the head's last layer alone, on the scores of all training pictures

Both walk the training units once, in order. The head is one with `maps`, `distances`, `project`, `scores` and `refit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.parts import Budget, Feed, Parts


@dataclass(frozen=True)
class PutOntoParts:
    """Yields once: how far the prototypes moved, in their own unit."""

    epochs: int = 1

    @torch.no_grad()
    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """The nearest place over all pictures; of equally near ones the first."""
        network = parts.network.to(data.device).eval()
        head = network.head
        count = len(head.prototypes)
        best = torch.full((count,), torch.inf)
        near = head.prototypes.detach().clone()
        source, place = torch.full((count,), -1), torch.full((count, 2), -1)
        for batch in data.in_order(256):
            if "labels" not in batch:
                raise SemblanceError("parts belong to classes and the data has no labels: name the column by --label")
            z = head.maps(network.encoder(batch))
            d = head.distances(z).flatten(2)  # [n, P, places]
            stranger = batch["labels"][:, None] != head.owner
            closest, at = d.min(2)
            closest = closest.masked_fill(stranger, torch.inf)
            low, who = closest.min(0)
            rows = (low < best).nonzero()[:, 0]
            spot = at[who[rows], rows]
            best[rows] = low[rows]
            near[rows] = z.flatten(2)[who[rows], :, spot]
            source[rows] = batch["index"].long()[who[rows]]
            place[rows] = torch.stack([spot // z.shape[3], spot % z.shape[3]], 1)
        yield {"epoch": 1.0, "moved": head.project(near, source, place)}


@dataclass(frozen=True)
class RefitLast:
    """Yields once: the loss reached. l1: on weights to other classes."""

    l1: float = 1e-4
    steps: int = 60
    epochs: int = 1

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Holds one score a prototype and unit."""
        network = parts.network.to(data.device).eval()
        scores, labels = [], []
        with torch.no_grad():
            for batch in data.in_order(256):
                scores.append(network.head.scores(network.encoder(batch)))
                labels.append(batch["labels"])
        every, known = torch.cat(scores), torch.cat(labels)
        yield {"epoch": 1.0, "loss": network.head.refit(every[known >= 0], known[known >= 0], self.l1, self.steps)}
