"""Units: every task reads its own mixture of a trunk's blocks, so that what two tasks share shows in the weights.

    read_t(x) = sum over blocks m of a_tm size(block_m(x)),    embedding = mean over tasks and places of what they read

`size` brings a block's map to the sides of the last (means of cells) and to the width of the widest (zeros). a_t = (0, ...,
0, 1) reads the last block as it is: then the net is its trunk. A sparse a is objectives/pretexts/combined.py's to ask for.

Doersch & Zisserman 2017, arXiv:1708.07860, section 3.2."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown

STARTS = ("even", "last")


class Units(nn.Module):
    """A stage net read by `tasks` tasks. `start`: all blocks alike, or the last one only."""

    def __init__(self, trunk: nn.Module, tasks: int, start: str = "even"):
        super().__init__()
        if start not in STARTS:
            raise unknown("start of the mixture", start, STARTS)
        widths = getattr(trunk, "widths", None)
        if widths is None:
            raise SemblanceError(
                f"a {type(trunk).__name__} has no blocks to be mixed: take a stage net, such as backbone=small"
            )
        self.trunk: Any = trunk
        self.dim, self.geometry = max(widths), self.trunk.geometry
        share = torch.full((tasks, len(widths)), 1 / len(widths))
        if start == "last":
            share = torch.eye(len(widths))[-1].repeat(tasks, 1)
        self.share = nn.Parameter(share)

    def forward(self, batch: Batch) -> list[Tensor]:
        """x [N, C, H, W] -> the maps of all blocks, as the trunk gives them."""
        maps: list[Tensor] = self.trunk(batch)
        return maps

    def read(self, batch: Batch, share: Tensor) -> Tensor:
        """x [N, C, H, W] and weights of the blocks [M] -> [N, dim, h, w]."""
        maps = self.forward(batch)
        size = maps[-1].shape[2:]
        units = [self.sized(each, size) for each in maps]
        mixed: Tensor = torch.stack([a.to(unit) * unit for a, unit in zip(share, units, strict=True)]).sum(0)
        return mixed

    def sized(self, unit: Tensor, size: torch.Size) -> Tensor:
        """[N, C, H, W] -> [N, dim, h, w]."""
        if unit.shape[2:] != size:
            unit = F.adaptive_avg_pool2d(unit, size)
        lacking = self.dim - unit.shape[1]
        return F.pad(unit, (0, 0, 0, 0, 0, lacking)) if lacking else unit

    def embed(self, batch: Batch) -> Tensor:
        """x [N, C, H, W] -> [N, dim]."""
        return self.read(batch, self.share.mean(0)).mean((2, 3))
