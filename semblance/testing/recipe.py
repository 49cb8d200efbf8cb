"""What every recipe promises: it describes itself, learns, tells items apart, repeats, and comes back from disk.

check_recipe("simsiam")
"""

from __future__ import annotations

import inspect
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semblance.contracts import Index
from semblance.data.dataset import Shape
from semblance.data.relational import Loaded
from semblance.errors import unknown
from semblance.plugins import TABLE, offered
from semblance.recipes.registry import Recipe, build, check_settings, own, recipe_function, row_of
from semblance.recipes.rows import Entry, read_rows
from semblance.space.model import Model
from semblance.space.training import train
from semblance.testing.dataset import small
from semblance.testing.promises import Excused, equal, keep, refuses, that
from semblance.testing.report import check_report

SHORT = {"least": 1, "episodes": 2, "steps": 2, "pairs": 32, "triples": 32}
"""What cuts a trial short where a recipe has such a setting: every epoch shows the few items once."""


@dataclass
class Tried:
    """A recipe with the settings and the data that it is tried with."""

    name: str
    row: Entry
    settings: Mapping[str, Any]
    dataset: Loaded | None

    def recipe(self) -> Recipe:
        """Built anew."""
        return build(self.name, **self.settings)

    def trained(self, seed: int) -> Model:
        """One epoch."""
        assert self.dataset is not None
        return train(self.dataset, self.recipe(), seed=seed, epochs=1, name=self.name, settings=self.settings)

    @cached_property
    def model(self) -> Model:
        """One epoch, kept. Of another seed than the one a file's model is built with before it is filled, which would
        hide what the file lacks."""
        return self.trained(seed=1)

    @cached_property
    def z(self) -> np.ndarray:
        """The embeddings of the data."""
        return self.model.embed(self.dataset)


def check_recipe(
    name: str,
    dataset: Loaded | None = None,
    settings: Mapping[str, Any] | None = None,
    excused: Excused = None,
) -> None:
    """Holds the recipe of this name to what `fit`, `rank` and files expect of it.

    dataset: what it is tried on; without one, a small one of every domain of the recipe's.
    settings: what makes the trial short; those named in SHORT are set where the recipe has them. `excused`: promises
    without a meaning for this recipe, each with the reason.
    """
    row = row_of(name)
    chosen = check_settings(name, short(name) | dict(settings or {}))
    if row.makes == "report":
        keep(f"the recipe {name!r}", SAID | {"reports": _reports}, excused, Tried(name, row, chosen, None))
        return
    if row.makes not in ("model", "index"):  # what else a recipe may make has no contract of its own yet
        keep(f"the recipe {name!r}", SAID, excused, Tried(name, row, chosen, None))
        return
    if dataset is not None and dataset.domain not in row.domains:
        raise unknown(f"domain of {name}", dataset.domain, row.domains)
    for data in [dataset] if dataset is not None else [small(domain) for domain in row.domains]:
        promises = SAID | LEARNED | ({"indexes": _indexes} if row.makes == "index" else {})
        keep(f"the recipe {name!r} on {data.domain}", promises, excused, Tried(name, row, chosen, data))


def short(name: str) -> dict[str, Any]:
    """The settings that cut a trial of this recipe short."""
    return {key: value for key, value in SHORT.items() if key in row_of(name).settings}


def _described(tried: Tried) -> None:
    """its settings are plain values, its paper is named, its docstring begins with a command that runs it"""
    strange = [key for key, v in tried.row.settings.items() if not isinstance(v, int | float | str | bool | None)]
    that(not strange, f"{', '.join(strange)} of the settings are no numbers, texts or flags")
    that(bool(tried.row.paper), "no paper is named (`paper=`): say 'no learning' or 'unpublished' where there is none")
    commands = ("semblance reproduce ",) if tried.row.makes == "report" else ("semblance fit ", "semblance rank ")
    that(
        tried.row.summary.startswith(commands),
        f"the docstring begins with {tried.row.summary!r} and not with {commands[0]!r}",
    )


