"""Nested codes: the first d/8, d/4, d/2 and all numbers of an embedding each have a head and codes of their own, so that a
prefix says what it can and the rest adds to it.

    h_i(z) = cosines( mlp_i( A_i z[:d_i] ), codes_i ),    K_i = K d_i / d codes,    loss = mean_i D(h_i(z), h_i(target))

A_i is linear d_i x d_i, mlp_i has three layers with GELU. One level of all d is the head of DINO.

    Nested     the heads: [.., d] -> [.., sum of K_i], level after level
    PerLevel   D: a comparison of codes (`codes.py`) on each level's columns, the mean of them

Venkataramanan et al. 2025, arXiv:2507.14137; prefixes after Kusupati et al. 2022, arXiv:2205.13147.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.objectives.branches import Compare
from semblance.objectives.codes import Directions


def halvings(dim: int, levels: int) -> tuple[int, ...]:
    """dim, dim / 2, dim / 4, ... as many as there are levels."""
    if levels < 1 or dim % 2 ** (levels - 1):
        raise SemblanceError(f"{dim} numbers cannot be halved into {levels} levels: give a multiple of 2^(levels - 1)")
    return tuple(dim >> level for level in range(levels))


class Nested(nn.Module):
    """`dims` are the prefixes, the largest of which has `codes` codes; `widths` says how many each level has."""

    def __init__(self, dims: Sequence[int], codes: int, hidden: int = 256, bottleneck: int = 64):
        super().__init__()
        self.dims = tuple(dims)
        widest = max(self.dims)
        self.widths = tuple(codes * dim // widest for dim in self.dims)
        if min(self.widths) < 2:
            raise SemblanceError(f"{codes} codes leave {min(self.widths)} for a prefix of {min(self.dims)}: give more")
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, dim),
                nn.Linear(dim, hidden),
                nn.GELU(),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.Linear(hidden, bottleneck),
                Directions(bottleneck, width),
            )
            for dim, width in zip(self.dims, self.widths, strict=True)
        )

    def forward(self, z: Tensor) -> Tensor:
        """[.., d] -> [.., sum of K_i]."""
        rows = z.reshape(-1, z.shape[-1])
        found = torch.cat([level(rows[:, :dim]) for dim, level in zip(self.dims, self.levels, strict=True)], 1)
        return found.view(*z.shape[:-1], -1)


class PerLevel(nn.Module):
    """One comparison a level, of its columns alone."""

    def __init__(self, make: Callable[[int], Compare], widths: Sequence[int]):
        super().__init__()
        self.widths = tuple(widths)
        self.each = nn.ModuleList([make(width) for width in widths])  # type: ignore[misc]

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """[N, sum of K_i], the same -> scalar."""
        columns = zip(p.split(self.widths, 1), t.split(self.widths, 1), self.each, strict=True)
        return torch.stack([compare(a, b) for a, b, compare in columns]).mean()
