"""Montage: patches of all pictures of a batch, shuffled and put together as pictures, in one pass through the network.

    loss = cluster * SupCon(patches of one source) + locate * CE(position of the patch in its source)

Each picture comes as m by m overlapping windows, each a view of its own of 1/m of the side (`data.windows`); the patches of
the whole batch are dealt out to as many montages. The last map, cut where the patches meet, gives one vector a patch: a
small perceptron compares it with the others', a linear map says where it came from. Both are dropped after training.

Chen et al. 2021, arXiv:2104.00323 (jigsaw clustering).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.windows import spans
from semblance.errors import SemblanceError
from semblance.objectives.branches import precise
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import same_label


def cut(x: Tensor, m: int = 2, overlap: float = 0.3) -> Tensor:
    """[n, C, H, W] -> [n, m m, C, H/m, W/m], windows larger than their cell by `overlap` of its side, as they are."""
    n, _, height, width = x.shape
    (high, wide), corners = spans(height, width, m, overlap)
    cell = height // m, width // m
    patches = torch.stack([x[:, :, top : top + high, left : left + wide] for top, left in corners], 1).flatten(0, 1)
    if (high, wide) != cell:
        patches = F.interpolate(patches, cell, mode="bilinear", antialias=True, align_corners=False)
    return patches.unflatten(0, (n, m * m))


def montage(patches: Tensor, order: Tensor) -> Tensor:
    """Patches [n, m m, C, h, w] and an order of all n m m of them -> [n, C, m h, m w], cell after cell."""
    n, count, channels, h, w = patches.shape
    m = round(count**0.5)
    cells = patches.flatten(0, 1)[order].view(n, m, m, channels, h, w)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, m * h, m * w)


def per_cell(maps: Tensor, m: int) -> Tensor:
    """[n, C, H', W'] -> [n m m, C], the mean over each cell; small maps are enlarged first, so that cells have borders."""
    size = [-(-max(side, 4 * m) // m) * m for side in maps.shape[2:]]
    if size != list(maps.shape[2:]):
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return F.adaptive_avg_pool2d(maps, m).flatten(2).transpose(1, 2).flatten(0, 1)


class JigsawClustering(nn.Module):
    """`projector` [N, d] -> [N, dim] and `locate` [N, d] -> [N, m m] read the vector of a patch."""

    needs = frozenset({"views"})

    def __init__(
        self,
        projector: nn.Module,
        locate: nn.Module,
        m: int = 2,
        temperature: float = 0.3,
        weights: tuple[float, float] = (1.0, 1.0),
    ):
        super().__init__()
        self.projector, self.locate, self.m = projector, locate, m
        self.loss, self.weights = Contrast(same_label, Cosine(temperature)), weights

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: m m patches of each of n items, [n, C, h, w] -> scalar, {loss, located: the share of patches told their
        place}."""
        views = [view["x"] for view in batch["views"]]
        if len(views) != self.m**2:
            raise SemblanceError(
                f"each item has {len(views)} views, and montages take {self.m**2}: draw `Windows` of it"
            )
        patches = torch.stack(views, 1)
        order = torch.randperm(len(views) * len(patches)).to(patches.device)
        z = self.vectors(model, patches, order)
        source, position = order // self.m**2, order % self.m**2
        told = self.locate(z)
        loss = self.weights[0] * self.loss(precise(self.projector(z)), {"labels": source, "x": z})
        loss = loss + self.weights[1] * F.cross_entropy(precise(told), position)
        right = float((told.argmax(1) == position).float().mean())
        return loss, {"loss": float(loss.detach()), "located": right}

    def vectors(self, model: Any, patches: Tensor, order: Tensor) -> Tensor:
        """Patches [n, m m, C, h, w] and an order of them all -> their vectors in this order, [n m m, d]."""
        encoder: Any = getattr(model, "encoder", model)
        return per_cell(precise(encoder({"x": montage(patches, order)})[-1]), self.m)
