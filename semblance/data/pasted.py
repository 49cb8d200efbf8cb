"""Pasted: a blob cut out of one picture lies on another, and moves from one frame to the next, so that it is known which
pixels move, and how.

The outline is a circle that wavers: radius(angle) = r (1 + sum over k of a_k cos(k angle + phase_k))."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Pasted(NamedTuple):
    """first, second [n, C, H, W]: two frames; moved [n, H, W]: 1 where the blob lies in the first; step [n, 2]: by how many
    pixels it goes to the right and down."""

    first: Tensor
    second: Tensor
    moved: Tensor
    step: Tensor


def pasted(
    x: Tensor,
    radius: tuple[float, float] = (0.15, 0.3),
    step: tuple[float, float] = (2.0, 6.0),
    generator: torch.Generator | None = None,
) -> Pasted:
    """x [n, C, H, W], n of 2 or more: the blob comes from the next picture of the batch. `radius` in sides, `step` in
    pixels of a side of 32."""
    n, _, height, width = x.shape
    side = min(height, width)
    rand = torch.rand(n, 11, generator=generator)
    size = side * (radius[0] + (radius[1] - radius[0]) * rand[:, 0])
    centre = torch.stack([width * (0.2 + 0.6 * rand[:, 1]), height * (0.2 + 0.6 * rand[:, 2])], 1)
    length = (step[0] + (step[1] - step[0]) * rand[:, 3]) * side / 32
    way = 2 * math.pi * rand[:, 4]
    # Whole pixels, so that the second frame holds the first one's blob and not a resampled one; at least one.
    went = torch.stack([length * way.cos(), length * way.sin()], 1).round()
    still = (went == 0).all(1)
    went[:, 0] = torch.where(still, 1.0, went[:, 0])
    moved = blob(centre, size, 0.25 * rand[:, 5:8], 2 * math.pi * rand[:, 8:11], (height, width)).to(x)
    other = x.roll(1, 0)
    first = torch.where(moved[:, None] > 0, other, x)
    there, blob_there = displaced(moved[:, None], went), displaced(other, went)
    second = torch.where(there > 0, blob_there, x)
    return Pasted(first, second, moved, went)


def blob(centre: Tensor, size: Tensor, waver: Tensor, phase: Tensor, sides: tuple[int, int]) -> Tensor:
    """centre [n, 2] and size [n] in pixels, waver and phase [n, k] of the waves 2, 3, ... of the outline -> [n, H, W] of 0
    and 1."""
    down, across = (torch.arange(side) + 0.5 for side in sides)
    dx, dy = across[None, None] - centre[:, 0, None, None], down[None, :, None] - centre[:, 1, None, None]
    angle, far = torch.atan2(dy, dx), (dx.square() + dy.square()).sqrt()
    waves = torch.arange(2, 2 + waver.shape[1])[:, None, None]
    outline = (waver[..., None, None] * torch.cos(waves * angle[:, None] + phase[..., None, None])).sum(1)
    return (far <= size[:, None, None] * (1 + outline)).float()


def displaced(x: Tensor, step: Tensor) -> Tensor:
    """x [n, C, H, W], step [n, 2] in whole pixels to the right and down -> moved so; 0 comes in."""
    channels, height, width = x.shape[1:]
    rows = torch.arange(height)[None] - step[:, 1, None].long()
    columns = torch.arange(width)[None] - step[:, 0, None].long()
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    place = (rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]).flatten(1)
    seen = x.flatten(2).gather(2, place[:, None].expand(-1, channels, -1).to(x.device)).view_as(x)
    return seen * inside[:, None].to(x)
