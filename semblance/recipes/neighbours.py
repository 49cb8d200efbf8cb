"""Nearest neighbours beside a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape
from semblance.heads.classify import Linear
from semblance.heads.neighbours import NeighbourMix, held_out
from semblance.learning.backprop import Backprop
from semblance.learning.solve import SolveHead
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.supervised import moved_a_little


@dataclass(frozen=True)
class Without:
    """Another sampler's batches from the units that are not held out; the head holds out the same."""

    sampler: Any
    validation: float

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As the other's, in positions among all units."""
        if labels is None:
            return self.sampler.epoch(units, labels, rng)
        known = np.flatnonzero(labels >= 0)
        kept = known[~held_out(labels[known], self.validation)]
        return [kept[batch] for batch in self.sampler.epoch(len(kept), labels[kept], rng)]


@recipe(entry="knn-revisited", paper="Jia et al. 2021, arXiv:2112.08459", domains="images", needs="labels")
def knn_revisited(
    backbone: str = "small",
    width: int = 0,
    batch: int = 128,
    lr: float = 1e-3,
    k: int = 0,
    temperature: float = 0.0,
    share: float = -1.0,
    validation: float = 0.1,
    augment: bool = True,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe knn-revisited

    k, temperature, share   0, 0 and -1: chosen on a held-out part of the training units, which the net does not learn from
    """
    encoder = backbone_of(backbone, width)

    def head(shape: Shape) -> NeighbourMix:
        return NeighbourMix(
            Linear(width_of(encoder, shape), shape.classes),
            shape.classes,
            k or None,
            temperature or None,
            None if share < 0 else share,
            validation,
        )

    return Recipe(
        encoder=encoder,
        stages=(
            Stage(
                rule=Backprop("adam", lr=lr, epochs=epochs),
                objective=lambda shape: CrossEntropy(),
                batches=Repeated(Without(Shuffled(batch), validation), least),
                views=ByShape(moved_a_little, count=1) if augment else None,
            ),
            Stage(rule=SolveHead()),
        ),
        head=head,
        memory="data",
    )
