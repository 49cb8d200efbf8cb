"""Batches put together in another way: a setting of every recipe that shuffles.

    semblance fit photos/ --recipe supcon --set "sampler=balanced(labels=8, items=16)"

shuffled    every unit once an epoch, in random order: what recipes do where they say nothing else
balanced    so many items of so many labels
streaming   stretches of consecutive units, mixed within what is open: for data too large to read in random order
episodes    tasks of a few labels, support items first

Batches have the recipe's size, unless labels and items make one. Recipes that mine pairs or triples have settings of their
own for that (`mining`, `items`, `ways`, `shots`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from semblance.data.samplers import Balanced, Episodes, Repeated, Shuffled
from semblance.data.streaming import Streaming
from semblance.errors import SemblanceError, unknown
from semblance.recipes.registry import Recipe, Stage

SAMPLERS: dict[str, Callable[..., Any]] = {
    "shuffled": Shuffled,
    "balanced": Balanced,
    "streaming": Streaming,
    "episodes": Episodes,
}
WORDS = re.compile(r"\s*([\w-]+)\s*(?:\(([^()]*)\))?\s*")


def sampler_named(words: str, batch: int = 256) -> Any:
    """`balanced(labels=8, items=16)` -> the sampler; what is not said has its default, a batch this size."""
    found = WORDS.fullmatch(words)
    if found is None:
        raise SemblanceError(
            f"{words!r} is no sampler: write a name, or name(key=number, ...), e.g. balanced(items=16)"
        )
    name, inner = found[1], found[2] or ""
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    make = SAMPLERS[name]
    known = [field.name for field in fields(make) if field.name != "drop_last"]  # type: ignore[arg-type]
    given = {"batch": batch} if "batch" in known else {}
    for part in filter(None, (each.strip() for each in inner.split(","))):
        key, _, value = (each.strip() for each in part.partition("="))
        if key not in known:
            raise unknown(f"setting of the sampler {name}", key, known)
        if not value.isdecimal():
            raise SemblanceError(f"{key} of the sampler {name} is {value!r}, but it is a count: give a whole number")
        given[key] = int(value)
    return make(**given)


def with_sampler(recipe: Recipe, words: str, name: str) -> Recipe:
    """The recipe with its shuffled batches put together in this way."""

    def changed(stage: Stage) -> Stage:
        held = stage.batches
        if isinstance(held, Repeated) and isinstance(held.sampler, Shuffled):
            return replace(stage, batches=replace(held, sampler=sampler_named(words, held.sampler.batch)))
        return replace(stage, batches=sampler_named(words, held.batch)) if isinstance(held, Shuffled) else stage

    stages = tuple(changed(stage) for stage in recipe.stages)
    if all(one is other for one, other in zip(stages, recipe.stages, strict=True)):
        raise SemblanceError(f"recipe {name} puts its batches together in a way of its own: leave sampler out")
    return replace(recipe, stages=stages)
