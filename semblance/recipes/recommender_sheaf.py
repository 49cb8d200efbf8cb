"""Recommendation over a sheaf: how a user and an item are compared is learned with their vectors.

sheaf4rec    LightGCN, whose every step is one of diffusion over a sheaf with learned maps
"""

from __future__ import annotations

import torch
from torch import nn

from semblance.encoders.graphs.layered import Layered
from semblance.encoders.graphs.propagate import Weights
from semblance.encoders.topology.diffusion import Diffusion
from semblance.encoders.topology.sheaf import SheafLearner
from semblance.errors import SemblanceError
from semblance.learning.backprop import Apart, Backprop
from semblance.recipes.recommender import linked
from semblance.recipes.registry import Recipe, recipe


def sheaf_step(dim: int, stalk: int = 1, step: float = 1.0, start: float = 1.0) -> Diffusion:
    """x <- x - L (x W), W = step at the start; L normalised by its blocks plus 1, from maps tanh(w [x_u | x_v] + b) of
    every end of an edge, where b starts as `start` times the identity. With maps of 1: graph convolution's."""
    if stalk < 1 or dim % stalk:
        raise SemblanceError(f"vectors of {dim} numbers are no stalks of {stalk}: give a stalk that divides the width")
    learner = SheafLearner(stalk, dim // stalk, "diagonal" if stalk == 1 else "general", augmented=True)
    layer = Diffusion(learner, stalk, dim // stalk, activation="none", left=False, learn_gain=False)
    with torch.no_grad():
        learner.linear.bias.copy_(start * torch.eye(stalk).flatten())
        nn.init.eye_(layer.right).mul_(step)
    return layer


@recipe(entry="sheaf4rec", paper="Purificato et al. 2023, arXiv:2304.09097", domains=("interactions", "graph"))
def sheaf4rec(
    dim: int = 64,
    layers: int = 3,
    stalk: int = 1,
    step: float = 1.0,
    start: float = 1.0,
    batch: int = 8192,
    steps: int = 10,
    lr: float = 1e-2,
    sheaf_lr: float = 1e-3,
    decay: float = 2e-4,
    epochs: int = 30,
) -> Recipe:
    """semblance fit movielens-100k --recipe sheaf4rec

    stalk   size of a stalk; maps are numbers where it is 1, else matrices
    step    how far the states move along the Laplacian at first; 0: not at all
    start   what the maps start from: near tanh of it
    sheaf_lr   the rate of W and of the maps; lr is that of the vectors
    """

    def layer() -> Layered:
        mean = [1 / (layers + 1)] * (layers + 1)
        return Layered([sheaf_step(dim, stalk, step, start) for _ in range(layers)], Weights(mean))

    apart = (Apart("network.encoder.layer", sheaf_lr),)
    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs, apart=apart)
    return linked(layer, dim, rule, batch, steps, decay)
