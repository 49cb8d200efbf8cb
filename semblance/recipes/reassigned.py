"""Targets that are clusters of the network's own features, as recipes.

deeper-cluster   super-groups times turns, and clusters within
deepcluster      clusters alone
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.even import Even
from semblance.data.samplers import Repeated
from semblance.data.views import two_crops
from semblance.encoders.vision.gradients import on_gradients
from semblance.learning.backprop import Backprop
from semblance.learning.survey import Reviewed
from semblance.objectives.reassigned import Reassigned
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="deeper-cluster", paper="Caron et al. 2019, arXiv:1905.01278", domains="images")
def deeper_cluster(
    backbone: str = "small",
    width: int = 0,
    turns: int = 4,
    groups: int = 4,
    parts: int = 25,
    turned: bool = False,
    every: int = 3,
    first: int = 0,
    kept: int = 64,
    sobel: bool = False,
    mini: int = 0,
    batch: int = 128,
    optimizer: str = "adam",
    lr: float = 1e-3,
    epochs: int = 10,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe deeper-cluster    # turns=1 groups=1: DeepCluster; groups=1 parts=1: RotNet

    every    epochs between two clusterings, `first` the epoch of the first one
    kept     principal components that are clustered, whitened
    turned   each turn of a picture is clustered by itself, instead of with the upright picture
    mini     pictures a round of k-means; 0: all

    Uncurated pool of 4,300 pictures, 10 epochs, two seeds: linear probe 0.412, clusters alone 0.397, turns alone 0.379,
    untrained net 0.303 (results/deeper-cluster.json).
    """
    # Paper: VGG-16 behind Sobel's filters, SGD 0.1, 256 components, 4 groups, 320,000 targets, begun from a trained RotNet.
    encoder = backbone_of(backbone, width)
    encoder = on_gradients(encoder) if sobel else encoder

    def objective(shape: Shape) -> Reassigned:
        return Reassigned(
            shape.units,
            width_of(encoder, shape),
            turns=turns,
            groups=groups,
            parts=parts,
            turned=turned,
            every=every,
            first=first,
            kept=kept,
            batch=mini,
        )

    rule = Reviewed(Backprop(optimizer, lr=lr, epochs=epochs))
    return Recipe(
        encoder=encoder,
        stages=(Stage(rule, objective, Repeated(Even(batch), least), two_crops(1)),),
        memory="data",
    )


@recipe(entry=None, paper="Caron et al. 2018, arXiv:1807.05520", domains="images")
def deepcluster(
    backbone: str = "small",
    width: int = 0,
    clusters: int = 100,
    every: int = 1,
    kept: int = 64,
    sobel: bool = False,
    mini: int = 0,
    batch: int = 128,
    optimizer: str = "adam",
    lr: float = 1e-3,
    epochs: int = 10,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe deepcluster    # predict the cluster that the features themselves fell into"""
    return deeper_cluster(
        backbone=backbone,
        width=width,
        turns=1,
        groups=1,
        parts=clusters,
        every=every,
        kept=kept,
        sobel=sobel,
        mini=mini,
        batch=batch,
        optimizer=optimizer,
        lr=lr,
        epochs=epochs,
        least=least,
    )
