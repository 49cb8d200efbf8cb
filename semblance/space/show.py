"""Show: a space, the answer to a search, an evaluation and a ranking as a notebook shows them: tables of HTML, with the
items' own pictures where the space holds images. Ids, labels and paths are the user's words and are escaped (reports.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import Html, image_html, table_html

if TYPE_CHECKING:
    from semblance.space.space import Space

log = logging.getLogger(__name__)
PICTURES = 16
"""So many pictures stand under a space."""
SIDE = "height:56px;image-rendering:pixelated"

METRICS = {
    "knn1": "1-nn accuracy",
    "knn5": "5-nn accuracy",
    "knn20": "20-nn accuracy",
    "linear": "linear probe",
    "fewshot1": "5-way 1-shot",
    "fewshot5": "5-way 5-shot",
    "fewshot5_all": "all classes, 5 labels each",
    "map": "mean average precision",
    "recall10": "recall at 10",
    "nmi": "clusters: NMI",
    "ari": "clusters: ARI",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "effective_rank": "effective rank",
    "view_recall1": "other view is nearest",
    "zeroshot": "new classes by their attributes",
}
"""What the metrics of an evaluation are called in words."""


class Evaluation(dict[str, Any]):
    """What `Space.evaluate` answers: {"metrics": {name: {value, low, high, baseline}}, "notes": [...]}, and a table where
    it is looked at in a notebook."""

    def _repr_html_(self) -> str:
        rows = [
            [name, METRICS.get(name, ""), _figure(m["value"]), _span(m), _figure(m.get("baseline"))]
            for name, m in self["metrics"].items()
            if m is not None and m.get("value") is not None
        ]
        columns = ["metric", "", "value", "95% interval", "raw input"]
        said = table_html([""], [[note] for note in self["notes"]]) if self["notes"] else ""
        return table_html(columns, rows, "Held-out items judged against the training items") + said


def space_html(space: Space) -> str:
    """What a space is, and pictures of items spread over it."""
    said = space.manifest
    classes = list(said.get("classes", ()))
    facts = [
        ["items", f"{len(space):,} ({said['domain']})"],
        ["recipe", space.recipe or "a model of yours"],
        ["vectors", f"{said['dim']} numbers, {space.geometry.name}"],
        ["labels", f"{len(classes):,} classes: {_some(classes)}" if classes else said.get("labels", "none")],
        ["columns", ", ".join(space.store.view.schema.names)],
        ["version", space.store.version],
    ]
    pictures = ""
    if said["domain"] == "images" and len(space):
        rows = np.unique(np.linspace(0, len(space) - 1, PICTURES).astype(int))
        pictures = "".join(filter(None, (_picture(space.store.thumbnail, id) for id in space.store.ids(rows))))
    return f"<div>{table_html(['', ''], facts, str(space.path))}{pictures}</div>"


def results_html(results: Any, thumbnail: Callable[[str], bytes | None] | None) -> str:
    """The nearest items, one a row; with pictures where the space they came from has some, and is open."""
    found = results.results
    columns = list(dict.fromkeys(name for one in found for name in one["attributes"]))
    pictures = [None if thumbnail is None else _picture(thumbnail, one["id"]) for one in found]
    seen = any(pictures)
    rows = [
        [*([picture] if seen else []), one["id"], one["distance"], *(one["attributes"].get(name) for name in columns)]
        for one, picture in zip(found, pictures, strict=True)
    ]
    title = f"{results.matches:,} match; {results.plan}"
    return table_html([*([""] if seen else []), "id", "distance", *columns], rows, title)


def ranking_html(rows: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]], said: str) -> str:
    """Methods, best first, with the paired test of each against the best."""
    against = {test["b"]: test for test in tests if test["a"] == rows[0]["recipe"]}
    lines = []
    for row in rows:
        test = against.get(row["recipe"])
        worse = "" if test is None else f"{test['difference']:+.3f}, p = {test['p_holm']:.3g}"
        lines.append([row["recipe"], _figure(row["value"]), _span(row), worse, row["seeds"], f"{row['seconds']:.1f}"])
    columns = ["recipe", rows[0]["metric"], "95% interval", "best minus this, Holm", "seeds", "seconds a run"]
    return table_html(columns, lines, said)


def _picture(thumbnail: Callable[[str], bytes | None], id: str) -> Html | None:
    try:
        content = thumbnail(id)
    except SemblanceError as error:  # the item has been removed since, or the space is closed
        log.debug("no picture of %s: %s", id, error)
        return None
    return None if content is None else image_html(content, id, SIDE)


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _span(found: Mapping[str, Any]) -> str:
    low, high = found.get("low"), found.get("high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (", \u2026" if len(names) > most else "")
