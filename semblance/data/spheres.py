"""Spheres: a scene whose geometry is known. Some spheres before a picture, in its own colours, shaded by one lamp.

    depth at a pixel = the nearest sphere's z + sqrt(r^2 - distance^2),    light = ambient + (1 - ambient) max(0, n . l)

Rays are parallel, so a sphere is a disc and its normal is known where it is seen (Lambert's shading)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

AMBIENT = 0.25


class Scene(NamedTuple):
    """picture [n, C, H, W]; depth [n, H, W], from 0 (the picture behind) to 1 (nearest); normals [n, 3, H, W], right, down
    and towards the viewer, (0, 0, 1) where there is no sphere."""

    picture: Tensor
    depth: Tensor
    normals: Tensor


def spheres(
    behind: Tensor,
    count: int = 3,
    radius: tuple[float, float] = (0.12, 0.3),
    generator: torch.Generator | None = None,
) -> Scene:
    """behind [n, C, H, W], in whatever units -> the scenes, `count` spheres each."""
    n, channels, height, width = behind.shape
    rand = torch.rand(n, count, 5, generator=generator).to(behind)
    side = min(height, width)
    size = side * (radius[0] + (radius[1] - radius[0]) * rand[..., 0])[..., None, None]  # [n, S, 1, 1]
    down, across = (torch.arange(s, device=behind.device) + 0.5 for s in (height, width))
    dx = across[None, None, None] - width * rand[..., 1, None, None]
    dy = down[None, None, :, None] - height * rand[..., 2, None, None]
    inner = size.square() - dx.square() - dy.square()
    bulge = inner.clamp_min(0).sqrt()
    # A sphere's centre is as far as its own draw says; bulges count in the same unit, half the side.
    near = torch.where(inner > 0, rand[..., 3, None, None] + 2 * bulge / side, 0.0)  # [n, S, H, W]
    height_of, which = near.max(1)  # [n, H, W]
    covered = height_of > 0

    def seen(each: Tensor) -> Tensor:
        return each.expand(-1, -1, height, width).gather(1, which[:, None])[:, 0]

    normals = torch.stack([seen(dx / size), seen(dy / size), seen(bulge / size)], 1)
    flat = torch.tensor([0.0, 0.0, 1.0]).to(behind)[None, :, None, None]
    normals = torch.where(covered[:, None], normals, flat)
    lamp = F.normalize(torch.cat([2 * torch.rand(n, 2, generator=generator) - 1, torch.ones(n, 1)], 1), dim=1)
    light = AMBIENT + (1 - AMBIENT) * (normals * lamp.to(behind)[:, :, None, None]).sum(1).clamp_min(0)
    # Colours are those of places of the picture behind, so that they tell nothing; black is its own darkest.
    place = (rand[..., 4] * height * width).long().clamp_max(height * width - 1)
    colour = behind.flatten(2).gather(2, place[:, None].expand(-1, channels, -1))  # [n, C, S]
    painted = colour.gather(2, which.flatten(1)[:, None].expand(-1, channels, -1)).view(n, channels, height, width)
    black = behind.amin((2, 3), keepdim=True)
    picture = torch.where(covered[:, None], black + (painted - black) * light[:, None], behind)
    return Scene(picture, height_of / (1 + 2 * radius[1]), normals)
