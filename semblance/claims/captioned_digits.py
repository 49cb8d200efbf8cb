"""Captioned digits: two moved digits on a wide canvas, each red, green, blue or white and small or large, and a sentence
that says so, by one of six templates with synonyms: "a small red three beside a big 7".

captioned_digits   8,000 training and 1,000 test pairs, what is where as attributes
single_digits      one coloured digit on the same canvas, labelled
LEXICON            synonyms -> concepts: three, 3 and trio are one
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pyarrow as pa

from semblance.claims.coloured_digits import COLOURS, SIZES, coloured
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load

SEED = 334
WORDS = {
    "digit": (
        ("zero", "0", "nought"),
        ("one", "1", "single"),
        ("two", "2", "pair"),
        ("three", "3", "trio"),
        ("four", "4", "quartet"),
        ("five", "5", "quintet"),
        ("six", "6", "sextet"),
        ("seven", "7", "septet"),
        ("eight", "8", "octet"),
        ("nine", "9", "nonet"),
    ),
    "colour": (("red", "scarlet"), ("green", "emerald"), ("blue", "azure"), ("white", "pale")),
    "size": (("small", "little", "tiny"), ("large", "big", "huge")),
}
"""The concepts in order, each with the words for it, the first of which is its name."""
LEXICON = {word: row[0] for rows in WORDS.values() for row in rows for word in row}
DIGIT_WORDS = tuple(row[0] for row in WORDS["digit"])
TEMPLATES = (
    "{} beside {}",
    "{} next to {}",
    "a picture of {} and {}",
    "{} on the left and {} on the right",
    "there is {}, then {}",
    "{} followed by {}",
)
PHRASES = ("a {size} {colour} {digit}", "a {colour} {digit} that is {size}")
LOOKS = ("left", "left_colour", "left_size", "right", "right_colour", "right_size")


def sentences(looks: np.ndarray, rng: np.random.Generator) -> list[str]:
    """int [N, 6] in the order of LOOKS -> a sentence each; synonyms and templates are drawn uniformly."""
    found = []
    for row in looks.tolist():
        sides = []
        for digit, colour, size in (row[:3], row[3:]):
            held = {"digit": digit, "colour": colour, "size": size}
            words = {kind: str(rng.choice(WORDS[kind][k])) for kind, k in held.items()}
            sides.append(PHRASES[rng.integers(len(PHRASES))].format(**words))
        found.append(TEMPLATES[rng.integers(len(TEMPLATES))].format(*sides))
    return found


def drawn(split: str, units: int, rng: np.random.Generator, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two different digits each, of MNIST's split, from position `first` on: pictures uint8 [N, 3, 28, 56], looks [N, 6].
    Digits are taken as often as it needs, each time placed and coloured anew."""
    source = load("mnist")
    rows = source.splits[split][first:]
    y = np.asarray(source.targets["labels"])[rows].astype(np.int64)
    left = np.resize(rng.permutation(len(rows)), units)
    right = rng.integers(0, len(rows), units)
    while (same := y[left] == y[right]).any():
        right[same] = rng.integers(0, len(rows), int(same.sum()))
    looks = np.empty((units, 6), np.int64)
    sides = []
    for at, chosen in ((0, left), (3, right)):
        colour, size = rng.integers(0, len(COLOURS), units), rng.integers(0, len(SIZES), units)
        looks[:, at : at + 3] = np.stack([y[chosen], colour, size], 1)
        sides.append(coloured(source.x[rows[chosen]], colour, size, rng))
    return np.concatenate(sides, 3), looks


def paired(
    x: np.ndarray, looks: np.ndarray, texts: list[str], splits: dict[str, np.ndarray], name: str
) -> ArrayDataset:
    """Pictures with captions; the label is the left digit."""
    captions = np.empty(len(texts), dtype=object)
    captions[:] = texts
    columns = {look: looks[:, k] for k, look in enumerate(LOOKS)}
    digest = hashlib.blake2b(x.tobytes() + looks.tobytes() + "\0".join(texts).encode(), digest_size=16)
    return ArrayDataset(
        domain="images",
        x=x,
        ids=[str(i) for i in range(len(x))],
        targets={"labels": looks[:, 0].copy()},
        attributes=pa.table({**columns, "caption": texts}),
        splits=splits,
        fingerprint=digest.hexdigest(),
        classes=DIGIT_WORDS,
        name=name,
        source="mnist",
        captions=captions,
    )


@lru_cache(maxsize=2)
def captioned_digits(train_items: int = 8000, test_items: int = 1000, seed: int = SEED) -> ArrayDataset:
    """The pairs with their splits."""
    rng = np.random.default_rng(seed)
    x, looks, texts = [], [], []
    for split, units in (("train", train_items), ("test", test_items)):
        pictures, seen = drawn(split, units, rng)
        x.append(pictures)
        looks.append(seen)
        texts += sentences(seen, rng)
    place = np.arange(train_items + test_items)
    splits = {"train": place[:train_items], "test": place[train_items:]}
    return paired(np.concatenate(x), np.concatenate(looks), texts, splits, "captioned-digits")


def single_digits(split: str, units: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One coloured digit on the canvas, left or right, the other half black: uint8 [N, 3, 28, 56], digit [N]."""
    x, looks = drawn(split, units, rng)
    side = rng.integers(0, 2, units)
    x[side == 0, :, :, 28:] = 0
    x[side == 1, :, :, :28] = 0
    return x, np.where(side == 0, looks[:, 0], looks[:, 3])
