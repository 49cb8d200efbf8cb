"""Windows: a picture as m by m overlapping windows, each seen as a view of its own. Montages are put together of them.

    view k = view(window k),    a window being larger than its cell by `overlap` of the cell's side, row by row

A window is a map of coordinates like any crop: cutting it out, what is drawn within it and its colours are one pass.
Chen et al. 2021, arXiv:2104.00323.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from semblance.data.prepare import Prepare
from semblance.data.views import ByShape, Views, inside
from semblance.errors import SemblanceError


def spans(height: int, width: int, m: int, overlap: float) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """-> height and width of a window, and the tops and lefts of all m m of them, row by row."""
    if m < 2 or height % m or width % m:
        raise SemblanceError(
            f"pictures of {height} by {width} pixels do not divide into {m} by {m} patches: scale them"
        )
    sizes, starts = [], []
    for side in (height, width):
        size = min(side, round(side // m * (1 + overlap)))
        sizes.append(size)
        starts.append([round(k * (side - size) / (m - 1)) for k in range(m)])
    return (sizes[0], sizes[1]), [(top, left) for top in starts[0] for left in starts[1]]


@dataclass(frozen=True)
class Windows:
    """`m` by `m` views of a picture, each of a window's part of it and of 1/m of its side."""

    views: Views | ByShape
    m: int = 2
    overlap: float = 0.3

    @property
    def count(self) -> int:
        """How many views an item has."""
        return self.m**2

    def all(self, x: Tensor, generators: list[torch.Generator], prepare: Prepare) -> list[Tensor]:
        """x as stored, uint8 [n, C, H, W], and chance for every window -> the views, [n, C, H/m, W/m] each."""
        item = tuple(x.shape[1:])
        kind = self.views.choose(item) if isinstance(self.views, ByShape) else self.views
        kind = replace(kind, shrink=kind.shrink * self.m)
        _, height, width = item
        (high, wide), corners = spans(height, width, self.m, self.overlap)
        shown = []
        for (top, left), chance in zip(corners, generators, strict=True):
            window = torch.tensor([[wide / width, 0.0, left], [0.0, high / height, top]]).expand(len(x), 2, 3)
            maps = kind.draw(len(x), item, chance)
            maps = maps._replace(coordinates=inside(window, maps.coordinates).contiguous())
            shown.append(kind.show(x, maps, prepare))
        return shown

    def __call__(
        self, x: Tensor, generator: torch.Generator, prepare: Prepare, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """The first window."""
        return self.all(x, [generator] * self.count, prepare)[0].to(dtype)
