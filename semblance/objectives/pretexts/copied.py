"""Copied: a grey moment of a film takes its colours from an earlier one, by pointing at places, and so learns to follow.

    A_ij = softmax over j of f_i . c_j / temperature,    answer_i = sum_j A_ij colour_j,    loss = |answer_i - colour_i|^2

i are places of this moment, j of the reference moment, f and c what the trunk says of them, both seen in grey.

Vondrick et al. 2018, arXiv:1806.09594, who copy one of 16 clusters of colours by cross-entropy; here the colour itself."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.dataset import Shape
from semblance.data.motion import film
from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import reading
from semblance.objectives.pretexts.colours import Shown
from semblance.objectives.pretexts.moments import Film


class CopiedColours(nn.Module):
    """`project` maps the trunk's map [M, C, h, w] to what is compared, [M, d, h, w]."""

    needs: frozenset[str] = frozenset()

    def __init__(self, shape: Shape, project: nn.Module, temperature: float = 0.1, of: Film = film):
        super().__init__()
        if temperature <= 0:
            raise SemblanceError(f"temperature is {temperature}: give a positive one (0.1 is usual)")
        self.shown, self.project, self.temperature, self.of = Shown(shape), project, temperature, of

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W] -> scalar, {loss}."""
        moments = self.of(batch["x"], 2)  # [N, 2, C, H, W]
        maps = self.project(reading(model, self.shown.grey(moments), "map").flatten(0, 1))
        points = F.normalize(maps.flatten(2), dim=1).unflatten(0, moments.shape[:2])  # [N, 2, d, T]
        colours = (
            F.adaptive_avg_pool2d(moments.flatten(0, 1), maps.shape[2:]).flatten(2).unflatten(0, moments.shape[:2])
        )
        share = (points[:, 1].mT @ points[:, 0] / self.temperature).softmax(2)  # [N, T, T]: from whom each copies
        loss = (share @ colours[:, 0].mT - colours[:, 1].mT).square().mean()
        return loss, {"loss": float(loss.detach())}
