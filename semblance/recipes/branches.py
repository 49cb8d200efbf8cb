"""Branches as recipes: two views of a picture, one predicting the other, without negatives."""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import two_crops
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.branches import (
    Branches,
    Copied,
    cross_correlation,
    frozen,
    negative_cosine,
    softmax_cross_entropy,
    variance_covariance,
)
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe

SIMILARITIES = {"cosine": negative_cosine, "cross-entropy": softmax_cross_entropy}
COVARIANCES = {"vicreg": variance_covariance, "barlow": cross_correlation}
PREDICTORS = ("trained", "fixed", "none")


def predictor_of(kind: str, dim: int, hidden: int) -> nn.Module | None:
    """The bottleneck dim -> hidden -> dim with batch norm in its middle: trained, fixed as drawn, or none."""
    if kind not in PREDICTORS:
        raise unknown("predictor", kind, PREDICTORS)
    if kind == "none":
        return None
    made = perceptron((dim, hidden, dim))
    return made if kind == "trained" else frozen(made)


@recipe(entry="simsiam", paper="Chen & He 2020, arXiv:2011.10566", domains="images")
def simsiam(
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    hidden: int = 64,
    output_norm: str = "plain",
    predictor: str = "trained",
    stop_gradient: bool = True,
    symmetric: bool = True,
    similarity: str = "cosine",
    alternate: int = 1,
    views: int = 2,
    pooled: bool = False,
    batch: int = 64,
    lr: float = 0.05,
    schedule: str = "cosine",
    weight_decay: float = 1e-4,
    epochs: int = 48,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe simsiam    # learns slowly at this size: give it epochs

    Moved MNIST, 48 epochs, seed 0: 20-NN 0.587, untrained net 0.406, pixels 0.677 (results/simsiam.json).
    """
    # Paper: lr 0.05 * batch / 256 and 2048-512-2048. Here 0.05 at batch 64 and 256-64-256: small nets, few epochs.
    if similarity not in SIMILARITIES:
        raise unknown("similarity", similarity, SIMILARITIES)
    encoder = backbone_of(backbone, width)

    def project(shape: Shape) -> nn.Module:
        return perceptron((width_of(encoder, shape), dim, dim, dim), output_norm=output_norm)

    def objective(shape: Shape) -> Branches:
        return Branches(
            project(shape),
            predictor_of(predictor, dim, hidden),
            compare=SIMILARITIES[similarity],
            stop_gradient=stop_gradient,
            symmetric=symmetric,
            pooled=pooled,
            targets=None if alternate == 1 else Copied(encoder(shape), project(shape), momentum=0.0, every=alternate),
        )

    rule = Backprop(
        lr=lr, weight_decay=weight_decay, schedule=schedule, epochs=epochs, constant_lr=("objective.predictor",)
    )
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), two_crops(views)),))


@recipe(entry=None, paper="Grill et al. 2020, arXiv:2006.07733", domains="images")
def byol(
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    hidden: int = 64,
    momentum: float = 0.99,
    batch: int = 64,
    lr: float = 0.05,
    weight_decay: float = 1e-4,
    epochs: int = 48,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe byol    # SimSiam whose targets come from a slow copy"""
    encoder = backbone_of(backbone, width)

    def project(shape: Shape) -> nn.Module:
        return perceptron((width_of(encoder, shape), dim, dim))

    def objective(shape: Shape) -> Branches:
        copied = Copied(encoder(shape), project(shape), momentum)
        return Branches(project(shape), predictor_of("trained", dim, hidden), targets=copied)

    rule = Backprop(lr=lr, weight_decay=weight_decay, epochs=epochs)
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), two_crops()),))


@recipe(entry=None, paper="Bardes et al. 2021, Zbontar et al. 2021 (arXiv:2105.04906, 2103.03230)", domains="images")
def decorrelation(
    loss: str = "vicreg",
    backbone: str = "small",
    width: int = 0,
    dim: int = 256,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 16,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe decorrelation    # vicreg or barlow: coordinates kept apart, no predictor"""
    if loss not in COVARIANCES:
        raise unknown("loss", loss, COVARIANCES)
    encoder = backbone_of(backbone, width)

    def objective(shape: Shape) -> Branches:
        projector = perceptron((width_of(encoder, shape), dim, dim))
        # One ordered pair is enough: these losses are symmetric in their branches.
        return Branches(projector, compare=COVARIANCES[loss], stop_gradient=False, symmetric=False)

    rule = Backprop(optimizer="adam", lr=lr, epochs=epochs)
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), two_crops()),))
