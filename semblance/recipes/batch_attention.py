"""Attention across the batch as a recipe: while training, items look at one another.

batchformer   a classifier that reads items alone and after a look at their batch
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape
from semblance.heads.batch_attention import BatchAttention
from semblance.learning.backprop import Backprop
from semblance.learning.survey import Surveyed
from semblance.objectives.across_batch import AcrossBatch
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.supervised import linear_on, moved_a_little


@recipe(entry="batchformer", paper="Hou et al. 2022, arXiv:2203.01522", domains="images", needs="labels")
def batchformer(
    backbone: str = "small",
    width: int = 0,
    across: bool = True,
    heads: int = 4,
    dropout: float = 0.5,
    balanced: bool = True,
    augment: bool = False,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 18,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe batchformer    # across=false: the same without a look at the batch"""
    encoder = backbone_of(backbone, width)

    def objective(shape: Shape) -> AcrossBatch:
        looked = BatchAttention(width_of(encoder, shape), heads, dropout) if across else None
        return AcrossBatch(shape.classes, looked, balanced)

    stage = Stage(
        rule=Surveyed(Backprop("adam", lr=lr, epochs=epochs)),
        objective=objective,
        batches=Repeated(Shuffled(batch), least),
        views=ByShape(moved_a_little, count=1) if augment else None,
    )
    return Recipe(encoder=encoder, stages=(stage,), head=linear_on(encoder))
