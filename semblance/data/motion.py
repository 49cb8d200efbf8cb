"""Films of pictures: one picture seen by a camera that moves over it, so that any folder of pictures is a folder of films.

    frame_t(p) = x(zoom_t R(angle_t) p + shift_t),    p from -1 to 1 along each side, bilinear, edges repeated

`film` draws an even course; `look` shows what given shifts, angles and zooms show. Digits so moved are the usual toy film:
Srivastava et al. 2015, arXiv:1502.04681."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError

WINDOW = 0.8  # of the picture's side that a frame shows: a camera that moves needs room


def look(x: Tensor, shift: Tensor, angle: Tensor, zoom: Tensor | None = None) -> Tensor:
    """x [n, C, H, W], shift [n, T, 2] in half sides, angle [n, T] in radians, zoom [n, T] (the share of the side that is
    seen, else 0.8) -> frames [n, T, C, H, W]."""
    n, frames = angle.shape
    zoom = torch.full_like(angle, WINDOW) if zoom is None else zoom
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    linear = torch.stack([cos, -sin, sin, cos], 2).unflatten(2, (2, 2))  # [n, T, 2, 2]
    maps = torch.cat([linear, shift[..., None]], 3).flatten(0, 1).to(x)
    channels, height, width = x.shape[1:]
    again = x[:, None].expand(-1, frames, -1, -1, -1).reshape(n * frames, channels, height, width)
    grid = F.affine_grid(maps, [n * frames, channels, height, width], align_corners=False)
    seen = F.grid_sample(again, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.unflatten(0, (n, frames))


def film(
    x: Tensor, frames: int, reach: float = 0.25, turn: float = 15.0, generator: torch.Generator | None = None
) -> Tensor:
    """x [n, C, H, W] -> [n, frames, C, H, W]: the camera goes `reach` half sides in some direction at an even pace, and
    turns by up to `turn` degrees either way on its way."""
    if frames < 2:
        raise SemblanceError(f"frames is {frames}, but a film shows something move: give 2 or more")
    n = len(x)
    time = torch.linspace(-1, 1, frames)[None]
    towards = 2 * math.pi * torch.rand(n, 1, generator=generator)
    direction = torch.stack([towards.cos(), towards.sin()], 2)  # [n, 1, 2]
    whole = math.radians(turn) * (2 * torch.rand(n, 1, generator=generator) - 1)
    return look(x, reach * time[..., None] * direction, whole * time)
