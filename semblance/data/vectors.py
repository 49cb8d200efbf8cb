"""Vectors: arrays and tables of numbers -> float32 [N, d], every value finite, every mistake named by row and column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.labels import labels_of
from semblance.data.splits import from_words
from semblance.data.tables import Parts
from semblance.errors import SemblanceError

BLOCK = 1 << 22
"""Values looked at at a time."""


def as_vectors(x: np.ndarray, what: str = "the data", columns: Sequence[str] = (), first: int = 0) -> np.ndarray:
    """[N, d] of any real type -> float32 [N, d]. A memory map of float32 stays one; other types are converted in memory.
    Errors count rows from `first`, the number of the first one."""
    if x.dtype.kind not in "fiub":
        raise SemblanceError(
            f"{what} holds {_told(x)}, and vectors are numbers: give a float32 array [N, d], rows of one length"
        )
    if x.ndim != 2:
        hint = {1: "one vector is [1, d]: x[None]", 3: "images are uint8 [N, H, W]", 4: "images are uint8 [N, H, W, 3]"}
        raise SemblanceError(
            f"{what} has shape {list(x.shape)}, and vectors are [N, d]: {hint.get(x.ndim, 'reshape it')}"
        )
    if not x.size:
        raise SemblanceError(f"{what} is empty (shape {list(x.shape)}): give at least one row and one column")
    ready = x if x.dtype == np.float32 else np.empty(x.shape, np.float32)
    rows = max(1, BLOCK // x.shape[1])
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        if ready is not x:
            with np.errstate(over="ignore"):
                block = ready[start : start + rows] = block.astype(np.float32)
        good = np.isfinite(block)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            kind = "missing (NaN)" if np.isnan(block[row, column]) else "infinite or too large for float32"
            place = f"column {columns[column]!r}" if len(columns) else f"column {column}"
            row += first + start
            raise SemblanceError(
                f"{what}: row {row}, {place} is {kind} (rows count from 0): fill the value in or drop the row"
            )
    return ready


def _told(x: np.ndarray) -> str:
    return "Python objects (ragged rows or mixed types)" if x.dtype.kind == "O" else f"values of type {x.dtype}"


def from_parts(parts: Parts, *, what: str, seed: int = 0, **known: object) -> ArrayDataset:
    """A table whose columns have been told apart -> vectors."""
    labels = None if parts.label is None else labels_of(parts.label, parts.label_name)
    words = parts.split
    return assemble(
        "vectors",
        as_vectors(parts.x, what, parts.columns),
        ids=parts.ids,
        targets={} if labels is None else {"labels": labels.values},
        classes=() if labels is None else labels.classes,
        attributes=parts.attributes,
        splits=None if words is None else from_words(words),
        seed=seed,
        **known,
    )
