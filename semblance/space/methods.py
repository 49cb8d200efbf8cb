"""What is done with a whole space by name: a report on it, an index over its items. Other packages offer more of both.

report(space, "memory").save("memory.html")
index(space, "exact").search(queries, 5, where="year >= 2020")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semblance.analysis.collapse import neural_collapse
from semblance.analysis.memory_report import memory_report
from semblance.contracts import Index, Report
from semblance.errors import Failed, SemblanceError, unknown
from semblance.memory.by_name import index_named
from semblance.plugins import offered
from semblance.space.space import Space


def memory(space: Space, k: int = 10, seed: int = 0) -> Report:
    """What the items of split `train` are worth as a memory that answers for those of split `test`, by their labels."""
    table = space.attributes()
    if not {"split", "label"} <= set(table.column_names):
        raise SemblanceError("the report 'memory' needs the columns split and label: fit the space on labelled data")
    split, label = (np.array(table.column(name).to_pylist(), object) for name in ("split", "label"))
    known = np.array([value is not None for value in label])
    train, test = (np.flatnonzero((split == part) & known) for part in ("train", "test"))
    if len(train) <= k or not len(test):
        raise SemblanceError(
            f"the report 'memory' needs more than {k} labelled items to learn from and one to ask: there are "
            f"{len(train)} and {len(test)}"
        )
    z, names = space.vectors, [str(value) for value in label]
    stored, asked = ([names[row] for row in rows] for rows in (train, test))
    found: Report = memory_report(z[train], stored, z[test], asked, k=k, seed=seed)
    return found


def collapse(space: Space) -> Report:
    """Whether the labelled items of split `train` have come to one point a class, and in which frame the classes stand."""
    table = space.attributes()
    if not {"split", "label"} <= set(table.column_names):
        raise SemblanceError("the report 'collapse' needs the columns split and label: fit the space on labelled data")
    split, label = (np.array(table.column(name).to_pylist(), object) for name in ("split", "label"))
    rows = np.flatnonzero((split == "train") & np.array([value is not None for value in label]))
    found: Report = neural_collapse(space.vectors[rows], np.array([str(label[row]) for row in rows]))
    return found


OURS: dict[str, Callable[..., Report]] = {"memory": memory, "collapse": collapse}


def report_names() -> dict[str, str | None]:
    """Name -> the package that offers it, None for ours; imports none of them."""
    others = {name: offer.package for name, offer in offered("reports", OURS).items()}
    return dict.fromkeys(OURS) | others


def report(space: Space, name: str, **settings: Any) -> Report:
    """The report of this name: numbers (`table`), a picture (`plot`), one HTML file (`save`), a verdict (`str`)."""
    names = report_names()
    if name not in names:
        raise unknown("report", name, names)
    make = OURS[name] if name in OURS else offered("reports", OURS)[name].load()
    made = make(space, **settings)
    if not isinstance(made, Report):
        package, kind = names[name], type(made).__name__
        raise Failed(f"the report {name!r} of the package {package} is a {kind}, which lacks the Report contract")
    return made


def index(space: Space, name: str, **settings: Any) -> Index:
    """The index of this name, filled with the space's items and their attributes as they are now."""
    filled = index_named(name, int(space.manifest["dim"]), space.geometry.name, **settings)
    filled.add(space.ids, space.vectors, space.attributes())
    return filled
