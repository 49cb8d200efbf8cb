"""Characters of alphabets that were never seen: Omniglot small in two, and what claims measure on the unseen ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa

from semblance.data.dataset import ArrayDataset
from semblance.data.load import load


def parted(unseen: tuple[str, ...], drawings: int = 20) -> tuple[ArrayDataset, ArrayDataset]:
    """The characters of all other alphabets, then those of the unseen ones, labels from 0 on in each. Of the seen ones the
    first `drawings` of 20 are for training; all stand in the set."""
    data = load("omniglot-small")
    y = np.asarray(data.targets["labels"])
    of_unseen = np.isin([data.classes[k].split("/")[0] for k in y], unseen)
    found = []
    for part in (~of_unseen, of_unseen):
        rows = np.flatnonzero(part)
        values, labels = np.unique(y[rows], return_inverse=True)
        place = np.empty(len(rows), np.int64)  # which drawing of its character
        order = np.argsort(labels, kind="stable")
        place[order] = np.arange(len(rows)) - np.searchsorted(labels[order], labels[order])
        train = np.flatnonzero(place < drawings)
        found.append(
            replace(
                data,
                x=data.x[rows],
                ids=[str(row) for row in rows],
                targets={"labels": labels.astype(np.int64)},
                attributes=pa.table({"drawing": place}),
                classes=tuple(data.classes[k] for k in values),
                splits={"train": train, "test": np.flatnonzero(place >= drawings)},
                fingerprint=hashlib.blake2b(f"{data.fingerprint} {unseen} {drawings} {part[0]}".encode()).hexdigest()[
                    :32
                ],
            )
        )
    return found[0], found[1]


def directions(z: np.ndarray) -> np.ndarray:
    """[N, d] -> rows of length 1."""
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)


def pixels_of(data: ArrayDataset) -> np.ndarray:
    """[N, d] in 0..1."""
    return data.x.reshape(len(data), -1).astype(np.float32) / 255


class Pairs:
    """Squared distances of all pairs of items (or of items of one embedding with those of another), same or different."""

    def __init__(self, z: np.ndarray, y: np.ndarray, other: np.ndarray | None = None):
        against = z if other is None else other
        square = (z**2).sum(1)[:, None] + (against**2).sum(1) - 2 * z @ against.T
        use = np.triu(np.ones(square.shape, bool), 1) if other is None else ~np.eye(len(z), dtype=bool)
        alike = y[:, None] == y
        self.same, self.different = np.sort(square[use & alike]), np.sort(square[use & ~alike])

    def auc(self) -> float:
        """Chance that a pair of one character is nearer than one of two; ties count half."""
        below = np.searchsorted(self.different, self.same, side="left")
        upto = np.searchsorted(self.different, self.same, side="right")
        return float(1 - (below + upto).mean() / (2 * len(self.different)))

    def accepted(self, false: float = 0.01) -> float:
        """VAL: the share of true pairs accepted where this share of false ones is."""
        return float((self.same < self.threshold(false)).mean())

    def threshold(self, false: float = 0.01) -> float:
        """The squared distance below which this share of false pairs lies."""
        return float(self.different[int(false * len(self.different))])
