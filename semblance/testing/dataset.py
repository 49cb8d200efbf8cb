"""What every dataset promises, and a small one of every domain to try things on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from semblance.contracts import Dataset
from semblance.data.captions import with_captions
from semblance.data.dataset import ArrayDataset
from semblance.data.judged import Judged
from semblance.data.load import load
from semblance.data.pieces import Cutting
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError
from semblance.testing.promises import Excused, equal, keep, that


@cache
def small(domain: str) -> Loaded:
    """120 scans of 5 digits, as pictures with captions or as vectors; 120 sentences of 5 topics; of the domains whose units
    are related, those of related.py."""
    from semblance.testing.related import SMALL

    if domain in SMALL:
        return SMALL[domain]()
    if domain == "text":
        return _sentences()
    if domain not in ("images", "vectors"):
        raise SemblanceError(
            f"there is no small data set of the domain {domain} here: give one of your own by dataset="
        )
    digits = load("digits")
    assert isinstance(digits, ArrayDataset)
    rows = np.flatnonzero(digits.targets["labels"] < 5)[:120]
    pictures = with_captions(digits.subset(rows), [CAPTIONS[k] for k in digits.targets["labels"][rows]])
    if domain == "images":
        return pictures
    flat = pictures.x.reshape(len(rows), -1).astype(np.float32)
    return load(flat, domain="vectors", labels=pictures.targets["labels"])


CAPTIONS = (
    "a zero, as round as an egg",
    "a one, a stroke",
    "the number two",
    "a drawing of a three",
    "a four and its cross",
)
TOPICS = ("ship sails sea harbour", "bread oven flour bakes", "goal team plays match", "rain cloud storm wind")
TOPICS += ("song choir sings tune",)


def _sentences() -> ArrayDataset:
    """Words of a topic among others, labelled by topic; and 160 pairs of them, scored by whether topics agree."""
    chance = np.random.default_rng(0)
    labels = np.arange(120) % len(TOPICS)
    others = ["the", "a", "one", "this", "that", "old", "new", "small", "under", "over"]
    texts = [
        " ".join(
            chance.permutation([*chance.choice(TOPICS[k].split(), 3), *chance.choice(others, chance.integers(2, 6))])
        )
        for k in labels
    ]
    found = load(texts, domain="text", labels=[f"topic {k}" for k in labels])
    train = found.splits["train"]
    first, second = chance.choice(train, (2, 160))
    said = np.where(labels[first] == labels[second], 4.0, 1.0)
    pairs = Judged(first, second, said, splits={"train": np.arange(120), "test": np.arange(120, 160)})
    dataset: ArrayDataset = Cutting(vocabulary=320).learned(texts).cut(replace(found, pairs=pairs))
    return dataset


def check_dataset(make: Callable[[], Any], excused: Excused = None) -> None:
    """Loads a data set twice and holds it to the Dataset contract; a loader is checked as `lambda: load(path)`."""
    dataset = make()
    that(isinstance(dataset, Dataset), f"a {type(dataset).__name__} is no Dataset: it lacks names of the contract")
    keep(f"the data set {dataset.domain}", PROMISES, excused, dataset, make)


def _aligned(dataset: Any, make: Callable[[], Any]) -> None:
    """ids, targets and attributes have one row for every unit"""
    units = len(dataset)
    that(units > 0, "it has no units")
    lengths = {"ids": len(dataset.ids), "attributes": dataset.attributes.num_rows}
    lengths |= {f"target {name}": len(column) for name, column in dataset.targets.items()}
    for what, length in lengths.items():
        that(length == units, f"{what}: {length} for {units} units")


def _named(dataset: Any, make: Callable[[], Any]) -> None:
    """ids are texts that differ"""
    strange = next((i for i in dataset.ids if not isinstance(i, str) or not i), None)
    that(strange is None, f"the id {strange!r} is no text")
    that(len(set(dataset.ids)) == len(dataset), f"{len(dataset) - len(set(dataset.ids))} ids come more than once")


def _parts(dataset: Any, make: Callable[[], Any]) -> None:
    """the splits have a part `train`, hold positions, and share none"""
    that("train" in dataset.splits and len(dataset.splits["train"]) > 0, f"the parts are {sorted(dataset.splits)}")
    every = np.concatenate([np.asarray(rows) for rows in dataset.splits.values()])
    that(every.dtype.kind in "iu", f"positions are whole numbers, not {every.dtype}")
    that(every.min() >= 0 and every.max() < len(dataset), f"positions reach from {every.min()} to {every.max()}")
    that(len(np.unique(every)) == len(every), "a unit stands in two parts")


def _reads(dataset: Any, make: Callable[[], Any]) -> None:
    """units are read by position, in the order asked for, finite"""
    rows = np.array([len(dataset) - 1, 0])
    if isinstance(dataset, RelationalDataset):
        _reads_related(dataset, rows)
        return
    both, first = dataset.read(rows)["x"], dataset.read(np.array([0]))["x"]
    that(len(both) == 2, f"two positions gave {len(both)} items")
    equal(both[1:], first, "the first unit alone and as the second of two")
    that(bool(np.isfinite(np.asarray(both, np.float64)).all()), "an item holds NaN or infinity")


def _reads_related(dataset: RelationalDataset, rows: np.ndarray) -> None:
    batch = dataset.read(rows)
    equal(batch["index"], rows, "the positions in the batch")
    if dataset.whole:
        equal(batch["nodes"], rows, "the units asked for")
        that(batch["graph"] is dataset.graph, "a batch holds another structure than the data set")
    else:
        that(
            batch["graph"].num_graphs == len(rows), f"{len(rows)} positions gave {batch['graph'].num_graphs} structures"
        )
    held = batch.get("x")
    for x in held if isinstance(held, list) else [held]:
        if x is not None:
            values = x if x.layout == torch.strided else x.values()
            that(bool(torch.isfinite(values).all()), "a feature is NaN or infinity")


def _repeats(dataset: Any, make: Callable[[], Any]) -> None:
    """loaded again it is the same: fingerprint, ids and splits"""
    again = make()
    that(bool(dataset.fingerprint) and again.fingerprint == dataset.fingerprint, "the fingerprint is another")
    that(list(again.ids) == list(dataset.ids), "the ids are others")
    for part, rows in dataset.splits.items():
        equal(again.splits[part], rows, f"the part {part}")


PROMISES = {"aligned": _aligned, "named": _named, "parts": _parts, "reads": _reads, "repeats": _repeats}
