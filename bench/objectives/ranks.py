"""Which way of learning suits which pictures: `semblance rank` over three sets, one budget, three seeds.

    python bench/objectives/ranks.py [--out DIR] [SET ...]      finished runs are kept in DIR and not run again

Writes bench/results/learning_ranks.json and docs/learning-ranks.svg. The budget is time, views and sampling included:
epochs would not compare, since a picture costs rotnet four passes and mae a quarter of one. A method's settings are its
recipe's, its net the small one (mae: a transformer on patches). docs/learning.md reads the tables.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.ranking import Asked, rankings
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.space.plan import plan

SECONDS = 30.0
# One or two of each core: contrast in the batch and with a queue, branches, a slow copy, covariances, a pretext, masks.
UNLABELLED = ("simclr", "moco", "simsiam", "byol", "vicreg", "rotnet", "mae")
RECIPES = (*UNLABELLED, "supcon", "untrained")
UNSEEN = ("Greek", "Sanskrit")


def ready(dataset: ArrayDataset) -> ArrayDataset:
    """The data, after a few steps of every method: what is compiled at first use counts for nobody."""
    for name in RECIPES[:-1]:
        plan(dataset, name, epochs=1)
    return dataset


def few_digits() -> ArrayDataset:
    """The first 6,000 training and 2,000 test digits."""
    data = load("mnist")
    splits = {"train": data.splits["train"][:6000], "test": data.splits["test"][:2000]}
    return ready(replace(data, splits=splits))


def new_characters() -> ArrayDataset:
    """Six alphabets to learn from; the characters of two others, which are asked, were never seen."""
    data = load("omniglot-small")
    alphabet = np.array([name.split("/")[0] for name in data.classes])[np.asarray(data.targets["labels"])]
    new = np.isin(alphabet, UNSEEN)
    mark = f"{data.fingerprint} new alphabets"
    return ready(replace(data, splits={"train": np.flatnonzero(~new), "test": np.flatnonzero(new)}, fingerprint=mark))


SETS = {
    "mnist": Asked("labels", RECIPES, SECONDS, few_digits),
    "cifar10-subset": Asked("labels", RECIPES, SECONDS, lambda: ready(load("cifar10-subset"))),
    "omniglot-small": Asked("one-shot", (*RECIPES, "prototypical-networks"), SECONDS, new_characters),
}

if __name__ == "__main__":
    rankings(__doc__, SETS, result="learning_ranks.json", picture="learning-ranks.svg", grid=(1, 3))
