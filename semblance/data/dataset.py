"""A dataset in hand: units with their ids, targets, attributes and splits, read by position.

Images stay uint8 [N, C, H, W] (a memory map when they come from disk), vectors float32 [N, d]; `read` copies the asked
rows only, so memory is bounded by the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.contracts import Batch
from semblance.data.judged import Judged


@dataclass(frozen=True)
class Shape:
    """What lazy parts need to know of the data: an item's shape without N ((C, H, W) or (d,)), the number of classes of
    the labels (0 without), the number of training units, and mean and deviation per channel or column in the units of
    `x` as encoders get it (images: 0..1). `facts` are numbers of what relates the units (relational.py names them)."""

    domain: str
    item: tuple[int, ...]
    classes: int
    units: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ArrayDataset:
    """Units held in one array or memory map: domains `images`, `vectors` and `text` (an array of strings, or these as
    numbers: pieces.py).

    targets: `labels` is int64 [N] with -1 for unlabelled (then `classes` names them), or float64 [N] for numbers, or
    bool [N, K] for several classes per unit. `source` is where the data can be found again from anywhere: an absolute
    path, or the name of a known set; "" for data from memory. `skipped` says which inputs were left out and why;
    `notes` are lines to tell the user. `pairs` are pairs of the units of which somebody said how alike they are.
    `captions` are what somebody wrote of each unit, "" where nothing (captions.py), as texts or cut into numbers.
    """

    domain: str
    x: np.ndarray
    ids: list[str]
    targets: Mapping[str, np.ndarray]
    attributes: pa.Table
    splits: Mapping[str, np.ndarray]
    fingerprint: str
    classes: tuple[str, ...] = ()
    units: str = "item"
    name: str = ""
    source: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    pairs: Judged | None = None
    captions: Any = None

    def __len__(self) -> int:
        return len(self.x)

    def read(self, index: np.ndarray) -> Batch:
        """Positions [n] -> {"x": [n, ...] as stored, "labels": [n] where there are labels, "captions": [n, T] where they
        are cut, "index": [n]}."""
        batch: Batch = {"x": self.x[index], "index": np.asarray(index)}
        if "labels" in self.targets:
            batch["labels"] = self.targets["labels"][index]
        if hasattr(self.captions, "numbers"):
            batch["captions"] = self.captions[index]
        return batch

    def raw(self, index: np.ndarray) -> np.ndarray:
        """[n, d] float32: the units themselves, flattened, pictures as 0..1, texts as counts of their words; the baseline
        of every figure."""
        if self.domain == "text":
            return _words(getattr(self.x, "texts", self.x)[index])
        x = np.asarray(self.x[index], dtype=np.float32).reshape(len(index), -1)
        return x / 255 if self.domain == "images" else x

    def subset(self, index: np.ndarray) -> ArrayDataset:
        """The units at these positions, splits renumbered. Copies them; meant for small parts."""
        index = np.asarray(index)
        position = np.full(len(self), -1)
        position[index] = np.arange(len(index))
        splits = {name: position[rows][position[rows] >= 0] for name, rows in self.splits.items()}
        return replace(
            self,
            x=_taken(self.x, index),
            ids=[self.ids[i] for i in index],
            targets={name: column[index] for name, column in self.targets.items()},
            attributes=self.attributes.take(pa.array(index)),
            splits=splits,
            pairs=None if self.pairs is None else self.pairs.among(position),
            captions=None if self.captions is None else _taken(self.captions, index),
            fingerprint=hashlib.blake2b(
                self.fingerprint.encode() + index.astype(np.int64).tobytes(), digest_size=16
            ).hexdigest(),
        )


def _taken(units: Any, index: np.ndarray) -> Any:
    """Rows of an array, or of texts as numbers."""
    return units.take(index) if hasattr(units, "texts") else units[index]


def _words(texts: np.ndarray) -> np.ndarray:
    """[n, 1024] float32: how often each word occurs, by a hash of the word, rows of length 1."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=1024, alternate_sign=False, dtype=np.float32).transform(texts).toarray()


def told_of(labels: np.ndarray | None) -> dict[str, float]:
    """What a Shape's facts tell of the labels: `several`, where a unit may have several classes."""
    return {"several": 1.0} if labels is not None and labels.ndim == 2 else {}
