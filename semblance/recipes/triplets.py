"""Triplets as recipes: embeddings in which like is nearer than unlike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.mining import Mining
from semblance.data.samplers import Balanced, Pairs, Repeated, Shuffled, Triples
from semblance.data.views import two_crops
from semblance.geometry.spaces import Euclidean, Sphere
from semblance.learning.backprop import Backprop
from semblance.objectives.triplets import Siamese, Triplets, distance_named, gap_named
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe


@dataclass(frozen=True)
class Crowds:
    """`steps` batches an epoch of `batch` items, so many of each label: what triples are mined in."""

    batch: int
    items: int
    steps: int

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As `Balanced`, of at least two labels."""
        balanced = Balanced(max(2, self.batch // max(1, self.items)), self.items)
        return Repeated(balanced, self.steps * self.batch).epoch(units, labels, rng)[: self.steps]


def _mining(negatives: str, positives: str, margin: float, active: bool = False) -> Mining | None:
    return None if negatives == "none" else Mining(negatives, positives, margin, active)


def _tail(dropout: float) -> nn.Module | None:
    return nn.Dropout(dropout) if dropout else None


@recipe(entry="triplet-network", paper="Hoffer & Ailon 2014, arXiv:1412.6622", domains="images", needs="labels")
def triplet_network(
    backbone: str = "small",
    width: int = 0,
    gap: str = "ratio",
    distance: str = "euclidean",
    margin: float = 0.2,
    dropout: float = 0.0,
    triples: int = 32,
    steps: int = 500,
    lr: float = 1e-2,
    schedule: str = "cosine",
    epochs: int = 3,
    mining: str = "none",
    positives: str = "all",
    active: bool = False,
    items: int = 8,
) -> Recipe:
    """semblance fit digits --recipe triplet-network    # `steps` batches of `triples` an epoch

    mining     semi-hard, hardest, random or all negatives of a batch of as many images, `items` of each label; none: drawn
    positives  all, hardest or random, when mining; active: of the mined triples only those within the margin

    Moved MNIST, 3 seeds: 1-NN 0.795, `siamese` on as many images 0.785, pixels 0.563 (results/triplet-network.json).
    One epoch, seed 100: 0.646; with mining=semi-hard gap=hinge distance=squared 0.878.
    """
    # Paper: SGD 0.5 halved every 10 epochs of 640,000 triples, dropout 0.5. Here 48,000 triples: Adam without dropout, and
    # many small steps of a high rate, since features without a norm have to grow before the loss moves. Moved MNIST, 1-NN
    # with seed 100: 125 steps of 128 triples at 1e-3 0.386, at 1e-2 0.466; 500 of 32 at 1e-2 0.627; 1,500 of 32 0.824.
    space = Sphere() if distance == "cosine" else Euclidean()
    mined = _mining(mining, positives, margin, active)

    def objective(shape: Shape) -> Triplets:
        return Triplets(gap_named(gap, margin), distance_named(distance), tail=_tail(dropout), mining=mined)

    stage = Stage(
        rule=Backprop("adam", lr=lr, schedule=schedule, epochs=epochs),
        objective=objective,
        batches=Triples(3 * triples, steps) if mined is None else Crowds(3 * triples, items, steps),
    )
    return Recipe(encoder=backbone_of(backbone, width, geometry=space), stages=(stage,))


@recipe(entry=None, paper="Hadsell et al. 2006, doi:10.1109/CVPR.2006.100", domains="images", needs="labels")
def siamese(
    backbone: str = "small",
    width: int = 0,
    margin: float = 1.0,
    dropout: float = 0.0,
    pairs: int = 48,
    steps: int = 500,
    lr: float = 1e-2,
    schedule: str = "cosine",
    epochs: int = 3,
) -> Recipe:
    """semblance fit digits --recipe siamese    # pairs instead of triples: the triplet network's baseline"""
    stage = Stage(
        rule=Backprop("adam", lr=lr, schedule=schedule, epochs=epochs),
        objective=lambda shape: Siamese(margin, tail=_tail(dropout)),
        batches=Pairs(2 * pairs, steps),
    )
    return Recipe(encoder=backbone_of(backbone, width, geometry=Euclidean()), stages=(stage,))


@recipe(entry=None, paper="Hoffer & Ailon 2014, arXiv:1412.6622", domains="images")
def triplet_views(
    backbone: str = "small",
    width: int = 0,
    gap: str = "ratio",
    distance: str = "euclidean",
    margin: float = 0.2,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 16,
    least: int = LEAST,
    mining: str = "none",
) -> Recipe:
    """semblance fit pictures/ --recipe triplet-views    # no labels: another view against another picture"""
    space = Sphere() if distance == "cosine" else Euclidean()
    mined = _mining(mining, "all", margin)

    def objective(shape: Shape) -> Triplets:
        return Triplets(gap_named(gap, margin), distance_named(distance), from_views=True, mining=mined)

    stage = Stage(Backprop("adam", lr=lr, epochs=epochs), objective, Repeated(Shuffled(batch), least), two_crops())
    return Recipe(encoder=backbone_of(backbone, width, geometry=space), stages=(stage,))
