"""Views of texts: a text as it might also have been written, with some of its words left out.

    drop   every token is left out with this probability
    cut    a stretch of so large a part of the text is left out, at a place drawn uniformly

What is left out becomes padding at its place, so that the others keep theirs; one token always stays. The second is span
cutoff (Shen et al. 2020, arXiv:2009.13818); the first word dropout (Iyyer et al. 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from semblance.data.pieces import PADDING
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class TextViews:
    """`count` views of each text."""

    count: int = 2
    drop: float = 0.1
    cut: float = 0.2

    def __post_init__(self) -> None:
        for name in ("drop", "cut"):
            if not 0 <= getattr(self, name) < 1:
                raise SemblanceError(
                    f"{name} is {getattr(self, name)}, but it is a part of the text: give 0 to below 1"
                )

    def __call__(self, x: Tensor, chance: torch.Generator, prepare: Callable[[Tensor], Tensor]) -> Tensor:
        """Tokens int64 [n, T] -> [n, T]."""
        place = torch.arange(x.shape[1])
        there = x != PADDING
        length = there.sum(1, keepdim=True)
        gone = torch.rand(x.shape, generator=chance) < self.drop
        width = (self.cut * length).floor()
        start = (torch.rand(len(x), 1, generator=chance) * (length - width + 1)).floor()
        gone |= (place >= start) & (place < start + width)
        kept = (torch.rand(len(x), 1, generator=chance) * length).floor()
        return prepare(torch.where(gone & (place != kept), PADDING, x))
