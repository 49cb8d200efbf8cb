"""Class means trained for: tasks of a few support items, the nearest mean answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Episodes
from semblance.encoders.ball import InBall
from semblance.geometry.spaces import PoincareBall, space_named
from semblance.heads.prototypes.class_means import ClassMeans
from semblance.learning.backprop import Backprop
from semblance.learning.solve import SolveHead
from semblance.objectives.clusters import Episode
from semblance.recipes.backbones import backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


@dataclass(frozen=True)
class Tasks:
    """Episodes of at most these sizes: data with fewer labels or items gives smaller ones. Labels with fewer than two
    items are left out, since they have no query."""

    ways: int
    shots: int
    queries: int
    episodes: int

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As `Episodes`."""
        fitting = Episodes(max(self.ways, 2), self.shots, self.queries, self.episodes)
        if labels is None:
            return fitting.epoch(units, labels, rng)
        values, counts = np.unique(labels[labels >= 0], return_counts=True)
        enough = counts >= min(self.shots + 1, max(2, counts.max(initial=0)))
        kept = np.where(np.isin(labels, values[enough]), labels, -1)
        if enough.sum() > 1:
            least = int(counts[enough].min())
            shots = min(self.shots, least - 1)
            queries = min(self.queries, least - shots)
            fitting = replace(fitting, ways=min(fitting.ways, int(enough.sum())), shots=shots, queries=queries)
        return fitting.epoch(units, kept, rng)


def roomy(backbone: str, width: int, distance: str) -> Callable[[Shape], nn.Module]:
    """The backbone, its embeddings compared as the loss compares them. `conv4` halves a picture four times, and pictures
    with a side below 16 pixels get the small net instead."""
    geometry = space_named(distance)

    def build(shape: Shape) -> nn.Module:
        fits = backbone != "conv4" or min(shape.item[1:], default=16) >= 16
        encoder = backbone_of(backbone if fits else "small", width if fits else 0, geometry=geometry)(shape)
        return InBall(encoder, geometry) if isinstance(geometry, PoincareBall) else encoder

    return build


HALVED = 2000  # episodes after which the rate is halved, as in the paper


@recipe(entry="prototypical-networks", paper="Snell et al. 2017, arXiv:1703.05175", domains="images", needs="labels")
def prototypical_networks(
    backbone: str = "conv4",
    width: int = 0,
    ways: int = 15,
    shots: int = 5,
    queries: int = 5,
    turns: int = 1,
    distance: str = "euclidean",
    scale: float = 1.0,
    lr: float = 1e-3,
    episodes: int = 100,
    epochs: int = 10,
) -> Recipe:
    """semblance fit digits --recipe prototypical-networks

    ways      classes in a task; with `turns` 4 each stands in it upright and in three turns, so 15 are a task of 60
    shots     support items of each, as many as will be given in use
    distance  euclidean, cosine, or hyperbolic(0.05): in the Poincare ball of this curvature

    Unseen characters of Omniglot small, 20-way, 100 episodes: 5-shot 0.829, 1-shot 0.607 (results/); in
    hyperbolic(0.05), seed 100, 0.677 and 0.398.
    """
    encoder = roomy(backbone, width, distance)
    total = episodes * epochs
    halvings = tuple(step / total for step in range(HALVED, total, HALVED))
    train = Backprop("adam", lr=lr, epochs=epochs, schedule="steps", milestones=halvings, gamma=0.5)

    def head(shape: Shape) -> ClassMeans:
        return ClassMeans(width_of(encoder, shape), shape.classes, distance, scale=scale)

    return Recipe(
        encoder=encoder,
        stages=(
            Stage(
                rule=train,
                objective=lambda shape: Episode(shots, distance, scale=scale, turns=turns),
                batches=Tasks(ways, shots, queries, episodes),
            ),
            Stage(rule=SolveHead()),
        ),
        head=head,
    )
