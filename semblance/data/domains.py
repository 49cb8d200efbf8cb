"""Domains: which kind of data each input is, which recipe it gets by default, which ones `rank` compares on it.

One table, `DOMAINS`; a plugin or a later domain is one row more. `recognise` looks at file kinds, columns and shapes
(headers only, never the data) and says what it found and why. Where two domains fit, the user chooses by `--domain`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semblance.data.dataset import ArrayDataset
from semblance.errors import SemblanceError


@dataclass(frozen=True)
class Domain:
    """A row. `files` are the suffixes that lead here by themselves, `reads` says the rest in words; `default` picks the
    recipe for a dataset; `ranked` are the recipes `rank` runs when none is named (those whose needs are met)."""

    name: str
    reads: str
    files: tuple[str, ...]
    default: Callable[[ArrayDataset], str]
    ranked: tuple[str, ...]


def _for_images(dataset: ArrayDataset) -> str:
    return "supcon" if labelled(dataset) >= 0.5 else "simclr"


def _for_vectors(dataset: ArrayDataset) -> str:
    return "as-is"


DOMAINS: dict[str, Domain] = {
    row.name: row
    for row in (
        Domain(
            "images",
            "a folder of images, an image file, a list of image files, or uint8 arrays [N, H, W] or [N, H, W, 3]",
            (),
            _for_images,
            ("simclr", "simsiam", "rotnet", "instance-discrimination", "supcon", "supervised"),
        ),
        Domain(
            "vectors",
            "float arrays [N, d], or tables with numeric columns or one column of vectors",
            (),
            _for_vectors,
            ("as-is", "icon"),
        ),
    )
}

NEED_LABELS = ("supcon", "supervised")


def labelled(dataset: ArrayDataset) -> float:
    """The share of units with one class each; 0 where all have the same class, which tells nothing apart."""
    labels = dataset.targets.get("labels")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        return 0.0
    known = labels >= 0
    return float(known.mean()) if len(np.unique(labels[known])) > 1 else 0.0


def default_recipe(dataset: ArrayDataset) -> str:
    """The recipe that `fit` takes when none is named."""
    return DOMAINS[dataset.domain].default(dataset)


def rank_set(dataset: ArrayDataset) -> list[str]:
    """The recipes that `rank` runs when none is named."""
    return [name for name in DOMAINS[dataset.domain].ranked if name not in NEED_LABELS or labelled(dataset) > 0]


def not_built(domain: str, what: str) -> SemblanceError:
    """The answer to data of a domain that has no row yet."""
    return SemblanceError(
        f"{what} is of the domain {domain}, which is not built yet: today there are {', '.join(DOMAINS)} "
        "(--domain takes one of them)"
    )
