"""Theory made runnable: recipes without data, whose report is computed from an equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.memory.associative import phase_diagram
from semblance.recipes.registry import Recipe, recipe


def no_encoder(name: str) -> Callable[[Shape], Any]:
    """What answers who would fit a recipe that makes a report."""

    def refuse(shape: Shape) -> Any:
        raise SemblanceError(f"recipe {name!r} makes a report and no model: run build({name!r}).report()")

    return refuse


@recipe(
    entry="multitasking-hebbian",
    paper="Agliari et al. 2023, arXiv:2308.04106",
    domains=(),
    makes="report",
)
def multitasking_hebbian(patterns: int = 4) -> Recipe:
    """semblance reproduce multitasking-hebbian    # overlaps over dilution and noise, from mean field"""
    return Recipe(encoder=no_encoder("multitasking-hebbian"), makes="report", report=lambda: phase_diagram(patterns))
