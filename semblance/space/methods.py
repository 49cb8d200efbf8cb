"""What is done with a whole space by name: a report on it, an index over its items. Other packages offer more of both.

report(space, "memory").save("memory.html")
report(space, "zero-shot", table="animals.csv")
index(space, "exact").search(queries, 5, where="year >= 2020")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
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


def zero_shot(
    space: Space,
    table: str = "",
    unseen: str = "",
    models: str = "all",
    setting: str = "zero-shot",
    direction: str = "",
    neighbours: str = "nearest",
    transductive: str = "none",
    seed: int = 0,
) -> Report:
    """How well classes are answered of which only a table tells (CSV or Parquet, a row for each): learned from the labelled
    items of split `train`, asked of those of split `test`. Lists are parted by commas, `all` is every model or setting."""
    from semblance.analysis.zero_shot import zero_shot as asked
    from semblance.analysis.zero_shot_settings import SETTINGS
    from semblance.data.class_tables import class_table

    if not table:
        raise SemblanceError("the report 'zero-shot' needs a table with a row for each class: --set table=FILE.csv")
    known, (train, test) = class_table(table), _labelled(space, "zero-shot")
    found: Report = asked(
        (train[0], train[1].tolist()),
        (test[0], test[1].tolist()),
        known,
        unseen=_listed(unseen) if unseen else None,
        models="all" if models == "all" else _listed(models),
        settings=list(SETTINGS) if setting == "all" else _listed(setting),
        directions=_listed(direction),
        neighbours=_listed(neighbours),
        transductive=_listed(transductive),
        seed=seed,
    )
    return found


def _labelled(space: Space, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vectors with the words of their labels, of the splits train and test."""
    table = space.attributes()
    if not {"split", "label"} <= set(table.column_names):
        raise SemblanceError(f"the report {name!r} needs the columns split and label: fit the space on labelled data")
    split, label = (np.array(table.column(column).to_pylist(), object) for column in ("split", "label"))
    known = np.array([value is not None for value in label])
    rows = [np.flatnonzero((split == part) & known) for part in ("train", "test")]
    return [(space.vectors[part], np.array([str(value) for value in label[part]])) for part in rows]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def by_prefix(space: Space, numbers: str = "", k: int = 20) -> Report:
    """What the first numbers of the embeddings are worth alone, by labels: of split `train` for those of split `test`."""
    from semblance.analysis.prefixes import prefixes

    (x, labels), (asked, truth) = _labelled(space, "prefixes")
    if not all(part.isdigit() and int(part) for part in _listed(numbers) if numbers):
        raise SemblanceError(f"numbers is {numbers!r}, but it says how many lead: give some such as 8,16,64")
    dims = [int(part) for part in _listed(numbers)] if numbers else []
    found: Report = prefixes((x, labels), (asked, truth), dims, k)
    return found


OURS: dict[str, Callable[..., Report]] = {
    "memory": memory,
    "collapse": collapse,
    "prefixes": by_prefix,
    "zero-shot": zero_shot,
}


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


def read_settings(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """What was typed of a report's settings, as the kinds of its defaults; those of other packages' reports stay words."""
    if not given or name not in OURS:
        return dict(given)
    defaults = {key: p.default for key, p in inspect.signature(OURS[name]).parameters.items() if key != "space"}
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in defaults:
            raise unknown(f"setting of the report {name}", key, defaults)
        try:
            read[key] = type(defaults[key])(value)
        except ValueError:
            raise SemblanceError(f"{key} is {value!r}, but it takes a number such as {defaults[key]}") from None
    return read


def index(space: Space, name: str, **settings: Any) -> Index:
    """The index of this name, filled with the space's items and their attributes as they are now."""
    filled = index_named(name, int(space.manifest["dim"]), space.geometry.name, **settings)
    filled.add(space.ids, space.vectors, space.attributes())
    return filled
