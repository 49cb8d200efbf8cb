"""Targets that features are to meet, as recipes.

noise-as-targets   points of the sphere, one for each item, dealt anew within every batch
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.data.views import two_crops
from semblance.learning.backprop import Backprop
from semblance.objectives.targets import NoiseTargets
from semblance.recipes.backbones import backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="noise-as-targets", paper="Bojanowski & Joulin 2017, arXiv:1704.05310", domains="images")
def noise_as_targets(
    backbone: str = "small",
    width: int = 0,
    dim: int = 64,
    points: str = "sphere",
    codes: int = 10,
    every: int = 1,
    batch: int = 256,
    optimizer: str = "adam",
    lr: float = 1e-3,
    epochs: int = 16,
) -> Recipe:
    """semblance fit pictures/ --recipe noise-as-targets

    points    sphere or corners of a cube, or for comparison discrete (`codes` of them) or one (what the bijection forbids)
    every     epochs between two deals; 0: items keep the points they were given
    """
    # Paper: SGD with momentum at 0.9, a deal every third epoch. Here Adam, and every epoch, since epochs are few.
    encoder = backbone_of(backbone, width)

    def objective(shape: Shape) -> NoiseTargets:
        linear = nn.Linear(width_of(encoder, shape), dim)
        return NoiseTargets(shape.units, dim, linear, points=points, codes=codes, every=every)

    stage = Stage(Backprop(optimizer, lr=lr, epochs=epochs), objective, Shuffled(batch), two_crops(1))
    return Recipe(encoder=encoder, stages=(stage,), memory="data")
