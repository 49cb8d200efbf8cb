"""Teachers as recipes: a view asks, slow copies or balanced codes answer. And branches that need neither, since they keep
their coordinates apart.

moco          one copy, a queue of its answers as negatives
tribyol       three views, two copies, each answering with another view
swav          no copy: codes of the other view, all codes used alike
dino          one copy, sharp codes less their mean; small crops ask, large ones answer
vicreg        variances kept up, covariances down
barlow-twins  correlations between the branches like the identity
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Several, Views, default_views, two_crops
from semblance.learning.backprop import Backprop
from semblance.objectives.branches import Copied
from semblance.objectives.codes import Balanced, Centred, Directions, Queued
from semblance.objectives.projector import perceptron
from semblance.objectives.teachers import Teachers
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.branches import decorrelation
from semblance.recipes.registry import Recipe, Stage, recipe


def crops(small: int) -> Several:
    """Two large crops, and small ones of half the pixels on a side that show a twentieth to a third of the picture."""

    def large(item: tuple[int, ...]) -> Views:
        views = default_views(item)
        return views if views.scale is None else replace(views, scale=(0.3, 1.0))

    def little(item: tuple[int, ...]) -> Views:
        # A drawing is its outline: a crop of it is nothing, so it is shown whole and small. Under 16 pixels, as it is.
        views = default_views(item)
        shrink = 2 if min(item[1:]) >= 16 else 1
        return (
            replace(views, shrink=shrink) if views.scale is None else replace(views, shrink=shrink, scale=(0.05, 0.3))
        )

    return Several((*[ByShape(large)] * 2, *[ByShape(little)] * small))


def _projected(
    backbone: str, width: int, widths: tuple[int, ...]
) -> tuple[Callable[[Shape], nn.Module], Callable[[Shape], nn.Sequential]]:
    """The encoder as a lazy part, and a projector of these widths behind it as a function of the shape."""
    encoder = backbone_of(backbone, width)

    def project(shape: Shape) -> nn.Sequential:
        return perceptron((width_of(encoder, shape), *widths))

    return encoder, project


def _trained(
    encoder: Callable[[Shape], nn.Module],
    objective: Callable[[Shape], Teachers],
    rule: Backprop,
    batch: int,
    least: int,
    views: Any,
) -> Recipe:
    """One stage over shuffled batches, which begin anew until an epoch has `least` items."""
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), views),))


@recipe(entry=None, paper="He et al. 2020, arXiv:1911.05722", domains="images")
def moco(
    backbone: str = "small",
    width: int = 0,
    dim: int = 128,
    temperature: float = 0.2,
    size: int = 4096,
    momentum: float = 0.99,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 20,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe moco    # a queue of `size` earlier answers as negatives"""
    encoder, project = _projected(backbone, width, (dim, dim))

    def objective(shape: Shape) -> Teachers:
        copied = Copied(encoder(shape), project(shape), momentum)
        return Teachers(project(shape), None, [copied], compare=Queued(dim, size, temperature), symmetric=False)

    rule = Backprop("adam", lr=lr, epochs=epochs)
    return _trained(encoder, objective, rule, batch, least, two_crops())


@recipe(entry="tribyol", paper="Li et al. 2022, arXiv:2206.03012", domains="images")
def tribyol(
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    hidden: int = 512,
    copies: int = 2,
    views: int = 3,
    momentum: float = 0.99,
    second_momentum: float = 0.996,
    rising: bool = True,
    symmetric: bool = True,
    batch: int = 32,
    lr: float = 1e-3,
    epochs: int = 16,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe tribyol    # copies=1 views=2: BYOL

    rising   both momenta go to 1 by a cosine over the run
    """
    # A term between the two targets, which the paper may have, has no gradient: neither copy is trained.
    encoder, project = _projected(backbone, width, (hidden, dim))
    momenta = (momentum, second_momentum)

    def objective(shape: Shape) -> Teachers:
        # Networks that are filled from the one in training come last: what is drawn before is the same for any number.
        projector, predictor = project(shape), perceptron((dim, hidden, dim))
        teachers = [Copied(encoder(shape), project(shape), momenta[k % 2]) for k in range(copies)]
        return Teachers(projector, predictor, teachers, rotated=True, symmetric=symmetric, rising=rising)

    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    return _trained(encoder, objective, rule, batch, least, two_crops(views))


@recipe(entry=None, paper="Caron et al. 2020, arXiv:2006.09882", domains="images")
def swav(
    backbone: str = "small",
    width: int = 0,
    dim: int = 128,
    codes: int = 256,
    temperature: float = 0.1,
    balance: float = 0.05,
    small: int = 2,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 20,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe swav    # `small` crops predict the codes of the two large ones"""
    encoder, project = _projected(backbone, width, (dim, dim))

    def objective(shape: Shape) -> Teachers:
        projector = nn.Sequential(*project(shape), Directions(dim, codes))
        return Teachers(projector, compare=Balanced(temperature, balance), answered=2)

    rule = Backprop("adam", lr=lr, epochs=epochs)
    return _trained(encoder, objective, rule, batch, least, crops(small))


@recipe(entry=None, paper="Caron et al. 2021, arXiv:2104.14294", domains="images")
def dino(
    backbone: str = "patches",
    width: int = 0,
    dim: int = 64,
    hidden: int = 256,
    codes: int = 256,
    temperature: float = 0.1,
    teacher: float = 0.04,
    momentum: float = 0.99,
    small: int = 2,
    batch: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.04,
    epochs: int = 20,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe dino    # a transformer on patches; `small` crops ask, the two large ones answer"""
    encoder = backbone_of(backbone, width)

    def project(shape: Shape) -> nn.Sequential:
        return nn.Sequential(
            *perceptron((width_of(encoder, shape), hidden, dim), hidden_norm=False), Directions(dim, codes)
        )

    def objective(shape: Shape) -> Teachers:
        copied = Copied(encoder(shape), project(shape), momentum)
        return Teachers(project(shape), None, [copied], compare=Centred(codes, temperature, teacher), answered=2)

    rule = Backprop("adamw", lr=lr, weight_decay=weight_decay, warmup_epochs=1.0, epochs=epochs)
    return _trained(encoder, objective, rule, batch, least, crops(small))


@recipe(entry=None, paper="Bardes et al. 2021, arXiv:2105.04906", domains="images")
def vicreg(
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 16,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe vicreg    # no negatives, copy or predictor: bounded (co)variances"""
    return decorrelation("vicreg", backbone, width, dim, batch, lr, epochs, least)


@recipe(entry=None, paper="Zbontar et al. 2021, arXiv:2103.03230", domains="images")
def barlow_twins(
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 16,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe barlow-twins    # each coordinate agrees with itself and with no other"""
    return decorrelation("barlow", backbone, width, dim, batch, lr, epochs, least)
