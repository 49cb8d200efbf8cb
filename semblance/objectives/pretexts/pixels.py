"""Pixels: the trunk sees less than there was, and a decoder paints what is missing.

    hidden    the middle is taken out: what stood there?       context encoders: Pathak et al. 2016, arXiv:1604.07379
    shrunk    of so many pixels only the mean is left: all?    super-resolution: Ledig et al. 2017, arXiv:1609.04802

Both papers add an adversarial loss, which makes pictures sharper; squared error alone is kept here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import Posed


class Hidden:
    """The middle, `share` of either side, is set to the mean (0); only its pixels are asked."""

    def __init__(self, share: float = 0.5):
        if not 0 < share < 1:
            raise SemblanceError(f"share is {share}, but so much of each side is hidden: give above 0 and below 1")
        self.share = share

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> seen [N, C, H, W], target of the same shape, nan where nothing is hidden."""
        within = torch.zeros(x.shape[2:], dtype=torch.bool, device=x.device)
        rows, columns = (middle(side, self.share) for side in x.shape[2:])
        within[rows, columns] = True
        return Posed(x.masked_fill(within, 0.0), x.masked_fill(~within, float("nan")))


def middle(side: int, share: float) -> slice:
    """The middle share of a side, at least a pixel."""
    size = max(1, round(side * share))
    return slice((side - size) // 2, (side - size) // 2 + size)


class Shrunk:
    """`factor` times `factor` pixels become their mean, and the picture is brought back to its size."""

    def __init__(self, factor: int = 4):
        if factor < 2:
            raise SemblanceError(f"factor is {factor}, but pictures are made smaller by it: give 2 or more")
        self.factor = factor

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> seen and target, both [N, C, H, W]."""
        small = max(1, x.shape[2] // self.factor), max(1, x.shape[3] // self.factor)
        seen = F.interpolate(F.adaptive_avg_pool2d(x, small), x.shape[2:], mode="bilinear", align_corners=False)
        return Posed(seen, x)
