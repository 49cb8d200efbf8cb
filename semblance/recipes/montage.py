"""Montages as a recipe: patches of a whole batch shuffled, one pass.

jigsaw-clustering   which patches are of one picture, and where in it they stood
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Views, default_views
from semblance.data.windows import Windows
from semblance.learning.backprop import Backprop
from semblance.objectives.montage import JigsawClustering
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import LEAST, SMALL, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


def windows(m: int, overlap: float, crop: float, augment: bool) -> Windows:
    """Windows that are mirrored, coloured, greyed and, where they are large, blurred each on its own, as suits pictures of
    their shape; `crop` is the least share of a window that is shown."""

    def within(item: tuple[int, ...]) -> Views:
        if not augment:
            return Views(scale=None, flip=False, jitter=0.0, grey=0.0)
        views = default_views(item)
        return views if views.scale is None else replace(views, scale=(crop, 1.0) if crop < 1 else None)

    return Windows(ByShape(within), m, overlap)


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
    crop: float = 1.0,
    augment: bool = True,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 8,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe jigsaw-clustering    # `patches` by `patches` of each picture, in one pass"""
    # Paper: crop 0.2, of pictures of 256 pixels. Here windows have 20 and are shown whole.
    # A map of two by two places tells four patches badly apart: the small nets end at a quarter of the side, not an eighth.
    axes = {"strides": (2, 2, 1, 1)} if backbone in SMALL else {}
    encoder = backbone_of(backbone, width, **axes)

    def objective(shape: Shape) -> JigsawClustering:
        inner = width_of(encoder, shape)
        return JigsawClustering(
            perceptron((inner, inner, dim)),
            nn.Linear(inner, patches**2),
            patches,
            temperature,
            (cluster, locate),
        )

    views = windows(patches, overlap, crop, augment)
    stage = Stage(Backprop("adam", lr=lr, epochs=epochs), objective, Repeated(Shuffled(batch), least), views)
    return Recipe(encoder=encoder, stages=(stage,))
