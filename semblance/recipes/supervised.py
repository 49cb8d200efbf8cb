"""Supervised classification: a backbone, a linear head, cross-entropy. What differs is the backbone and how it is trained.

supervised   the small net, Adam
resnet       a residual net as its paper trains it: SGD, the rate divided by 10 at 50% and 75% of the epochs
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Views
from semblance.heads.classify import Linear
from semblance.learning.backprop import Backprop
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


def moved_a_little(item: tuple[int, ...]) -> Views:
    """One view as He et al. take it of CIFAR: shifted by an eighth of the side (4 of 32 pixels) over black, mirrored;
    grey pictures are not mirrored, since many of them are writing."""
    return Views(
        count=1,
        scale=None,
        flip=item[0] == 3,
        shift=min(item[1:]) / 8,
        jitter=0.0,
        grey=0.0,
        border="zero",
    )


def linear_on(encoder: Callable[[Shape], nn.Module]) -> Callable[[Shape], Linear]:
    """A linear head for this encoder, as a lazy part."""

    def build(shape: Shape) -> Linear:
        return Linear(width_of(encoder, shape), shape.classes)

    return build


def classified(
    encoder: Callable[[Shape], nn.Module], rule: Backprop, batch: int, augment: bool, smoothing: float, least: int
) -> Recipe:
    """The skeleton of this file's recipes."""
    stage = Stage(
        rule=rule,
        objective=lambda shape: CrossEntropy(smoothing),
        batches=Repeated(Shuffled(batch), least),
        views=ByShape(moved_a_little, count=1) if augment else None,
    )
    return Recipe(encoder=encoder, stages=(stage,), head=linear_on(encoder))


@recipe(entry=None, paper="cross-entropy", domains="images", needs="labels")
def supervised(
    backbone: str = "small",
    width: int = 0,
    batch: int = 128,
    lr: float = 1e-3,
    smoothing: float = 0.0,
    augment: bool = True,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe supervised"""
    return classified(
        backbone_of(backbone, width), Backprop("adam", lr=lr, epochs=epochs), batch, augment, smoothing, least
    )


@recipe(entry="resnet", paper="He et al. 2016, arXiv:1512.03385", domains="images", needs="labels")
def resnet(
    backbone: str = "resnet20",
    width: int = 0,
    shortcut: str = "",
    batch: int = 128,
    lr: float = 0.1,
    weight_decay: float = 1e-4,
    warmup_epochs: float = 0.0,
    smoothing: float = 0.0,
    augment: bool = True,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe resnet    # --set backbone=resnet50 for photographs; shortcut: none, A, B or C"""
    # Paper: 64,000 steps of 128 for CIFAR; here as many epochs as small data needs, at the same shape of schedule.
    axes = {"shortcut": shortcut} if shortcut else {}
    rule = Backprop(
        lr=lr,
        weight_decay=weight_decay,
        schedule="steps",
        milestones=(0.5, 0.75),
        warmup_epochs=warmup_epochs,
        epochs=epochs,
    )
    return classified(backbone_of(backbone, width, **axes), rule, batch, augment, smoothing, least)
