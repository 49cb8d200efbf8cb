"""Montages as a recipe: patches of a whole batch shuffled, one pass.

jigsaw-clustering   which patches are of one picture, and where in it they stood
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.learning.backprop import Backprop
from semblance.objectives.montage import JigsawClustering
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import LEAST, SMALL, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="jigsaw-clustering", paper="Chen et al. 2021, arXiv:2104.00323", domains="images")
def jigsaw_clustering(
    backbone: str = "small",
    width: int = 0,
    dim: int = 128,
    patches: int = 2,
    overlap: float = 0.3,
    temperature: float = 0.3,
    cluster: float = 1.0,
    locate: float = 1.0,
    jitter: float = 0.4,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 8,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe jigsaw-clustering    # `patches` by `patches` of each picture, in one pass"""
    # A map of two by two places tells four patches badly apart: the small nets end at a quarter of the side, not an eighth.
    axes = {"strides": (2, 2, 1, 1)} if backbone in SMALL else {}
    encoder = backbone_of(backbone, width, **axes)

    def objective(shape: Shape) -> JigsawClustering:
        inner = width_of(encoder, shape)
        return JigsawClustering(
            perceptron((inner, inner, dim)),
            nn.Linear(inner, patches**2),
            patches,
            overlap,
            temperature,
            (cluster, locate),
            jitter,
        )

    stage = Stage(Backprop("adam", lr=lr, epochs=epochs), objective, Repeated(Shuffled(batch), least))
    return Recipe(encoder=encoder, stages=(stage,))
