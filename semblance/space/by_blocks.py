"""By blocks: methods that read a whole graph, yet need no gradient through it, with its rows in blocks that are Ray tasks.

Random projections (FastRP) are nothing else; of a filter before a linear map (SGC) the propagation goes by blocks, and the
map is then learned here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from semblance.data.moments import shape_of
from semblance.data.relational import Loaded, RelationalDataset
from semblance.geometry.graph import Graph
from semblance.recipes.registry import Recipe
from semblance.space.cluster import elsewhere, joined, runs_on, shared
from semblance.space.model import Model

if TYPE_CHECKING:
    from semblance.encoders.graphs.by_blocks import Each, Span

Progress = Callable[[int, int, str], None]


def in_blocks(
    dataset: Loaded, recipe: Recipe, on: str, workers: int | None, folder: Path, progress: Progress | None
) -> Recipe | None:
    """The recipe with an encoder that propagates by blocks, whose files lie in `folder`; None where it cannot or
    nothing runs elsewhere."""
    one_graph = isinstance(dataset, RelationalDataset) and dataset.whole and isinstance(dataset.graph, Graph)
    if not (elsewhere(on, workers) and one_graph):
        return None
    from semblance.encoders.graphs.by_blocks import by_blocks, goes_by_blocks

    with torch.random.fork_rng(devices=[]):
        if not goes_by_blocks(recipe.encoder(shape_of(dataset))):
            return None
    each = partial(_told, _on_ray(on, workers, folder.resolve()), progress)

    def encoder(shape: Any) -> nn.Module:
        return by_blocks(recipe.encoder(shape), folder / "blocks", each)

    return replace(recipe, encoder=encoder)


def whole(model: Model) -> None:
    """The model propagates over the whole graph again, as it was before it learned by blocks."""
    from semblance.encoders.graphs import by_blocks

    by_blocks.whole(model.network.encoder)


def _on_ray(on: str, workers: int | None, folder: Path) -> Each:
    def each(run: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[tuple[Span, Any]]:
        shared(joined(on), folder)
        return runs_on(on, run, spans, workers)

    return each


def _told(
    each: Each, progress: Progress | None, run: Callable[[Span], Any], spans: Sequence[Span]
) -> Iterator[tuple[Span, Any]]:
    for done, found in enumerate(each(run, spans)):
        if progress is not None:
            progress(done + 1, len(spans), "propagating by blocks")
        yield found
