"""What lazy parts need to know of the data before they are built, streamed over the training units in blocks."""

from __future__ import annotations

import numpy as np

from semblance.data.dataset import ArrayDataset, Shape, told_of
from semblance.data.pieces import Tokens
from semblance.data.relational import RelationalDataset

BLOCK = 1 << 22
"""Values read at a time."""
FLOOR = 1e-6
"""Least deviation, so that constant columns can be divided by it."""


def shape_of(dataset: ArrayDataset | RelationalDataset) -> Shape:
    """The data's Shape: mean and deviation per channel (images, on the scale 0..1) or column, over the split `train`. Where
    there are captions as numbers, the fact `captions` is how many numbers these may be."""
    if isinstance(dataset, RelationalDataset):
        return dataset.shape()
    x, rows = dataset.x, np.sort(dataset.splits["train"])
    if dataset.domain == "text":
        return _of_texts(dataset, rows)
    size = max(1, BLOCK // max(1, int(np.prod(x.shape[1:]))))
    blocks = (x[rows[start : start + size]] for start in range(0, len(rows), size))
    mean, variance = (_of_pictures if dataset.domain == "images" else _of_columns)(blocks, x.shape[1])
    labels = dataset.targets.get("labels")
    classes = 0
    if labels is not None and labels.dtype.kind != "f":
        classes = labels.shape[1] if labels.ndim == 2 else len(dataset.classes) or int(labels.max(initial=-1)) + 1
    std = np.maximum(np.sqrt(variance), FLOOR)
    moments = tuple(mean.tolist()), tuple(std.tolist())
    facts = told_of(labels)
    if isinstance(dataset.captions, Tokens):
        facts["captions"] = float(dataset.captions.size)
    return Shape(dataset.domain, tuple(x.shape[1:]), classes, len(rows), *moments, facts=facts)


def _of_texts(dataset: ArrayDataset, rows: np.ndarray) -> Shape:
    """An item is read as a bag of its tokens: `item` is how many there are, `mean` the share of the texts that hold each.
    facts: `judged` pairs (0 without), of which `judgements` are the classes, 0 where they are numbers from `lowest` to
    `highest`."""
    x = dataset.x
    assert isinstance(x, Tokens), "texts are cut before they are measured"
    text = np.repeat(np.arange(len(rows)), x.lengths[rows])
    held = x.take(rows).numbers
    pairs = np.unique(text * x.size + held) % x.size
    share = np.bincount(pairs, minlength=x.size) / max(len(rows), 1)
    facts = told_of(dataset.targets.get("labels"))
    if dataset.pairs is not None:
        said = dataset.pairs.said
        facts |= {"judged": float(len(said)), "judgements": float(len(dataset.pairs.classes))}
        if dataset.pairs.scored and np.isfinite(said).any():
            facts |= {"lowest": float(np.nanmin(said)), "highest": float(np.nanmax(said))}
    return Shape("text", (x.size,), len(dataset.classes), len(rows), tuple(share.tolist()), facts=facts)


def _of_pictures(blocks, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact, whatever the order: how often each of the 256 values occurs in each channel."""
    counts = np.zeros((channels, 256), np.int64)
    for x in blocks:  # [n, C, H, W]
        counts += [np.bincount(x[:, c].ravel(), minlength=256) for c in range(channels)]
    values, total = np.arange(256) / 255, np.maximum(counts.sum(1), 1)
    mean = counts @ values / total
    return mean, (counts * (values - mean[:, None]) ** 2).sum(1) / total


def _of_columns(blocks, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Block after block, merged as Chan, Golub and LeVeque (1979) do, in float64."""
    units, mean, spread = 0, np.zeros(width), np.zeros(width)
    for x in blocks:  # [n, d]
        x = x.astype(np.float64)
        own = x.mean(0)
        apart = own - mean
        spread += ((x - own) ** 2).sum(0) + apart**2 * (units * len(x) / (units + len(x)))
        units += len(x)
        mean = mean + apart * (len(x) / units)
    return mean, spread / max(units, 1)
