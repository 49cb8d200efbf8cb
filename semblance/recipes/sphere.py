"""Directions of classes as recipes: trained as a classifier, used as a metric.

hyperspherical   cosines with all training classes; what is kept names new classes by the nearest mean of a few items
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape
from semblance.heads.prototypes.class_means import ClassMeans
from semblance.learning.backprop import Backprop
from semblance.learning.solve import SolveHead
from semblance.objectives.sphere import Sphere
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.supervised import moved_a_little


@recipe(
    entry="hyperspherical-novel-classes",
    paper="Pereira et al. 2021, arXiv:2102.03243",
    domains="images",
    needs="labels",
)
def hyperspherical(
    backbone: str = "small",
    width: int = 0,
    dim: int = 64,
    scale: float = 16.0,
    learn_scale: bool = False,
    margin: float = 0.0,
    angle: float = 0.0,
    spread: float = 0.0,
    centre: float = 0.0,
    augment: bool = False,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 15,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe hyperspherical    # margin=0.2: CosFace, angle=0.3: ArcFace"""
    encoder = backbone_of(backbone, width, dim=dim)

    def objective(shape: Shape) -> Sphere:
        return Sphere(
            shape.classes, dim, scale, learn_scale=learn_scale, margin=margin, angle=angle, spread=spread, centre=centre
        )

    train = Stage(
        rule=Backprop("adam", lr=lr, epochs=epochs),
        objective=objective,
        batches=Repeated(Shuffled(batch), least),
        views=ByShape(moved_a_little, count=1) if augment else None,
    )
    return Recipe(
        encoder=encoder,
        stages=(train, Stage(rule=SolveHead())),
        head=lambda shape: ClassMeans(dim, shape.classes, "cosine", scale=scale),
    )
