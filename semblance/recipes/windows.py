"""Indexes as recipes: embeddings as they are, and how they are found again within a window of an attribute."""

from __future__ import annotations

from dataclasses import replace

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.memory.base_indexes import base_index
from semblance.memory.window_index import WindowIndex
from semblance.recipes.registry import Recipe, build, recipe


@recipe(entry="window-search", paper="Engels et al. 2024, arXiv:2402.00943", domains="vectors", makes="index")
def window_search(
    by: str = "label", base: str = "graph", branching: int = 2, cutoff: int = 1000, geometry: str = "cosine"
) -> Recipe:
    """semblance fit vectors.npy --recipe window-search --set by=year

    by      the attribute whose windows are asked for;  base   flat, lists or graph, for every node of the tree

    MNIST, 60,000 digits, random numbers: at windows of 1/16 and 1/32 of all items the tree needs 0.2 times the distance
    evaluations of the better of scanning and post-filtering (results/window-search.json).
    """
    base_index(base)
    if branching < 2 or cutoff < 1:
        raise SemblanceError(f"branching is {branching} and cutoff {cutoff}: give 2 or more, and 1 or more")

    def index(shape: Shape) -> WindowIndex:
        return WindowIndex(shape.item[0], by, geometry, base, branching, cutoff)

    return replace(build("as-is"), makes="index", index=index)
