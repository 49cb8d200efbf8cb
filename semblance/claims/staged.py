"""A recipe with its first stage changed, as claims need it: other views or batches, an objective that is sabotaged.

What a stage trained with and dropped is afterwards at `Model.objective`, of the last stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from semblance.data.dataset import Shape
from semblance.recipes.registry import Recipe, Stage


def staged(recipe: Recipe, through: Callable[[Any], nn.Module] | None = None, **changes: Any) -> Recipe:
    """The recipe whose first stage has these fields of `Stage` instead of its own; its objective is what `through` makes of
    the one it had."""
    first, *others = recipe.stages
    if through is not None:
        changes["objective"] = passed(first, through)
    return replace(recipe, stages=(replace(first, **changes), *others))


def passed(stage: Stage, through: Callable[[Any], nn.Module]) -> Callable[[Shape], nn.Module]:
    """The stage's objective after it went through a function."""
    made = stage.objective
    assert made is not None, "the stage has no objective"
    return lambda shape: through(made(shape))
