"""Pieces: where one piece of a picture stands beside another, and in which order pieces were put.

    beside    the middle one of 3 by 3 cells and one of its neighbours: which?   Doersch et al. 2015, arXiv:1505.05192
    ordered   all pieces in a drawn order, among orders far apart: which order?  Noroozi & Favaro 2016, arXiv:1603.09246

Between pieces lies a gap, and each is moved by a drawn jitter within its cell, so that lines that run on across a border
give nothing away. Every piece is brought to half the picture's side, so that a trunk for pictures still has a map of it."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import Posed

AROUND = (0, 1, 2, 3, 5, 6, 7, 8)  # the cells around the middle one, row by row


def pieces(x: Tensor, cells: int, chosen: Tensor, gap: float = 0.25) -> Tensor:
    """[N, C, H, W] and cells [N, k], numbered row by row -> [N, k, C, H/2, W/2]: of each a square smaller by `gap` of its
    side, anywhere in it."""
    (n, channels, height, width), count = x.shape, chosen.shape[1]
    if min(height, width) < 2 * cells:
        raise SemblanceError(
            f"pictures of {height} by {width} pixels have no {cells} by {cells} pieces: give larger pictures (size=)"
        )
    # Centres of the cells from -1 to 1, and the room that the gap leaves on either side.
    centre = torch.stack([chosen % cells, chosen // cells], 2).float().add(0.5).mul(2 / cells).sub(1)
    place = centre + gap / cells * (2 * torch.rand(n, count, 2) - 1)
    share = (1 - gap) / cells
    maps = torch.cat([(share * torch.eye(2)).expand(n, count, 2, 2), place[..., None]], 3).flatten(0, 1).to(x)
    grid = F.affine_grid(maps, [n * count, channels, height // 2, width // 2], align_corners=False)
    again = x[:, None].expand(-1, count, -1, -1, -1).reshape(n * count, channels, height, width)
    return F.grid_sample(again, grid, padding_mode="border", align_corners=False).unflatten(0, (n, count))


class Beside:
    """Two pieces; the target says which of the eight neighbours the second one is."""

    answers = 8

    def __init__(self, gap: float = 0.25):
        self.gap = gap

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> pairs [N, 2, C, H/2, W/2], target [N]."""
        target = torch.randint(8, (len(x),))
        chosen = torch.stack([torch.full_like(target, 4), torch.tensor(AROUND)[target]], 1)
        return Posed(pieces(x, 3, chosen, self.gap), target.to(x.device))


class Ordered:
    """All pieces, in one of `orders` [K, cells cells]; the target says which."""

    def __init__(self, cells: int = 2, count: int = 24, gap: float = 0.15):
        self.cells, self.gap, self.orders = cells, gap, far_apart(cells * cells, count)

    @property
    def answers(self) -> int:
        """How many orders there are."""
        return len(self.orders)

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> pieces in their order [N, cells cells, C, H/2, W/2], target [N]."""
        target = torch.randint(len(self.orders), (len(x),))
        return Posed(pieces(x, self.cells, self.orders[target], self.gap), target.to(x.device))


@lru_cache(maxsize=8)
def far_apart(items: int, count: int) -> Tensor:
    """[count, items]: orders chosen one after the other, each as far as can be from those chosen before, by the number of
    places that differ; the first is the order as it is. Up to nine items."""
    if not 2 <= items <= 9:
        raise SemblanceError(f"orders of {items} pieces are asked for: give 2 to 9")
    every = np.array(list(permutations(range(items))), np.int8)
    if not 2 <= count <= len(every):
        raise SemblanceError(f"{count} orders of {items} pieces are asked for: give 2 to {len(every)}")
    chosen = [0]
    nearest = (every != every[0]).sum(1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, (every != every[chosen[-1]]).sum(1))
    return torch.from_numpy(every[chosen].astype(np.int64))
