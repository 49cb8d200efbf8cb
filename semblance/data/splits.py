"""Splits: which units are learned from and which are kept to judge with.

Given ones are taken as they are (a column of words such as train and test, folders of these names, arrays that come in
pairs); without any, a fifth is kept for judging, drawn by the seed and, where units have one class each, class by class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from semblance.errors import SemblanceError

WORDS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
}
"""What people call the parts -> what they are called here."""


def stratified(labels: np.ndarray, share: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes [N] (negative: unlabelled, a class of its own) -> positions of train and of test, each in order.

    Every class gives its share, rounded so that the total is right (largest remainders first), but never its last unit: a
    class with one member is all train.
    """
    _check(share)
    labels = np.maximum(np.asarray(labels), -1)
    _, of = np.unique(labels, return_inverse=True)
    counts = np.bincount(of)
    due = np.where(counts > 1, share * counts, 0.0)
    taken = np.floor(due).astype(np.int64)
    missing = round(due.sum()) - taken.sum()
    if missing == 0 and taken.sum() == 0 and due.any():
        missing = 1  # few units: one to judge with is better than none
    by_remainder = np.lexsort((np.arange(len(counts)), taken - due))
    taken[by_remainder[:missing]] += 1
    taken = np.minimum(taken, np.maximum(counts - 1, 0))
    # A random order, then sorted by class: the first of each class go to test.
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(of[order], kind="stable")]
    place = np.arange(len(labels)) - (np.cumsum(counts) - counts)[of[order]]
    test = place < taken[of[order]]
    return np.sort(order[~test]), np.sort(order[test])


def plain(units: int, share: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions of train and of test, drawn whatever the units are. One unit is train; of two or more, one is test."""
    return stratified(np.zeros(units, np.int64), share, seed)


def drawn(units: int, labels: np.ndarray | None, seed: int = 0, share: float = 0.2) -> dict[str, np.ndarray]:
    """Train and test by the seed: stratified where units have one class each, plain otherwise."""
    one_class = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu"
    train, test = stratified(labels, share, seed) if one_class else plain(units, share, seed)
    return {"train": train, "test": test}


def from_words(words: Sequence[object]) -> dict[str, np.ndarray] | None:
    """A word per unit -> splits, or None where the words are not those of splits, or do not tell train from another.

    Units without a word are in no split. Where no unit is test, validation stands in.
    """
    known = [None if w is None or w == "" else WORDS.get(str(w).strip().lower(), "") for w in words]
    if "" in known or "train" not in known or not {"test", "val"} & set(known):
        return None
    column = np.array([w or "" for w in known])
    splits = {name: np.flatnonzero(column == name) for name in dict.fromkeys(w for w in known if w)}
    if "test" not in splits:
        splits["test"] = splits.pop("val")
    return splits


def checked(splits: Mapping[str, np.ndarray], units: int) -> dict[str, np.ndarray]:
    """Given splits as int64 positions, `train` and `test` among them; each unit stands in one of them at most."""
    ready = {name: np.asarray(rows, dtype=np.int64) for name, rows in splits.items()}
    if not len(ready.get("train", ())):
        raise SemblanceError(f"the splits are {', '.join(ready) or 'none'}: one of them has to be train, and not empty")
    ready.setdefault("test", np.empty(0, np.int64))
    every = np.concatenate(list(ready.values()))
    if len(every) and (every.min() < 0 or every.max() >= units):
        raise SemblanceError(f"the splits name unit {every.max()} and there are {units}: give positions from 0")
    if len(np.unique(every)) != len(every):
        raise SemblanceError("the splits share units: give every unit to one split")
    return ready


def _check(share: float) -> None:
    if not 0 < share < 1:
        raise SemblanceError(f"the share of test units is {share}: give a number between 0 and 1, such as 0.2")
