"""Saliency: what in the input answers for a number that a network gives, by four signals.

    gradient    w = d target / d x, so that target ~ w.x + b; by a rule of `backward_rules`
    integrated  (x - neutral) times the mean of w along the straight way from neutral to x, which sums to
                target(x) - target(neutral)
    occlusion   target with a part of x made neutral; looks from outside, and needs no gradient
    class model the input that maximises a class:  argmax_x S_c(x) - penalty |x|^2, from the neutral input

`target` is any function [n, ...] -> [n] that treats items apart: a class score before the softmax, a unit of a layer, a
similarity. Readings: `strength` (the largest |w| over channels) and `cells` (sums over a grid). References: Simonyan et al.
2013, arXiv:1312.6034; Sundararajan et al. 2017, arXiv:1703.01365; Zeiler & Fergus 2013, arXiv:1311.2901.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.analysis.backward_rules import backward_rule
from semblance.errors import SemblanceError, unknown

Target = Callable[[Tensor], Tensor]
AT_ONCE = 64  # inputs in a pass of occlusion and of integrals


def gradient(target: Target, x: Tensor, rule: str = "gradient") -> Tensor:
    """[n, ...] -> the same, d target / d x by this backward rule."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), backward_rule(rule):
        value = target(x)
        if not value.requires_grad:
            raise SemblanceError("the target has no gradient for the input: use occlusion, which looks from outside")
        return torch.autograd.grad(value.sum(), x)[0]


def integrated(target: Target, x: Tensor, neutral: Tensor | float = 0.0, steps: int = 50) -> Tensor:
    """[n, ...] -> the same: shares that sum to target(x) - target(neutral), up to the midpoint rule's error."""
    if steps < 1:
        raise SemblanceError(f"steps is {steps}: give 1 or more (20 to 100 is usual)")
    way, total = x - neutral, torch.zeros_like(x)
    at = (torch.arange(steps, dtype=x.dtype) + 0.5) / steps
    for part in at.split(max(1, AT_ONCE // len(x))):
        points = neutral + part.view(-1, *[1] * x.ndim) * way  # [s, n, ...]
        total += gradient(target, points.flatten(0, 1)).view_as(points).sum(0)
    return way * total / steps


@torch.no_grad()
def occluded(target: Target, x: Tensor, hidden: Tensor, neutral: Tensor | float = 0.0) -> Tensor:
    """x [n, C, H, W] (or [n, d]) and hidden [P, H, W] (or [P, d]) bool -> [n, P]: the target with those places neutral."""
    masks = hidden[:, None] if x.ndim == 4 else hidden
    found = []
    for item in x:
        seen = [target(torch.where(part, neutral, item[None])) for part in masks.split(AT_ONCE)]
        found.append(torch.cat(seen))
    return torch.stack(found)


def strength(w: Tensor) -> Tensor:
    """[n, C, H, W] -> [n, H, W], the largest absolute value over channels."""
    return w.abs().amax(1)


def places(size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """[H, W] int64: which cell of a grid (in reading order) a pixel lies in."""
    rows, columns = (torch.arange(s) * g // s for s, g in zip(size, grid, strict=True))
    return rows[:, None] * grid[1] + columns


def cells(w: Tensor, grid: tuple[int, int]) -> Tensor:
    """[n, H, W] -> [n, P], sums over the cells of a grid."""
    where = places((w.shape[1], w.shape[2]), grid).flatten()
    return torch.zeros(len(w), grid[0] * grid[1], dtype=w.dtype).index_add(1, where, w.flatten(1))


def squares(size: tuple[int, int], side: int, stride: int = 1) -> Tensor:
    """[P, H, W] bool: a square of this side at every stride, cut off at the border, in reading order of its middle."""
    middles = [torch.arange(stride // 2, s, stride) for s in size]
    away = [(torch.arange(s)[None] - m[:, None]) for s, m in zip(size, middles, strict=True)]
    rows, columns = (((a >= -(side // 2)) & (a < side - side // 2)) for a in away)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


OBJECTIVES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "score": lambda logits, c: logits[:, c],
    "log-posterior": lambda logits, c: logits.log_softmax(1)[:, c],
    "posterior": lambda logits, c: logits.softmax(1)[:, c],
}


def class_model(
    logits: Callable[[Tensor], Tensor],
    classes: Tensor,
    item: tuple[int, ...],
    penalty: float = 0.1,
    objective: str = "score",
    steps: int = 200,
    lr: float = 0.1,
    momentum: float = 0.9,
) -> Tensor:
    """The input [n, *item] that is most of each class [n], in the encoder's scale around the neutral input 0.

    objective: score, log-posterior or posterior (which can also rise by lowering the other classes). Gradient ascent with
    momentum from zero; the weights do not change.
    """
    if objective not in OBJECTIVES:
        raise unknown("objective of a class model", objective, OBJECTIVES)
    if penalty <= 0:
        raise SemblanceError(f"penalty is {penalty}, and without one the image grows for ever: give a positive number")
    x = torch.zeros(len(classes), *item)
    velocity = torch.zeros_like(x)
    rise = OBJECTIVES[objective]
    # The penalty alone would make steps longer than 1 / (2 penalty) overshoot.
    lr = min(lr, 0.5 / penalty)

    def target(x: Tensor) -> Tensor:
        found = logits(x)
        return torch.stack([rise(found[i : i + 1], int(c))[0] for i, c in enumerate(classes)])

    for _ in range(steps):
        uphill = gradient(target, x) - 2 * penalty * x
        velocity = momentum * velocity + lr * uphill
        x = x + velocity
    return x


def over_crops(target: Target, x: Tensor, crop: int, rule: str = "gradient") -> Tensor:
    """[n, C, H, W] -> [n, H, W]: strength averaged over the four corner crops, the middle one and their mirrors, each put
    back where it was; `crop` is the side that the target takes."""
    n, _, height, width = x.shape
    if not 0 < crop <= min(height, width):
        raise SemblanceError(f"crop is {crop} for pictures of {height} by {width}: give at most the shorter side")
    low, right = height - crop, width - crop
    total, seen = torch.zeros(n, height, width, dtype=x.dtype), torch.zeros(height, width, dtype=x.dtype)
    for top, left in ((0, 0), (0, right), (low, 0), (low, right), (low // 2, right // 2)):
        part = x[:, :, top : top + crop, left : left + crop]
        straight = strength(gradient(target, part, rule))
        mirrored = strength(gradient(target, part.flip(3), rule)).flip(2)
        total[:, top : top + crop, left : left + crop] += (straight + mirrored) / 2
        seen[top : top + crop, left : left + crop] += 1
    return total / seen.clamp_min(1)


def upsampled(cell_values: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """[n, P] of a grid -> [n, H, W], bilinear."""
    maps = cell_values.view(-1, 1, *grid)
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)[:, 0]
