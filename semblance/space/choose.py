"""Which recipe, and does it suit the data: asked once, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semblance.data.domains import default_recipe, labelled, rank_set
from semblance.data.graph_facts import properties
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError
from semblance.recipes.registry import Recipe, build, check_settings, row_of, stored_name, table, told_name
from semblance.recipes.uses import unused
from semblance.space.columns import label_kind
from semblance.space.model import Model


def choose(dataset: Loaded, recipe: str | None, given: Mapping[str, Any]) -> tuple[str, dict[str, Any], Recipe]:
    """The recipe of this name, or the domain's default, built with the settings given: name, checked settings, recipe.

    Refused where the data lacks what the recipe needs, with the recipes that would do.
    """
    name = told_name(stored_name(recipe or default_recipe(dataset)))
    settings = check_settings(name, given)
    row = row_of(name)
    if dataset.domain not in row.domains:
        fitting = sorted(r.name for r in table().values() if dataset.domain in r.domains)
        raise SemblanceError(
            f"recipe {name!r} takes {' or '.join(row.domains) or 'no data'}; this data is {dataset.domain}: "
            f"use {', '.join(fitting) or 'one of the package that brings this domain'}"
        )
    if "labels" in row.needs:
        labels = dataset.targets.get("labels")
        known = 0 if labels is None else len(np.unique(labels[labels >= 0])) if labels.ndim == 1 else labels.shape[1]
        others = sorted(r.name for r in table().values() if dataset.domain in r.domains and not r.needs)
        if labels is None:
            raise SemblanceError(
                f"recipe {name!r} needs labels and the data has none: name the column by --label, put the images "
                f"into class folders, or use {', '.join(others)}"
            )
        if known < 2:
            raise SemblanceError(
                f"recipe {name!r} needs labels of two classes or more and the data has {known}: use {', '.join(others)}"
            )
    if "judgements" in row.needs and getattr(dataset, "pairs", None) is None and "labels" not in dataset.targets:
        others = sorted(r.name for r in table().values() if dataset.domain in r.domains and not r.needs)
        raise SemblanceError(
            f"recipe {name!r} learns from pairs that somebody judged (two columns of texts and a score "
            f"or label), or from labels, and the data has neither: use {', '.join(others)}"
        )
    if "captions" in row.needs and getattr(dataset, "captions", None) is None:
        met = {"labels"} if "labels" in dataset.targets else set()
        others = sorted(r.name for r in table().values() if dataset.domain in r.domains and set(r.needs) <= met)
        raise SemblanceError(
            f"recipe {name!r} learns from captions and the data has none: put a table captions.csv (file_name, caption) "
            f"beside the images, name a column or file by --captions, or use {', '.join(others)}"
        )
    return name, settings, build(name, **settings)


def suits(model: Model, dataset: Loaded) -> None:
    """Refuses a ready model whose domain is not the data's."""
    if model.shape.domain != dataset.domain:
        raise SemblanceError(
            f"the model takes {model.shape.domain} and the data is {dataset.domain}: "
            f"wrap it with domain={dataset.domain!r}"
        )


def candidates(dataset: Loaded) -> list[str]:
    """The recipes that `rank` runs when none is named: the domain's, those whose needs the data meets."""
    rows = table()
    has = labelled(dataset) > 0 or label_kind(dataset) in ("classes", "number")
    judged = has or getattr(dataset, "pairs", None) is not None
    found = [
        name
        for name in rank_set(dataset)
        if name in rows
        and (has or "labels" not in rows[name].needs)
        and (judged or "judgements" not in rows[name].needs)
    ]
    if not found:
        raise SemblanceError(f"no recipe is named to rank {dataset.domain} without labels: name some by -r")
    return found


def ignored(dataset: Loaded, name: str) -> str | None:
    """A line that says what of a graph the recipe does not use, or None. Refused where that are signs."""
    if not isinstance(dataset, RelationalDataset):
        return None
    words = unused(name.partition("@")[0], properties(dataset.graph))
    return f"{name} does not use the {' and '.join(words)} of the edges" if words else None
