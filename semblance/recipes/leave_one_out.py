"""Leave-one-out neighbours as a recipe: labels are asked of what is near, and classes may stay in pieces.

look   the vote of the nearest among the batch and a queue of a slow copy's embeddings
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import two_crops
from semblance.learning.backprop import Backprop
from semblance.objectives.branches import Copied
from semblance.objectives.leave_one_out import LeaveOneOut
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="look", paper="Feng et al. 2021, arXiv:2110.06014", domains="images", needs="labels")
def look(
    backbone: str = "small",
    width: int = 0,
    dim: int = 128,
    k: int = 20,
    temperature: float = 0.1,
    size: int = 2048,
    momentum: float = 0.99,
    augment: bool = True,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 12,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe look    # the k nearest among the batch and `size` earlier embeddings vote"""
    # Paper: k 400 of a queue of 65,536, momentum 0.999.
    encoder = backbone_of(backbone, width)

    def project(shape: Shape) -> nn.Module:
        inner = width_of(encoder, shape)
        return perceptron((inner, inner, dim))

    def objective(shape: Shape) -> LeaveOneOut:
        copied = Copied(encoder(shape), project(shape), momentum)
        return LeaveOneOut(dim, k, temperature, projector=project(shape), teacher=copied, size=size)

    views = two_crops(1) if augment else None
    stage = Stage(Backprop("adam", lr=lr, epochs=epochs), objective, Repeated(Shuffled(batch), least), views)
    return Recipe(encoder=encoder, stages=(stage,))
