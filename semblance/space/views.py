"""What a recipe's views make of some items of the data, as a picture."""

from __future__ import annotations

from typing import Any

from semblance.data.dataset import ArrayDataset
from semblance.data.domains import default_recipe
from semblance.data.graph_views import GraphViews
from semblance.data.load import load as load_data
from semblance.data.relational import RelationalDataset
from semblance.data.text_views import TextViews
from semblance.data.views import views_picture
from semblance.data.views_shown import graph_views_picture, text_views_picture
from semblance.errors import SemblanceError
from semblance.recipes.registry import build, table

VIEWED = {"images": "simclr", "text": "simcse", "graph": "grace"}
"""A recipe of each domain that draws views."""


def drawn_views(source: Any, recipe: str | None = None, *, seed: int = 0, **reading: Any) -> tuple[str, Any]:
    """The recipe (default: the domain's, or one of the domain that draws views) and a matplotlib figure of what its views
    make of some items, drawn with this seed."""
    dataset = load_data(source, seed=seed, **reading)
    if dataset.domain not in VIEWED:
        raise SemblanceError(f"{source} holds {dataset.domain}, of which no recipe draws views: {_those()} have some")
    name = recipe or default_recipe(dataset)
    made = build(name)
    drawn = [stage.views for stage in made.stages if stage.views is not None]
    if not drawn and recipe is None:
        name = VIEWED[dataset.domain]
        made = build(name)
        drawn = [stage.views for stage in made.stages if stage.views is not None]
    if dataset.domain not in table()[name.partition("@")[0]].domains:
        raise SemblanceError(
            f"recipe {name} takes no {dataset.domain}: name one that does, e.g. {VIEWED[dataset.domain]}"
        )
    if not drawn:
        raise SemblanceError(
            f"recipe {name} draws no views: name one that does with --recipe, e.g. {VIEWED[dataset.domain]}"
        )
    views = drawn[0]
    if isinstance(views, TextViews):
        assert isinstance(dataset, ArrayDataset)
        texts = getattr(dataset.x, "texts", dataset.x)
        pieces = made.cutting.learned(texts[dataset.splits["train"]].tolist())
        return name, text_views_picture(dataset, pieces, views, seed)
    if isinstance(views, GraphViews):
        assert isinstance(dataset, RelationalDataset)
        return name, graph_views_picture(dataset, views, seed)
    return name, views_picture(dataset, views, seed)


def _those() -> str:
    return ", ".join(f"{domain} ({name})" for domain, name in VIEWED.items())