def _listed(tried: Tried) -> None:
    """the table that is shipped says what the code says"""
    plain = tried.name.partition("@")[0]
    code = vars(getattr(recipe_function(plain), "row"))  # noqa: B009 (a function has no such attribute for a type checker)
    if plain in own():
        shipped, mend = own(), "python -m semblance.recipes.registry"
    else:
        offer = offered("recipes", own())[plain]
        folder = offer.folder()
        if folder is None or not (folder / TABLE).exists():
            return  # listed by name only, which a package may choose
        shipped, mend = (
            read_rows(folder / TABLE),
            f"python -m semblance.recipes.registry {offer.module.partition('.')[0]}",
        )
    that(plain in shipped, f"it is not in the table: run {mend}")
    found = vars(shipped[plain])
    wrong = [key for key in code if code[key] != found[key]]
    that(not wrong, f"{', '.join(wrong)} stand otherwise in the table: run {mend}")


def _settings(tried: Tried) -> None:
    """an unknown setting is refused, and every setting of today is an argument with that default"""
    refuses(lambda: build(tried.name, **{"no-such-setting": 1}), "a setting that does not exist")
    parameters = inspect.signature(recipe_function(tried.name.partition("@")[0])).parameters
    bare = [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]
    that(not bare, f"arguments without a default: {', '.join(bare)}")


def _learns(tried: Tried) -> None:
    """after an epoch it embeds every item, finite, and not all alike"""
    that(
        tried.z.shape == (len(tried.dataset or ()), tried.model.dim), f"embeddings have the shape {list(tried.z.shape)}"
    )
    that(bool(np.isfinite(tried.z).all()), "an embedding holds NaN or infinity")
    that(len(np.unique(tried.z.round(5), axis=0)) > 1, "every item has the same embedding")


def _alone(tried: Tried) -> None:
    """an item alone has the embedding that it has among others"""
    equal(tried.model.embed(tried.dataset, np.array([7])), tried.z[7:8], "item 7", 1e-4)


def _back(tried: Tried) -> None:
    """saved and loaded it embeds and answers the same, bit for bit"""
    with tempfile.TemporaryDirectory() as folder:
        tried.model.save(Path(folder) / "model.safetensors")
        again = Model.load(Path(folder) / "model.safetensors")
    equal(again.embed(tried.dataset), tried.z, "embeddings")
    if tried.model.network.head is None:
        refuses(lambda: tried.model.predict(tried.dataset), "a prediction without a head")
    else:
        answers = tried.model.predict(tried.dataset)
        that(len(answers) == len(tried.z), f"{len(answers)} answers for {len(tried.z)} items")
        that(again.predict(tried.dataset) == answers, "the answers of its head are others")


def _repeats(tried: Tried) -> None:
    """the same seed gives the same weights, bit for bit, and the global generators are left alone"""
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].tolist(), random.getstate()
    one, two = (tried.trained(seed=3).network.state_dict() for _ in range(2))
    after = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].tolist(), random.getstate()
    that(one.keys() == two.keys(), "the second time it has other weights")
    other = [key for key in one if not torch.equal(one[key], two[key])]
    that(not other, f"other values: {', '.join(other[:3])}")
    that(torch.equal(before[0], after[0]) and before[1:] == after[1:], "a global generator was drawn from, or seeded")


def _indexes(tried: Tried) -> None:
    """the index that it names fits its embeddings"""
    recipe = tried.recipe()
    that(recipe.makes == "index", f"it makes a {recipe.makes}, and its row says index")
    if recipe.index is not None:
        dim = tried.model.dim
        index = recipe.index(Shape("vectors", (dim,), 0, len(tried.z)))
        that(isinstance(index, Index), f"a {type(index).__name__} is no Index")


def _reports(tried: Tried) -> None:
    """its report is one"""
    recipe = tried.recipe()
    that(recipe.report is not None, "it names none: give Recipe(report=...)")
    check_report(recipe.report() if recipe.report else None)


SAID = {"described": _described, "listed": _listed, "settings": _settings}
LEARNED = {"learns": _learns, "alone": _alone, "back": _back, "repeats": _repeats}
