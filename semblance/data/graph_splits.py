"""Splits of nodes and graphs: published ones, folds, and random ones of any shares.

masks or indices [K, n]   K published splits
folds                     fold k is the test part of split k, the next fold validation, the rest training
"random:0.6/0.2/0.2"      training, validation and test shares, drawn by the seed, class by class
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from semblance.data.splits import checked, drawn, stratified
from semblance.errors import SemblanceError

PARTS = ("train", "val", "test")
Split = dict[str, np.ndarray]


def drawn_or_given(
    units: int,
    labels: np.ndarray | None,
    given: Sequence[Mapping[str, np.ndarray]],
    split: int | str | None,
    seed: int,
) -> tuple[Split, tuple[Split, ...], list[str]]:
    """The split asked for, all given ones checked, and lines on the choice and on what is amiss with it."""
    known = tuple(checked(one, units) for one in given)
    notes: list[str] = []
    if isinstance(split, str) and split.startswith("random"):
        chosen = random_split(units, labels, shares_of(split), seed)
    elif split is None:
        chosen = known[0] if known else drawn(units, labels, seed)
        if len(known) > 1:
            notes.append(f"split 0 of {len(known)} given ones (--split takes another, or random:0.6/0.2/0.2)")
    else:
        number = int(split) if str(split).isdecimal() else -1
        if not 0 <= number < len(known):
            there = f"0 to {len(known) - 1}, or " if known else ""
            raise SemblanceError(f"there is no split {split!r} here: give {there}shares, such as random:0.6/0.2/0.2")
        chosen = known[number]
        notes.append(f"split {number} of {len(known)}")
    return chosen, known, notes + amiss(chosen, labels)


def shares_of(text: str) -> tuple[float, float, float]:
    """ "random:0.6/0.2/0.2" -> the shares of train, val and test; "random" alone is 0.6/0.2/0.2.

    >>> shares_of("random:0.5/0/0.5")
    (0.5, 0.0, 0.5)
    """
    try:
        shares = tuple(float(part) for part in (text.partition(":")[2] or "0.6/0.2/0.2").split("/"))
    except ValueError:
        shares = ()
    if len(shares) != 3 or min(shares) < 0 or sum(shares) > 1 + 1e-6 or 0 in (shares[0], shares[2]):
        raise SemblanceError(
            f"the split is {text!r}: give shares of train, val and test that sum to 1 at most, such as random:0.6/0.2/0.2"
        )
    return shares[0], shares[1], shares[2]


def random_split(
    units: int, labels: np.ndarray | None, shares: tuple[float, float, float] = (0.6, 0.2, 0.2), seed: int = 0
) -> Split:
    """Shares of train, val and test by the seed. Units of one class each: class by class, and only labelled ones."""
    one_class = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu"
    pool = np.flatnonzero(labels >= 0) if one_class and labels is not None else np.arange(units)
    within = labels[pool] if one_class and labels is not None else np.zeros(len(pool), np.int64)
    if len(pool) < 3:
        raise SemblanceError(
            f"there are {len(pool)} labelled units, too few for three parts: give a split, or more labels"
        )
    rest, test = stratified(within, min(shares[2], 1 - 1e-9), seed)
    split = {"train": rest, "test": test}
    if shares[1]:
        kept, val = stratified(within[rest], shares[1] / (shares[0] + shares[1] + max(0.0, 1 - sum(shares))), seed + 1)
        split = {"train": rest[kept], "val": rest[val], "test": test}
    if (left := 1 - sum(shares)) > 1e-6:  # shares below 1 leave units in no part
        fewer, _ = stratified(within[split["train"]], left / (left + shares[0]), seed + 2)
        split["train"] = split["train"][fewer]
    return {part: pool[rows] for part, rows in split.items()}


def of_masks(masks: Mapping[str, np.ndarray]) -> tuple[Split, ...]:
    """Flags per part, [N] or [K, N] -> K splits of positions."""
    wide = {part: np.atleast_2d(held) for part, held in masks.items()}
    lengths = {len(held) for held in wide.values()}
    if len(lengths) > 1:
        raise SemblanceError(f"the parts have {sorted(lengths)} splits: give as many for each")
    return tuple({p: np.flatnonzero(held[k]) for p, held in wide.items()} for k in range(lengths.pop()))


def of_indices(
    parts: Mapping[str, np.ndarray], units: int, labels: np.ndarray | None, seed: int = 0
) -> tuple[Split, ...]:
    """Positions per part, [n] or [K, n] -> K splits. Where train stands alone, a fifth of it, drawn by the seed, is
    validation, and every other unit is test."""
    wide = {part: np.atleast_2d(held).astype(np.int64) for part, held in parts.items()}
    splits = []
    for k in range(len(wide["train"])):
        split = {part: held[k] for part, held in wide.items()}
        if "test" not in split:
            split = {"train": split["train"], "test": np.setdiff1d(np.arange(units), split["train"])}
            split = with_validation(split, labels, seed=seed + k)
        splits.append(split)
    return tuple(splits)


def with_validation(
    split: Mapping[str, np.ndarray], labels: np.ndarray | None, share: float = 0.2, seed: int = 0
) -> Split:
    """The split with a share of train as val; one that has val already stays as it is."""
    if len(split.get("val", ())):
        return dict(split)
    train = np.asarray(split["train"])
    one_class = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu"
    kept, val = stratified(
        labels[train] if one_class and labels is not None else np.zeros(len(train), np.int64), share, seed
    )
    return {"train": train[kept], "val": train[val], "test": np.asarray(split["test"])}


def of_folds(fold: np.ndarray) -> tuple[Split, ...]:
    """A fold per unit (-1: in none) -> a split per fold: it is test, the next one val, everything else train."""
    count = int(fold.max()) + 1
    if count < 3:
        raise SemblanceError(
            f"there are {count} folds, and train, val and test need three: give more, or a split column"
        )
    parts = []
    for k in range(count):
        test, val = fold == k, fold == (k + 1) % count
        parts.append({"train": np.flatnonzero(~test & ~val), "val": np.flatnonzero(val), "test": np.flatnonzero(test)})
    return tuple(parts)


def amiss(split: Mapping[str, np.ndarray], labels: np.ndarray | None) -> list[str]:
    """Lines on classes that training never sees and on labels in no part."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return []
    notes = []
    seen = np.unique(labels[split["train"]])
    for part in PARTS[1:]:
        held = np.unique(labels[split[part]]) if part in split else seen
        left = np.setdiff1d(held[held >= 0], seen)
        if len(left):
            notes.append(
                f"{len(left)} of {int(labels.max()) + 1} classes stand in {part} and not in train: they cannot be learned"
            )
    outside = np.ones(len(labels), bool)
    outside[np.concatenate(list(split.values()))] = False
    if count := int((outside & (labels >= 0)).sum()):
        notes.append(f"{count:,} of {int((labels >= 0).sum()):,} labels stand in no part of the split and are not used")
    return notes
