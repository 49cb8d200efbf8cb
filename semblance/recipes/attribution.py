"""Networks made to be looked into: embeddings whose maps are fine enough to show why two pictures are near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.data.mining import Mining
from semblance.data.samplers import Balanced, Repeated, Shuffled
from semblance.geometry.spaces import Sphere
from semblance.learning.backprop import Backprop
from semblance.objectives.triplets import Triplets, distance_named, gap_named
from semblance.recipes.backbones import LEAST, SMALL, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe

FINE = (2, 2, 1, 1)


@dataclass(frozen=True)
class Alike:
    """Batches in which triples can be found: so many of each label, or, where items have several classes, at random."""

    batch: int
    items: int
    least: int

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As `Balanced`."""
        several = labels is not None and labels.ndim == 2
        inner = Shuffled(self.batch) if several else Balanced(max(2, self.batch // self.items), self.items)
        return Repeated(inner, self.least).epoch(units, labels, rng)


@recipe(
    entry="visualizing-similarity-networks",
    paper="Stylianou, Souvenir & Pless 2019, arXiv:1901.00536",
    domains="images",
    needs="labels",
)
def similarity_maps(
    backbone: str = "small",
    width: int = 0,
    pooling: str = "mean",
    mining: str = "all",
    margin: float = 0.3,
    batch: int = 32,
    items: int = 8,
    lr: float = 3e-3,
    least: int = LEAST,
    epochs: int = 10,
) -> Recipe:
    """semblance fit digits --recipe similarity-maps    # then: semblance explain digits.space 3 --html why.html

    pooling  mean or max over the map: either way the cosine is a sum over pairs of its cells (analysis/attribution.py)
    mining   which triples of a batch are learned from: semi-hard, all, hardest or random; items with several classes are
             alike where they share one

    The small nets keep a map four times as fine as usual, since a heat map shows no more than the map has cells.
    """
    axes: dict[str, object] = {"readout": pooling, "geometry": Sphere()}
    if backbone in SMALL:
        axes["strides"] = FINE

    def objective(shape: object) -> Triplets:
        return Triplets(gap_named("hinge", margin), distance_named("cosine"), mining=Mining(mining, "all", margin))

    stage = Stage(rule=Backprop("adam", lr=lr, epochs=epochs), objective=objective, batches=Alike(batch, items, least))
    return Recipe(encoder=backbone_of(backbone, width, **axes), stages=(stage,))
