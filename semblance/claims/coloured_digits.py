"""Digits on a colour canvas: a class is a digit, one of four colours and one of two sizes, 80 classes of 16 attributes.

coloured          grey digits -> the same placed at random, large or small, in a colour
attributes        [80, 16] of 0 and 1: ten digits, four colours, two sizes
classes           what a class is called: "small red 3"
coloured_digits   pictures of `seen` classes to learn from; of all classes to be tested on
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.data.warp import warp

COLOURS = {"red": (255, 40, 40), "green": (40, 220, 40), "blue": (60, 80, 255), "white": (255, 255, 255)}
SIZES = {"small": (0.45, 0.55), "large": (0.8, 0.95)}
DIGITS = tuple(str(digit) for digit in range(10))
ATTRIBUTES = (*DIGITS, *COLOURS, *SIZES)
COUNT = len(DIGITS) * len(COLOURS) * len(SIZES)
UNSEEN = 20
SEED = 346


def coloured(grey: np.ndarray, colour: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [N, 1, H, W], positions in COLOURS and SIZES [N] -> uint8 [N, 3, H, W]: turned by U(-30, 30) degrees, scaled
    by its size's range, shifted by as much as leaves the digit's box on the canvas (at most 6 pixels), black outside.
    What is drawn for picture i does not depend on how many follow it."""
    _, _, height, width = grey.shape
    draw = rng.random((len(grey), 4))
    low, high = np.array(list(SIZES.values()))[size].T
    scale, angle = low + (high - low) * draw[:, 0], np.radians(60 * draw[:, 1] - 30)
    # Drawings of MNIST fill 20 of 28 pixels.
    free = np.minimum(6, (1 - 20 / 28 * scale)[:, None] * np.array([width, height]) / 2)
    shift = (2 * draw[:, 2:] - 1) * free
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    turned = np.stack([cos, sin, -sin, cos], 1).reshape(-1, 2, 2)  # where a pixel of the result looks
    middle = np.array([width, height]) / 2
    start = middle - (turned @ (middle + shift)[:, :, None])[:, :, 0]
    maps = np.concatenate([turned, start[:, :, None]], 2).astype(np.float32)
    same = np.tile(np.array([[[1, 0]]], np.float32), (len(grey), 1, 1))
    placed = warp(grey, maps, same, np.zeros(1, np.float32), np.ones(1, np.float32), zero=True)  # [N, H, W, 1] in 0..1
    out = placed * np.array(list(COLOURS.values()), np.float32)[colour][:, None, None]  # [N, H, W, 3]
    return np.ascontiguousarray(out.round().astype(np.uint8).transpose(0, 3, 1, 2))


def parts(label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes 0..79 -> digit, position in COLOURS, position in SIZES."""
    digit, rest = np.divmod(label, len(COLOURS) * len(SIZES))
    return digit, *np.divmod(rest, len(SIZES))


def label_of(digit: np.ndarray, colour: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The other way."""
    return (digit * len(COLOURS) + colour) * len(SIZES) + size


def attributes() -> np.ndarray:
    """[80, 16] float32."""
    digit, colour, size = parts(np.arange(COUNT))
    each = zip((digit, colour, size), (DIGITS, COLOURS, SIZES), strict=True)
    return np.concatenate([np.eye(len(names), dtype=np.float32)[part] for part, names in each], 1)


def classes() -> tuple[str, ...]:
    """What the 80 classes are called."""
    names = zip(*(part.tolist() for part in parts(np.arange(COUNT))), strict=True)
    return tuple(f"{list(SIZES)[size]} {list(COLOURS)[colour]} {digit}" for digit, colour, size in names)


def unseen_classes(count: int = UNSEEN, seed: int = SEED) -> np.ndarray:
    """Sorted classes that are not to be shown; every attribute of theirs occurs among the others."""
    order = np.random.default_rng(seed).permutation(COUNT)
    table = attributes()
    hidden: list[int] = []
    for label in order.tolist():
        rest = np.delete(table, [*hidden, label], 0)
        if len(hidden) < count and (rest.sum(0) > 0).all():
            hidden.append(label)
    return np.sort(np.array(hidden))


@lru_cache(maxsize=4)
def coloured_digits(train_items: int = 6000, test_items: int = 3000, seed: int = SEED) -> ArrayDataset:
    """Training pictures of the seen classes from MNIST's training digits; test pictures of all classes from its test
    digits. A picture's class is its digit with a colour and a size drawn among those that its split may show."""
    source = load("mnist")
    rng = np.random.default_rng(seed)
    hidden = np.isin(np.arange(COUNT), unseen_classes(seed=seed))
    x, labels, ids = [], [], []
    for split, items, allowed in (("train", train_items, ~hidden), ("test", test_items, np.ones(COUNT, bool))):
        rows = source.splits[split][:items]
        digit = source.targets["labels"][rows].astype(np.int64)
        looks = len(COLOURS) * len(SIZES)
        score = np.where(allowed.reshape(-1, looks)[digit], rng.random((len(rows), looks)), -1)
        label = digit * looks + score.argmax(1)
        _, colour, size = parts(label)
        x.append(coloured(source.x[rows], colour, size, rng))
        labels.append(label)
        ids += [source.ids[row] for row in rows]
    picture, label = np.concatenate(x), np.concatenate(labels)
    return ArrayDataset(
        domain="images",
        x=picture,
        ids=ids,
        targets={"labels": label},
        attributes=pa.table({"label": label}),
        splits={"train": np.arange(len(x[0])), "test": len(x[0]) + np.arange(len(x[1]))},
        fingerprint=hashlib.blake2b(picture.tobytes() + label.tobytes(), digest_size=16).hexdigest(),
        classes=classes(),
        name="coloured-digits",
        source="mnist",
    )
