"""Clusters of an autoencoder's codes as recipes.

clusternet     a few labels say who goes with whom
deep-k-means   nothing is known
"""

from __future__ import annotations

from typing import Any

import torch

from semblance.data.dataset import Shape
from semblance.data.known import Known
from semblance.data.samplers import Repeated, Sampler, Shuffled
from semblance.encoders.vision.mirror import Mirror
from semblance.geometry.spaces import Euclidean
from semblance.heads.prototypes.centres import Centres
from semblance.learning.backprop import Backprop
from semblance.learning.survey import Reviewed
from semblance.objectives.constrained import ConstrainedClusters
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="clusternet", paper="Shukla et al. 2018, arXiv:1806.01547", domains="images", needs="labels")
def clusternet(
    backbone: str = "small",
    width: int = 0,
    dim: int = 10,
    clusters: int = 0,
    cluster: float = 0.3,
    pair: float = 1.0,
    margin: float = 2.0,
    warm: int = 5,
    ramp: float = 1.0,
    recomputed: bool = False,
    read: str = "centres",
    share: float = 0.25,
    batch: int = 64,
    lr: float = 1e-3,
    epochs: int = 10,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe clusternet    # labels of a few items (the rest empty) say who goes with whom

    clusters   0: as many as there are classes
    share      of every batch that has a label; 0: as they come
    cluster, pair   weights of the two terms beside reconstruction, which leads for `warm` epochs

    6,000 MNIST digits, 5 + 5 epochs, seed 0: accuracy of the hidden labels 0.763 with 300 labels, 0.750 without the
    clustering term, 0.559 without labels, constrained k-means on the pretrained code 0.565 (results/clusternet.json).
    """
    given = {"cluster": cluster, "pair": pair, "margin": margin, "ramp": ramp, "recomputed": recomputed, "read": read}
    return _gathered(backbone, width, dim, clusters, True, warm, Known(batch, share), lr, epochs, least, given)


@recipe(entry=None, paper="Yang et al. 2017, arXiv:1610.04794", domains="images")
def deep_k_means(
    backbone: str = "small",
    width: int = 0,
    dim: int = 10,
    clusters: int = 10,
    cluster: float = 0.1,
    warm: int = 5,
    ramp: float = 0.5,
    recomputed: bool = False,
    batch: int = 64,
    lr: float = 1e-3,
    epochs: int = 10,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe deep-k-means    # codes that rebuild the picture and gather around centres"""
    given = {"cluster": cluster, "ramp": ramp, "recomputed": recomputed}
    return _gathered(backbone, width, dim, clusters, False, warm, Shuffled(batch), lr, epochs, least, given)


def _gathered(
    backbone: str,
    width: int,
    dim: int,
    clusters: int,
    labelled: bool,
    warm: int,
    sampler: Sampler,
    lr: float,
    epochs: int,
    least: int,
    given: dict[str, Any],
) -> Recipe:
    """The net with a code of `dim` numbers, its mirror as decoder, centres as head."""
    encoder = backbone_of(backbone, width, dim=dim, readout="flatten", geometry=Euclidean())

    def count(shape: Shape) -> int:
        return clusters or shape.classes

    def objective(shape: Shape) -> ConstrainedClusters:
        with torch.device("meta"):
            net: Any = encoder(shape)
        decoder = Mirror(net, shape.item)
        return ConstrainedClusters(decoder, dim, count(shape), shape.units, labelled=labelled, warm=warm, **given)

    rule = Reviewed(Backprop("adam", lr=lr, epochs=epochs))
    return Recipe(
        encoder=encoder,
        head=lambda shape: Centres(dim, count(shape), labelled),
        stages=(Stage(rule, objective, Repeated(sampler, least)),),
        memory="data",
    )
