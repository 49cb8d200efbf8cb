"""Moments: what a film says of its own order, and of what comes next. Films are courses of a camera over a picture
(data/motion.py), unless the data has a better one.

    verified   three moments in order, or the middle one not between the others?   Misra et al. 2016, arXiv:1603.08561
    sorted     four moments in a drawn order, back and forth alike: which of 12?   Lee et al. 2017, arXiv:1708.01246
    next       two moments: what does the next one look like?                      Srivastava et al. 2015, arXiv:1502.04681
    went       two moments: by how much has the camera moved, and turned?          Agrawal et al. 2015, arXiv:1505.01596
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from semblance.data.motion import film, look
from semblance.objectives.pretexts.asked import Posed

Film = Callable[[Tensor, int], Tensor]


class Verified:
    """Moments a, b, c of five in order, or b taken from before a: half each."""

    def __init__(self, of: Film = film):
        self.of = of

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> triples [N, 3, C, H, W], target [N] float, 1: in order."""
        moments = self.of(x, 5)
        ordered = torch.rand(len(x)) < 0.5
        outer = torch.where(torch.rand(len(x)) < 0.5, 0, 4)  # from before the first, or from behind the last
        middle = torch.where(ordered, 2, outer)
        chosen = torch.stack([torch.full_like(middle, 1), middle, torch.full_like(middle, 3)], 1)
        return Posed(moments[torch.arange(len(x))[:, None], chosen], ordered.to(x))


class Sorted:
    """Four moments in one of 12 orders, those read backwards being the same."""

    def __init__(self, of: Film = film):
        self.of = of
        self.orders = torch.tensor([order for order in permutations(range(4)) if order < order[::-1]])  # [12, 4]

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> [N, 4, C, H, W], target [N]."""
        target = torch.randint(len(self.orders), (len(x),))
        return Posed(self.of(x, 4)[torch.arange(len(x))[:, None], self.orders[target]], target.to(x.device))


class Next:
    """Two moments are seen, the third is asked."""

    def __init__(self, of: Film = film):
        self.of = of

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> [N, 2, C, H, W], target [N, C, H, W]."""
        moments = self.of(x, 3)
        return Posed(moments[:, :2], moments[:, 2])


class Went:
    """Two looks at a picture; the second is moved right or left, down or up, and turned, by one of three amounts each."""

    factors = (3, 3, 3)

    def __init__(self, reach: float = 0.2, turn: float = 12.0):
        self.reach, self.turn = reach, turn

    def __call__(self, x: Tensor) -> Posed:
        """[N, C, H, W] -> [N, 2, C, H, W], target [N, 3] of 0, 1, 2."""
        n = len(x)
        target = torch.randint(3, (n, 3))
        moved = (target[:, :2] - 1) * self.reach
        start = (2 * torch.rand(n, 2) - 1) * self.reach / 2
        turned = (target[:, 2] - 1) * math.radians(self.turn)
        shift = torch.stack([start, start + moved], 1)
        return Posed(look(x, shift, torch.stack([torch.zeros(n), turned], 1)), target.to(x.device))
