"""Groups: finite groups that act on images, as numbered elements. Element 0 is the identity.

    act(g, act(h, x)) = act(compose(g, h), x),    act(inverse(g), act(g, x)) = x

    Turns(4), Turns(2), Turns(1)   turns by 360/order degrees, anticlockwise: pixels change places, nothing is resampled
    FineTurns(8)                   45 degrees: quarter turns stay exact, the others are bilinear, and all (the identity
                                   too) show only the centre square that no turn takes out of the image, so that dark
                                   corners tell nothing. As maps of images these compose only up to resampling and crop.

Anything with `order`, `act`, `compose` and `inverse` joins: other domains have groups too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError


class Group(Protocol):
    """`order` elements, numbered from 0 (the identity), acting on batches."""

    @property
    def order(self) -> int: ...

    def act(self, g: int, x: Tensor) -> Tensor: ...

    def compose(self, g: int, h: int) -> int: ...

    def inverse(self, g: int) -> int: ...


class Cyclic:
    """The arithmetic of a group of turns: numbers modulo the order."""

    order: int

    def compose(self, g: int, h: int) -> int:
        """h first, then g."""
        return (g + h) % self.order

    def inverse(self, g: int) -> int:
        """The turn back."""
        return -g % self.order


@dataclass(frozen=True)
class Turns(Cyclic):
    """Turns by 360/order degrees that move pixels onto pixels: order 1, 2 or 4."""

    order: int = 4

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 4):
            raise SemblanceError(
                f"order is {self.order}, but only 1, 2 or 4 turns need no resampling: FineTurns has others"
            )

    def act(self, g: int, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same pixels turned; quarter turns need H = W."""
        quarters = g % self.order * (4 // self.order)
        if quarters % 2:
            _square(x)
        return torch.rot90(x, quarters, (-2, -1))


@dataclass(frozen=True)
class FineTurns(Cyclic):
    """Turns by 360/order degrees, seen through the centre square that all of them fill."""

    order: int = 8

    def __post_init__(self) -> None:
        if self.order < 1 or self.order % 4:
            raise SemblanceError(
                f"order is {self.order}, but fine turns contain the quarter turns: give a multiple of 4"
            )

    def act(self, g: int, x: Tensor) -> Tensor:
        """[N, C, S, S] float -> [N, C, s, s], s = `inner(S)`."""
        _square(x)
        side = x.shape[-1]
        size = inner(side)
        g = g % self.order
        if g * 4 % self.order == 0:
            edge = (side - size) // 2
            return torch.rot90(x, g * 4 // self.order, (-2, -1))[..., edge : edge + size, edge : edge + size]
        angle = 2 * math.pi * g / self.order
        cos, sin = math.cos(angle) * size / side, math.sin(angle) * size / side
        # Rows point down, so an anticlockwise turn looks at coordinates turned clockwise.
        map_ = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], dtype=x.dtype, device=x.device)
        grid = F.affine_grid(map_.expand(len(x), 2, 3), [len(x), x.shape[1], size, size], align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", align_corners=False)


def inner(side: int) -> int:
    """The side of the centre square that any turn of an image of this side fills; of the same parity, so that quarter
    turns of it move pixels onto pixels."""
    size = int(side / math.sqrt(2))
    return max(size - (side - size) % 2, 1)


def orbit(group: Group, x: Tensor, elements: Sequence[int] | None = None) -> Tensor:
    """[N, ...] -> [K * N, ...]: the whole batch under each of K elements (all of the group's), element after element."""
    return torch.cat([group.act(g, x) for g in (range(group.order) if elements is None else elements)])


def act_each(group: Group, elements: Tensor, x: Tensor) -> Tensor:
    """[N] elements, [N, ...] -> [N, ...]: every item under its own element."""
    parts, places = [], []
    for g in elements.unique().tolist():
        place = (elements == g).nonzero()[:, 0]
        parts.append(group.act(int(g), x[place]))
        places.append(place)
    return torch.cat(parts)[torch.cat(places).argsort()] if parts else x


def average(group: Group, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean of f over the orbit of x [N, ...]: whatever f was, this no longer knows how x was turned."""
    return f(orbit(group, x)).unflatten(0, (group.order, len(x))).mean(0)


def generated(group: Group, elements: Iterable[int]) -> tuple[int, ...]:
    """The subgroup that these elements generate: everything that products of them reach."""
    reached = {0}
    while True:
        more = reached | {group.compose(g, h) for g in (*reached, *elements) for h in (*reached, *elements)}
        if more == reached:
            return tuple(sorted(reached))
        reached = more


def _square(x: Tensor) -> None:
    if x.shape[-1] != x.shape[-2]:
        raise SemblanceError(
            f"images of {x.shape[-2]} by {x.shape[-1]} change their shape under a quarter turn: make them square (size=)"
        )
