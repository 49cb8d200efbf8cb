"""Masks: which tokens of a picture are hidden, and which are seen.

scattered   any of them, each equally often, the same number in every picture
block       a rectangle; the middle of the picture is hidden more often than its corners
rolled      a rectangle that runs over the edges and comes in again on the other side: every token equally often
            (cyclic masks: Franca, Venkataramanan et al. 2025)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown

KINDS = ("scattered", "block", "rolled")


def places(
    count: int, grid: tuple[int, int], ratio: float, kind: str = "scattered", like: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`count` pictures of rows by columns of tokens -> the places that are seen [count, k] and hidden [count, T - k], each
    in order. One token at least is seen. Chance comes from torch's generator, which the loop sets at every step."""
    if kind not in KINDS:
        raise unknown("kind of mask", kind, KINDS)
    if not 0 <= ratio < 1:
        raise SemblanceError(f"mask ratio is {ratio}, but something must be seen: give 0 to below 1 (0.75 is usual)")
    tokens = grid[0] * grid[1]
    hidden = min(tokens - 1, round(ratio * tokens))
    score = torch.rand(count, tokens)
    if kind != "scattered" and hidden:
        # The rectangle first, then whatever else it takes to hide as many in every picture.
        score = score - 2 * blocks(count, grid, hidden / tokens, kind == "rolled").flatten(1)
    order = score.argsort(1)
    device = None if like is None else like.device
    return order[:, hidden:].sort(1).values.to(device), order[:, :hidden].sort(1).values.to(device)


def blocks(count: int, grid: tuple[int, int], share: float, rolled: bool = False) -> Tensor:
    """[count, rows, columns] of 0 and 1: a rectangle of about this share, its height and width drawn with it."""
    rows, columns = grid
    ratio = torch.exp((2 * torch.rand(count) - 1) * math.log(2.0))
    height = (rows * math.sqrt(share) * ratio.sqrt()).round().clamp(1, rows)
    width = (share * rows * columns / height).round().clamp(1, columns)
    free = (
        (torch.full_like(height, rows), torch.full_like(width, columns))
        if rolled
        else (rows - height + 1, columns - width + 1)
    )
    top, left = ((torch.rand(count) * span).floor() for span in free)
    down, across = torch.arange(rows)[None] - top[:, None], torch.arange(columns)[None] - left[:, None]
    if rolled:
        down, across = down % rows, across % columns
    inside = ((down >= 0) & (down < height[:, None]))[:, :, None] & ((across >= 0) & (across < width[:, None]))[:, None]
    return inside.float()
