"""Nodes without labels, from what can be rebuilt of the graph; graph-autoencoder itself is in recommender.py.

variational-graph-autoencoder    the same with an uncertainty, near the standard normal distribution
adversarial-graph-autoencoder    spread as that distribution, as far as a discriminator can tell
sdne                             the row of a node's neighbours, through a perceptron and back
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.profiles import Profiles
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.graphs.variational import Variational
from semblance.geometry.spaces import Euclidean
from semblance.learning.backprop import Backprop
from semblance.objectives.adversarial import Adversarial
from semblance.objectives.links import Links
from semblance.objectives.penalised import Penalised
from semblance.objectives.profiles import Rebuilt
from semblance.recipes.graph_networks import start
from semblance.recipes.registry import Recipe, Stage, recipe

SURVEY = "gnn-survey-taxonomy"


def convolved(shape: Shape, hidden: int, dim: int) -> Stack:
    """Two convolutions, the last of which is bare."""
    first, width = start("auto", shape)
    layers = [Convolution(width, hidden), Convolution(hidden, dim)]
    return Stack(layers, activate_last=False, initial=first, geometry=Euclidean())


def rebuilding(lr: float, epochs: int) -> Backprop:
    """Adam at a constant rate."""
    return Backprop("adam", lr=lr, schedule="constant", epochs=epochs)


@recipe(entry=SURVEY, paper="Kipf & Welling 2016, arXiv:1611.07308", domains="graph")
def variational_graph_autoencoder(
    hidden: int = 32, dim: int = 16, weight: float = 0.0, batch: int = 8192, lr: float = 1e-2, epochs: int = 200
) -> Recipe:
    """semblance rank cora --task links -r variational-graph-autoencoder

    weight   of the divergence from N(0, 1); 0: one over the number of nodes, as in the paper
    """

    def encoder(shape: Shape) -> Variational:
        return Variational(convolved(shape, hidden, 2 * dim))

    def objective(shape: Shape) -> Penalised:
        return Penalised(Links("cross-entropy", batch), weight or 1 / max(shape.facts.get("nodes", 1.0), 1.0))

    return Recipe(encoder, (Stage(rebuilding(lr, epochs), objective, Whole()),), memory="data")


@recipe(entry=SURVEY, paper="Pan et al. 2018, arXiv:1802.04407", domains="graph")
def adversarial_graph_autoencoder(
    hidden: int = 32,
    dim: int = 16,
    weight: float = 0.1,
    discriminator: int = 64,
    batch: int = 8192,
    lr: float = 1e-2,
    epochs: int = 200,
) -> Recipe:
    """semblance rank cora --task links -r adversarial-graph-autoencoder

    weight   of the discriminator's answer; discriminator: its hidden units
    """

    def objective(shape: Shape) -> nn.Module:
        return Adversarial(Links("cross-entropy", batch), dim, discriminator, weight)

    stage = Stage(rebuilding(lr, epochs), objective, Whole())
    return Recipe(lambda shape: convolved(shape, hidden, dim), (stage,), memory="data")


@recipe(entry=SURVEY, paper="Wang, Cui & Zhu 2016, Structural Deep Network Embedding", domains="graph")
def sdne(
    hidden: int = 128,
    dim: int = 64,
    alpha: float = 0.1,
    beta: float = 10.0,
    batch: int = 512,
    lr: float = 1e-2,
    epochs: int = 200,
) -> Recipe:
    """semblance rank cora --task links -r sdne

    alpha   of the distance along edges; beta: of an edge that is rebuilt, against 1 for none
    """

    def nodes(shape: Shape) -> int:
        return int(shape.facts["nodes"])

    stage = Stage(rebuilding(lr, epochs), lambda shape: Rebuilt(nodes(shape), dim, hidden, batch, alpha, beta), Whole())
    return Recipe(lambda shape: Profiles(nodes(shape), hidden, dim), (stage,), memory="data")
