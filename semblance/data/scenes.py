"""Drawn scenes with masks: what is in a picture, and where, is known to the pixel.

    shape_scenes    one or several of disk, square ring, cross, triangle, each in a colour of its own, under noise
    two_digits      two digits of different classes in two of four quadrants, strokes as clutter, tinted background
    ground_scenes   a red disk in the upper half and a green block on the ground, each there or not

Pictures are float32 [N, 3, H, W]; those without noise lie in 0..1. Masks are bool. Everything comes from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.errors import SemblanceError

SHAPES = ("disk", "square ring", "cross", "triangle")
STROKES = 8
BLOCK = 512


@dataclass(frozen=True)
class Scenes:
    """x [N, 3, H, W]; masks [N, K, H, W], one a kind of object, empty where it is absent; kinds names them."""

    x: np.ndarray
    masks: np.ndarray
    kinds: tuple[str, ...]

    @property
    def present(self) -> np.ndarray:
        """[N, K] bool: which objects a scene holds."""
        found: np.ndarray = self.masks.any((2, 3))
        return found

    def __len__(self) -> int:
        return len(self.x)


def shape_masks(kind: np.ndarray, middle: np.ndarray, radius: np.ndarray, size: int) -> np.ndarray:
    """Kinds [n] (positions in SHAPES), middles [n, 2] in pixels and radii [n] -> bool [n, size, size]."""
    at = np.arange(size)
    down, right = at[None, :, None] - middle[:, :1, None], at[None, None, :] - middle[:, 1:, None]
    r = radius[:, None, None]
    square = np.maximum(np.abs(down), np.abs(right))
    every = np.stack(
        [
            down**2 + right**2 <= r**2,
            (square <= r) & (square > 0.5 * r),
            (square <= r) & (np.minimum(np.abs(down), np.abs(right)) <= 0.3 * r),
            (np.abs(down) <= r) & (np.abs(right) <= (down + r) / 2),
        ]
    )
    return np.take_along_axis(every, kind[None, :, None, None], 0)[0]


def shape_scenes(
    count: int,
    seed: int,
    objects: int = 1,
    noise: float = 0.25,
    radius: tuple[int, int] = (4, 7),
    size: int = 32,
    centred: bool = False,
) -> Scenes:
    """Scenes of `objects` different shapes, none over another's middle: where one would be, all are placed again."""
    if not 1 <= objects <= len(SHAPES):
        raise SemblanceError(f"objects is {objects}: a scene holds 1 to {len(SHAPES)}")
    rng = np.random.default_rng([seed, count, objects])
    kinds = rng.permuted(np.tile(np.arange(len(SHAPES)), (count, 1)), axis=1)[:, :objects]
    radii = rng.integers(radius[0], radius[1] + 1, (count, objects))
    margin = radii[:, :, None]
    colours = rng.uniform(0.4, 1, (count, objects, 3))
    middles = np.full((count, objects, 2), size // 2)
    if not centred:
        middles = _apart(margin, size, rng)
    x = rng.normal(0, noise, (count, 3, size, size)).astype(np.float32)
    masks = np.zeros((count, len(SHAPES), size, size), bool)
    for k in range(objects):
        drawn = shape_masks(kinds[:, k], middles[:, k], radii[:, k], size)
        masks &= ~drawn[:, None]
        masks[np.arange(count), kinds[:, k]] = drawn
    seen = masks[np.arange(count)[:, None], kinds]  # [N, objects, H, W]
    x += np.einsum("nohw,noc->nchw", seen.astype(np.float32), colours.astype(np.float32))
    return Scenes(x, masks, SHAPES)


def _apart(margin: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Middles [N, K, 2] whose shapes stay in the picture and further from each other than the larger radius."""
    count, objects = margin.shape[:2]
    middles = rng.integers(margin, size - margin, (count, objects, 2))
    for _ in range(100):
        gap = np.abs(middles[:, :, None] - middles[:, None]).max(-1)
        close = (gap <= np.maximum(margin, margin.transpose(0, 2, 1))) & ~np.eye(objects, dtype=bool)
        again = close.any((1, 2))
        if not again.any():
            break
        middles[again] = rng.integers(margin[again], size - margin[again], (int(again.sum()), objects, 2))
    return middles


@dataclass(frozen=True)
class TwoDigits:
    """x uint8 [N, 3, 56, 56]; digits [N, 2], of different classes; quadrants [N, 2], 0 to 3 in reading order; tint [N], one
    of `TINTS` background colours."""

    x: np.ndarray
    digits: np.ndarray
    quadrants: np.ndarray
    tint: np.ndarray


TINTS = np.array(
    [[0.5, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.5], [0.4, 0.4, 0.1], [0.4, 0.1, 0.4], [0.1, 0.4, 0.4]], np.float32
)


def two_digits(x: np.ndarray, labels: np.ndarray, count: int, seed: int) -> TwoDigits:
    """Digits uint8 [M, 1, 28, 28] with labels [M] -> scenes of two of them."""
    if x.shape[1:] != (1, 28, 28):
        raise SemblanceError(f"digits have shape {list(x.shape[1:])}: give uint8 [M, 1, 28, 28]")
    rng = np.random.default_rng([seed, count])
    first = rng.integers(0, len(x), count)
    second = rng.integers(0, len(x), count)
    while (same := labels[first] == labels[second]).any():
        second[same] = rng.integers(0, len(x), int(same.sum()))
    chosen = np.stack([first, second], 1)
    quadrants = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)[:, :2]
    tint = rng.integers(0, len(TINTS), count)
    out = np.empty((count, 3, 56, 56), np.uint8)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        light = _strokes(len(rows), 56, rng)
        parts = light.reshape(-1, 2, 28, 2, 28).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 28, 28)
        for k in range(2):
            places = (np.arange(len(rows)), quadrants[rows, k])
            parts[places] = np.maximum(parts[places], x[chosen[rows, k], 0] / np.float32(255))
        light = parts.reshape(-1, 2, 2, 28, 28).transpose(0, 1, 3, 2, 4).reshape(-1, 1, 56, 56)
        ground = TINTS[tint[rows]][:, :, None, None]
        out[rows] = np.round(255 * (ground + (1 - ground) * light)).astype(np.uint8)
    return TwoDigits(out, labels[chosen], quadrants, tint)


def _strokes(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """[n, size, size] in 0..0.8: short lines anywhere."""
    start = rng.uniform(0, size, (count, STROKES, 2))
    angle, length = rng.uniform(0, np.pi, (count, STROKES)), rng.uniform(3, 8, (count, STROKES))
    along = np.stack([np.sin(angle), np.cos(angle)], -1)
    light = np.zeros((count, size, size), np.float32)
    at = np.arange(size, dtype=np.float32)
    for k in range(STROKES):
        (sine, cosine), far = along[:, k, :, None, None].swapaxes(0, 1).astype(np.float32), length[:, k, None, None]
        down = at[None, :, None] - start[:, k, :1, None].astype(np.float32)
        right = at[None, None, :] - start[:, k, 1:, None].astype(np.float32)
        way = (down * sine + right * cosine).clip(0, far.astype(np.float32))
        gap = np.sqrt((down - way * sine) ** 2 + (right - way * cosine) ** 2)
        np.maximum(light, 0.8 * (1.5 - gap).clip(0, 1), out=light)
    return light


def ground_scenes(count: int, seed: int, size: int = 16, chance: float = 0.6) -> Scenes:
    """A red disk (radius 2 or 3) in the upper half and a green block standing on the ground, each with this probability;
    the lower third is ground of a dull colour."""
    rng = np.random.default_rng([seed, count, size])
    x = np.zeros((count, 3, size, size), np.float32)
    x[:, 2, : size * 2 // 3] = 0.5
    x[:, :, size * 2 // 3 :] = np.array([0.3, 0.25, 0.2], np.float32)[:, None, None]
    there = rng.random((count, 2)) < chance
    radius = rng.integers(2, 4, count)
    middle = np.stack([rng.integers(3, size // 2 - 1, count), rng.integers(3, size - 3, count)], 1)
    disk = shape_masks(np.zeros(count, int), middle, radius, size) & there[:, :1, None]
    at = np.arange(size)
    left, width, height = rng.integers(1, size - 6, count), rng.integers(3, 6, count), rng.integers(3, 6, count)
    floor = size - 2
    block = (at[None, :, None] < floor) & (at[None, :, None] >= floor - height[:, None, None])
    block = block & (at >= left[:, None])[:, None] & (at < (left + width)[:, None])[:, None] & there[:, 1:, None]
    for mask, colour in ((block, (0.1, 0.9, 0.1)), (disk, (0.95, 0.1, 0.1))):
        x = np.where(mask[:, None], np.array(colour, np.float32)[:, None, None], x)
    return Scenes(x, np.stack([disk, block & ~disk], 1), ("disk", "block"))
