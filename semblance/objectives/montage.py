"""Montage: patches of all pictures of a batch, shuffled and put together as pictures, in one pass through the network.

    loss = cluster * SupCon(patches of one source) + locate * CE(position of the patch in its source)

Each picture is cut into m by m overlapping windows, each changed on its own and brought to 1/m of the side; the patches of
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
from semblance.errors import SemblanceError
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.neighbours import same_label


def cut(x: Tensor, m: int = 2, overlap: float = 0.3) -> Tensor:
    """[n, C, H, W] -> [n, m m, C, H/m, W/m], windows larger than their cell by `overlap` of its side, row by row."""
    n, _, height, width = x.shape
    if m < 2 or height % m or width % m:
        raise SemblanceError(
            f"pictures of {height} by {width} pixels do not divide into {m} by {m} patches: scale them"
        )
    cell = height // m, width // m
    window = [min(side, round(c * (1 + overlap))) for side, c in zip((height, width), cell, strict=True)]
    starts = [
        [round(k * (side - w) / (m - 1)) for k in range(m)] for side, w in zip((height, width), window, strict=True)
    ]
    parts = [x[:, :, top : top + window[0], left : left + window[1]] for top in starts[0] for left in starts[1]]
    patches = torch.stack(parts, 1).flatten(0, 1)
    if tuple(window) != cell:
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

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        projector: nn.Module,
        locate: nn.Module,
        m: int = 2,
        overlap: float = 0.3,
        temperature: float = 0.3,
        weights: tuple[float, float] = (1.0, 1.0),
        jitter: float = 0.4,
    ):
        super().__init__()
        self.projector, self.locate, self.m, self.overlap = projector, locate, m, overlap
        self.loss, self.weights, self.jitter = Contrast(same_label, Cosine(temperature)), weights, jitter

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [n, C, H, W] -> scalar, {loss, located: the share of patches whose position is told}."""
        order = torch.randperm(len(batch["x"]) * self.m**2).to(batch["x"].device)
        z = self.vectors(model, batch["x"], order)
        source, position = order // self.m**2, order % self.m**2
        told = self.locate(z)
        loss = self.weights[0] * self.loss(self.projector(z).float(), {"labels": source, "x": z})
        loss = loss + self.weights[1] * F.cross_entropy(told.float(), position)
        right = float((told.argmax(1) == position).float().mean())
        return loss, {"loss": float(loss.detach()), "located": right}

    def vectors(self, model: Any, x: Tensor, order: Tensor) -> Tensor:
        """x [n, C, H, W] and an order of its patches -> the vectors of the patches in this order, [n m m, d]."""
        patches = self.changed(cut(x, self.m, self.overlap))
        encoder: Any = getattr(model, "encoder", model)
        return per_cell(encoder({"x": montage(patches, order)})[-1].float(), self.m)

    def changed(self, patches: Tensor) -> Tensor:
        """[n, m m, C, h, w]: each mirrored or not, its contrast and brightness drawn. `jitter` 0: as they are."""
        if not self.jitter:
            return patches
        shape = (*patches.shape[:2], 1, 1, 1)
        mirror = (torch.rand(shape) < 0.5).to(patches.device)
        gain = (1 + self.jitter * (2 * torch.rand(shape) - 1)).to(patches)
        shift = (self.jitter * (2 * torch.rand(shape) - 1)).to(patches)
        return torch.where(mirror, patches.flip(-1), patches) * gain + shift
