"""Sphere: a classifier whose classes are directions, trained in order to be thrown away.

    loss = mean_i CE(s cos(z_i, w_c), y_i) + spread * mean over pairs of relu(cos(w_c, w_c'))^2 + centre * mean (1 - own_i)

Lengths do not count, there is no bias, and the scale s is fixed (10 to 30) or learned: with cosines alone a softmax could
never be sure. All training classes are compared at once, so no pairs or triples are formed. What varies:

    margin    taken from the cosine of the item's own class        Wang et al. 2018, arXiv:1801.09414
    angle     added to the angle to it, in radians                  Deng et al. 2019, arXiv:1801.07698
    spread    classes are kept apart
    centre    items are drawn to their class

What is kept is the embedding: classes never seen are named by the nearest mean of a few items (`heads/prototypes`).

Pereira et al. 2021, arXiv:2102.03243.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import precise


class Sphere(nn.Module):
    """Cross-entropy over directions of all training classes, [classes, dim]."""

    needs = frozenset({"labels"})

    def __init__(
        self,
        classes: int,
        dim: int,
        scale: float = 16.0,
        *,
        learn_scale: bool = False,
        margin: float = 0.0,
        angle: float = 0.0,
        spread: float = 0.0,
        centre: float = 0.0,
    ):
        super().__init__()
        if classes < 2:
            raise SemblanceError(
                f"there are {classes} classes, and one is told from another: give labels of two or more"
            )
        if scale <= 0:
            raise SemblanceError(
                f"scale is {scale}, but cosines are multiplied by it: give more than 0 (10 to 30 is usual)"
            )
        if not 0 <= angle < math.pi:
            raise SemblanceError(f"angle is {angle}, but it is added to one of 0 to pi radians: give 0 to below 3.14")
        self.weight = nn.Parameter(torch.randn(classes, dim) * dim**-0.5)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learn_scale)
        self.margin, self.angle, self.spread, self.centre = margin, angle, spread, centre

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x, labels [N] (-1: left out) -> scalar, {loss, accuracy}."""
        known = batch["labels"] >= 0
        z, labels = precise(model.embed(batch))[known], batch["labels"][known]
        loss, logits = self.score(z, labels)
        accuracy = float((logits.argmax(1) == labels).float().mean()) if len(labels) else 0.0
        return loss, {"loss": float(loss.detach()), "accuracy": accuracy}

    def score(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """z [N, d], labels [N] -> scalar, cosines [N, classes]."""
        directions = F.normalize(self.weight, dim=1)
        cosines = F.normalize(z, dim=1) @ directions.T
        if not len(z):
            return cosines.sum() * 0, cosines
        own = cosines.gather(1, labels[:, None])
        asked = own
        if self.angle:
            asked = torch.cos((own.clamp(-1 + 1e-6, 1 - 1e-6).acos() + self.angle).clamp_max(math.pi))
        logits = cosines.scatter(1, labels[:, None], asked - self.margin) * self.log_scale.exp()
        loss = F.cross_entropy(logits, labels)
        if self.spread:
            between = (directions @ directions.T).fill_diagonal_(0)
            loss = loss + self.spread * between.relu().square().sum() / (len(between) * (len(between) - 1))
        if self.centre:
            loss = loss + self.centre * (1 - own).mean()
        return loss, cosines
