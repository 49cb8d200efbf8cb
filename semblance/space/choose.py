"""Which recipe, and does it suit the data: asked once, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semblance.data.domains import default_recipe, labelled, rank_set
from semblance.data.graph_facts import properties
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError
from semblance.recipes.registry import Recipe, build, check_settings, row_of, stored_name, table, told_name
from semblance.recipes.uses import unused
from semblance.space.columns import label_kind
from semblance.space.model import Model
from semblance.space.needs import refuse, takes_these_labels


def choose(dataset: Loaded, recipe: str | None, given: Mapping[str, Any]) -> tuple[str, dict[str, Any], Recipe]:
    """The recipe of this name, or the domain's default, built with the settings given: name, checked settings, recipe.

    Refused where the data lacks what the recipe needs, with the recipes that would do.
    """
    name = told_name(stored_name(recipe or default_recipe(dataset)))
    settings = check_settings(name, given)
    refuse(dataset, row_of(name))
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
        and takes_these_labels(dataset, rows[name])
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
