"""Needs: what a method learns from beside the items (labels, judgements, captions), and whether the data has it.

A method whose needs are not met is refused in one line: what is missing, how the data would get it, which methods of its
domain would do as it is.
"""

from __future__ import annotations

import numpy as np

from semblance.data.domains import rank_set
from semblance.data.relational import Loaded
from semblance.errors import SemblanceError
from semblance.recipes.registry import own, table
from semblance.recipes.rows import Entry
from semblance.space.columns import label_kind

NAMED = 12  # methods that are named; of more the command that lists them
MISSING = {
    "judgements": "learns from pairs that somebody judged (two columns of texts and a score or label), or from labels, and "
    "the data has neither",
    "captions": "learns from captions and the data has none: put a table captions.csv (file_name, caption) beside the "
    "images, name a column or file by --captions",
}
SEVERAL = frozenset({"relative", "resnet", "similarity-maps", "supervised"})
"""Methods for images that take several classes an item; the others take one. In other domains a method says it itself."""
LABELLED = {
    "images": "name the column by --label, put the images into class folders",
    "text": "name the column by --label, put the texts into class folders",
}


def met(dataset: Loaded) -> frozenset[str]:
    """What of this the data has. Labels of one class teach nothing and do not count."""
    has = set()
    if _classes(dataset) > 1:
        has.add("labels")
    if getattr(dataset, "pairs", None) is not None or "labels" in dataset.targets:
        has.add("judgements")
    if getattr(dataset, "captions", None) is not None:
        has.add("captions")
    return frozenset(has)


def refuse(dataset: Loaded, row: Entry) -> None:
    """Raises unless the method takes data of this domain and has all it needs."""
    if dataset.domain not in row.domains:
        raise SemblanceError(
            f"recipe {row.name!r} takes {' or '.join(row.domains) or 'no data'}; this data is {dataset.domain}: "
            f"use {would_do(dataset) or 'one of the package that brings this domain'}"
        )
    # What another package's recipe needs beyond these it has to ask for itself.
    if not takes_these_labels(dataset, row):
        kind = {"classes": "several classes an item", "number": "numbers"}[label_kind(dataset)]
        raise SemblanceError(
            f"recipe {row.name!r} needs one class for every item, and the labels are {kind}: choose a column of classes by "
            f"--label, or use {would_do(dataset)}"
        )
    lacking = [need for need in row.needs if need in ("labels", *MISSING) and need not in met(dataset)]
    if not lacking:
        return
    others = would_do(dataset)
    instead = f"or use {others}" if others else f"since no method here learns from {dataset.domain} without"
    if lacking[0] != "labels":
        missing = MISSING[lacking[0]]
        remedy = f", {instead}" if ": " in missing else f": {instead.removeprefix('or ')}"
        raise SemblanceError(f"recipe {row.name!r} {missing}{remedy}")
    if "labels" in dataset.targets:
        few = f"needs labels of two classes or more and the data has {_classes(dataset)}"
        raise SemblanceError(f"recipe {row.name!r} {few}: label others, {instead}")
    how = LABELLED.get(dataset.domain, "name the column by --label")
    raise SemblanceError(f"recipe {row.name!r} needs labels and the data has none: {how}, {instead}")


def would_do(dataset: Loaded) -> str:
    """The methods of this domain whose needs the data meets, in words: those that `rank` takes first."""
    has = met(dataset)
    rows = [r for r in table().values() if dataset.domain in r.domains and has.issuperset(r.needs)]
    fitting = sorted(r.name for r in rows if takes_these_labels(dataset, r))
    first = [name for name in rank_set(dataset) if name in fitting]
    names = [*first, *(name for name in fitting if name not in first)]
    if len(names) <= NAMED:
        return ", ".join(names)
    rest = f"{len(names) - NAMED} more (semblance recipes --domain {dataset.domain}{'' if has else ' --needs nothing'})"
    return f"{', '.join(names[:NAMED])} or {rest}"


def takes_these_labels(dataset: Loaded, row: Entry) -> bool:
    """Whether this kind of labels will do for a method of ours that learns from labels of images."""
    if dataset.domain != "images" or "labels" not in row.needs or row.name not in own():
        return True
    kind = label_kind(dataset)
    return kind in ("none", "class") or (kind == "classes" and row.name in SEVERAL)


def _classes(dataset: Loaded) -> int:
    """Different labels there are; one for each column where a unit may have several."""
    labels = dataset.targets.get("labels")
    if labels is None:
        return 0
    return len(np.unique(labels[labels >= 0])) if labels.ndim == 1 else labels.shape[1]
