"""Classifiers that answer by what they store: parts of pictures, or keys in the space of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.vectors import flat
from semblance.geometry.spaces import Euclidean
from semblance.heads.classify import Linear
from semblance.heads.prototypes.image_parts import ImageParts
from semblance.heads.prototypes.inverse_distance import EPS, StoredKeys
from semblance.learning.backprop import Apart, Backprop
from semblance.learning.parts import Parts
from semblance.learning.project import PutOntoParts, RefitLast
from semblance.learning.solve import SolveHead
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.parts import NearOwnParts
from semblance.recipes.backbones import SMALL, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe

FINE = (2, 2, 1, 1)


@dataclass(frozen=True)
class Steps:
    """So many batches an epoch, each unit once before any comes again."""

    batch: int
    steps: int

    def epoch(self, units: int, labels: np.ndarray | None, rng: np.random.Generator) -> list[np.ndarray]:
        """As `Shuffled`."""
        inner, found = Shuffled(min(self.batch, units)), []
        while len(found) < self.steps:
            found += inner.epoch(units, labels, rng)
        return found[: self.steps]


@recipe(entry="this-looks-like-that", paper="Chen et al. 2019, arXiv:1806.10574", domains="images", needs="labels")
def image_parts(
    backbone: str = "half",
    width: int = 0,
    parts: int = 10,
    dim: int = 128,
    similarity: str = "log",
    cluster: float = 0.8,
    separation: float = 0.08,
    l1: float = 1e-4,
    batch: int = 64,
    plain: int = 700,
    warm: int = 200,
    cycles: int = 2,
    joint: int = 500,
    later: int = 250,
    lr: float = 3e-3,
    backbone_lr: float = 3e-4,
) -> Recipe:
    """semblance fit digits --recipe image-parts    # what it answers by: `head.explain`, docs/explain.md

    parts       prototypes a class, each a place of a map in `dim` dimensions
    plain       steps of the backbone alone, as a plain classifier; warm: of parts on the backbone as it is
    cycles      of `joint` steps (`later` from the second on), putting prototypes onto places, and the last layer alone
    """
    # Paper: 1e-4 for a backbone trained on ImageNet; here it was trained for some hundred steps.
    axes: dict[str, object] = {"geometry": Euclidean()} | ({"strides": FINE} if backbone in SMALL else {})
    encoder = backbone_of(backbone, width, **axes)

    def head(shape: Shape) -> ImageParts:
        with torch.device("meta"):
            channels = encoder(shape).widths[-1]
        return ImageParts(channels, shape.classes, parts, dim, similarity)

    def classifier(shape: Shape) -> CrossEntropy:
        return CrossEntropy(side=Linear(width_of(encoder, shape), shape.classes), read=lambda model, b: model.embed(b))

    def near(shape: Shape) -> NearOwnParts:
        return NearOwnParts(cluster, separation)

    def learning(steps: int, rate: float) -> Stage:
        rule = Backprop("adam", lr=lr, epochs=1, apart=(Apart("network.encoder", rate),))
        return Stage(rule, near, Steps(batch, steps))

    stages = [Stage(Backprop("adam", lr=lr, epochs=1), classifier, Steps(batch, plain)), learning(warm, 0.0)]
    for cycle in range(cycles):
        stages += [learning(later if cycle else joint, backbone_lr), Stage(PutOntoParts()), Stage(RefitLast(l1))]
    return Recipe(encoder=encoder, stages=tuple(stages), head=head)


@dataclass(frozen=True)
class AmsGrad(Backprop):
    """Adam whose second moments only grow."""

    def make_optimizer(self, parts: Parts) -> torch.optim.Optimizer:
        """All parameters in one scheduled group."""
        every = [p for p in parts.modules().parameters() if p.requires_grad]
        return torch.optim.Adam([{"params": every, "scheduled": True}], lr=self.lr, amsgrad=True)


@recipe(
    entry="inverse-distance-attention",
    paper="McCarter 2023, arXiv:2310.18805",
    domains=("images", "vectors"),
    needs="labels",
)
def stored_keys(
    keys: int = 20,
    score: str = "inverse",
    power: float = 2.0,
    eps: float = EPS,
    batch: int = 32,
    steps: int = 4000,
    lr: float = 0.1,
) -> Recipe:
    """semblance fit digits --recipe stored-keys    # a classifier of keys and values, which can be mended by hand

    keys   as many; they start at the mean of the data and become prototypes
    score  inverse (distance), or for comparison relu, dot, cosine, squared, gaussian, plain; give these lr=0.001
    """
    encoder: Callable[[Shape], nn.Module] = flat(geometry=Euclidean())

    def head(shape: Shape) -> StoredKeys:
        return StoredKeys(width_of(encoder, shape), shape.classes, keys, score, eps, power)

    learn = Stage(AmsGrad("adam", lr=lr, epochs=1), lambda shape: CrossEntropy(), Steps(batch, steps))
    return Recipe(encoder=encoder, stages=(Stage(SolveHead()), learn), head=head)
