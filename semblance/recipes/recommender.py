"""Recommendation and links without features: a vector for every node, learned from who is linked to whom.

lightgcn               the vectors of users and items, averaged over three steps of propagation, under BPR
matrix-factorisation   the same without propagation
graph-autoencoder      a GCN on the features, whose products shall tell edges from other pairs
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.propagate import Filter, Weights
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.graphs.table import Table
from semblance.geometry.spaces import Euclidean
from semblance.learning.backprop import Backprop
from semblance.objectives.links import Links
from semblance.recipes.registry import Recipe, Stage, recipe


def linked(
    layer: Callable[[], nn.Module] | None, dim: int, rule: Backprop, batch: int, steps: int, decay: float
) -> Recipe:
    """A table, a layer over it, BPR over drawn edges: the skeleton of this file's recommenders."""

    def objective(shape: Shape) -> Links:
        return Links("bpr", batch, decay=decay, users=int(shape.facts.get("users", 0)))

    return Recipe(
        encoder=lambda shape: Table(int(shape.facts["nodes"]), dim, layer and layer()),
        stages=(Stage(rule=rule, objective=objective, batches=Whole(steps)),),
        memory="data",
    )


@recipe(entry=None, paper="He et al. 2020, arXiv:2002.02126", domains=("interactions", "graph"))
def lightgcn(
    dim: int = 64,
    layers: int = 3,
    batch: int = 8192,
    steps: int = 10,
    lr: float = 1e-2,
    decay: float = 1e-4,
    epochs: int = 30,
) -> Recipe:
    """semblance fit movielens-100k --recipe lightgcn"""
    mean = [1 / (layers + 1)] * (layers + 1)
    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    return linked(lambda: Filter(layers, Weights(mean), operator="symmetric"), dim, rule, batch, steps, decay)


@recipe(entry=None, paper="Rendle et al. 2009, arXiv:1205.2618", domains=("interactions", "graph"))
def matrix_factorisation(
    dim: int = 64, batch: int = 8192, steps: int = 10, lr: float = 1e-2, decay: float = 1e-4, epochs: int = 30
) -> Recipe:
    """semblance fit movielens-100k --recipe matrix-factorisation"""
    return linked(None, dim, Backprop("adam", lr=lr, schedule="constant", epochs=epochs), batch, steps, decay)


@recipe(entry=None, paper="Kipf & Welling 2016, arXiv:1611.07308", domains="graph")
def graph_autoencoder(
    hidden: int = 32, dim: int = 16, batch: int = 8192, lr: float = 1e-2, epochs: int = 200
) -> Recipe:
    """semblance rank cora --task links -r graph-autoencoder"""

    def encoder(shape: Shape) -> Stack:
        layers = [Convolution(shape.item[0], hidden), Convolution(hidden, dim)]
        return Stack(layers, activate_last=False, geometry=Euclidean())

    stage = Stage(
        rule=Backprop("adam", lr=lr, schedule="constant", epochs=epochs),
        objective=lambda shape: Links("cross-entropy", batch),
        batches=Whole(),
    )
    return Recipe(encoder=encoder, stages=(stage,), memory="data")
