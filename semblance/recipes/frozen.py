"""Frozen features as a recipe: a net learns some labels, then a linear machine on its frozen features answers.

The net's own classifier trains along and is dropped; the head is solved afterwards. `semblance.heads.frozen` uses such an
encoder for other tasks, which is what the paper is about.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Views
from semblance.encoders.wrapped import AtStage
from semblance.heads.classify import Linear
from semblance.heads.frozen import COSTS, FrozenSVM
from semblance.learning.backprop import Backprop
from semblance.learning.solve import SolveHead
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


def affine_jitter(item: tuple[int, ...]) -> Views:
    """One view, a little turned, zoomed and shifted over black; colours as they are."""
    return Views(
        count=1,
        scale=None,
        flip=item[0] == 3,
        turn=15.0,
        zoom=(0.8, 1.2),
        shift=min(item[1:]) / 10,
        jitter=0.0,
        grey=0.0,
        border="zero",
    )


def whole_read_out(model: nn.Module, batch: Batch) -> Tensor:
    """[N, d] of the whole net, wherever the embedding is read."""
    encoder: Any = model.encoder
    trunk: Any = encoder.encoder if isinstance(encoder, AtStage) else encoder
    z: Tensor = trunk.embed(batch)
    return z


@recipe(
    entry="cnn-features-off-the-shelf",
    paper="Sharif Razavian et al. 2014, arXiv:1403.6382",
    domains="images",
    needs="labels",
)
def cnn_features_off_the_shelf(
    backbone: str = "small",
    width: int = 0,
    layer: int = -1,
    C: float = 0.0,
    power: float = 1.0,
    batch: int = 64,
    lr: float = 1e-3,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe cnn-features-off-the-shelf    # layer -1: the read-out; C 0: by cross-validation"""
    trunk = backbone_of(backbone, width)

    def encoder(shape: Shape) -> nn.Module:
        return trunk(shape) if layer < 0 else AtStage(trunk(shape), layer)

    def objective(shape: Shape) -> CrossEntropy:
        return CrossEntropy(side=Linear(width_of(trunk, shape), shape.classes), read=whole_read_out)

    def head(shape: Shape) -> FrozenSVM:
        return FrozenSVM(width_of(encoder, shape), shape.classes, (C,) if C else COSTS, power)

    learn = Stage(
        rule=Backprop("adam", lr=lr, epochs=epochs),
        objective=objective,
        batches=Repeated(Shuffled(batch), least),
        views=ByShape(affine_jitter, count=1),
    )
    return Recipe(encoder=encoder, stages=(learn, Stage(rule=SolveHead())), head=head, memory="data")
