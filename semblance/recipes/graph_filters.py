"""Propagation filters under cross-entropy: one small network, in which the polynomial of the graph's operator differs.

sgc             S^2 X, computed once, and a linear map
appnp           a perceptron, then ten steps of personalised PageRank
gpr-gnn         the same with a learned weight for every step
favard-gnn      the same with learned orthogonal polynomials, a weight for every step and channel
opt-basis-gnn   the same with the polynomials that are orthonormal for the very features
cheb-net        layers with a matrix for every order of Chebyshev's polynomials
mlp             no propagation: what the features alone can do
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.bases import Chebyshev, Favard, Optimal
from semblance.encoders.graphs.inputs import InputLinear, width_of_features
from semblance.encoders.graphs.propagate import Filter, Matrices, Propagation, Weights, geometric, last
from semblance.heads.classify import Linear
from semblance.learning.backprop import Apart, Backprop
from semblance.learning.chosen import Chosen
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.graph_networks import classified_nodes
from semblance.recipes.registry import Recipe, Stage, recipe

DECAYS = (1e-6, 1e-5, 1e-4, 1e-3)


@recipe(entry="sgc", paper="Wu et al. 2019, arXiv:1902.07153", domains="graph", needs="labels")
def sgc(
    steps: int = 2, lr: float = 0.2, weight_decay: float = -1.0, batch: int = 0, loops: bool = True, epochs: int = 100
) -> Recipe:
    """semblance fit cora --recipe sgc

    weight_decay   -1: chosen on the validation units out of 1e-6 to 1e-3
    batch          nodes a step; 0: all at once
    """

    def encoder(shape: Shape) -> Propagation:
        layer = Filter(steps, Weights(last(steps)), operator="symmetric-loops" if loops else "symmetric")
        return Propagation(layer, width_of_features(shape))

    def rule(decay: float) -> Backprop:
        return Backprop("adam", lr=lr, weight_decay=decay, schedule="constant", epochs=epochs, best="accuracy")

    stage = Stage(
        rule=Chosen(tuple(map(rule, DECAYS))) if weight_decay < 0 else rule(weight_decay),
        objective=lambda shape: CrossEntropy(),
        batches=Shuffled(batch) if batch else Whole(),
    )
    return Recipe(
        encoder=encoder,
        head=lambda shape: Linear(width_of_features(shape), shape.classes),
        stages=(stage,),
        memory="data",
    )


def filtered_nodes(
    layer: Callable[[int], Filter], rule: Backprop, hidden: int, dropout: float, head_dropout: float
) -> Recipe:
    """Linear, ReLU, a filter, linear: this file's skeleton. `layer` gets the number of channels."""

    def encoder(shape: Shape) -> Propagation:
        before = nn.Sequential(InputLinear(width_of_features(shape), hidden, dropout=dropout), nn.ReLU())
        return Propagation(layer(hidden), hidden, before, nn.Dropout(head_dropout))

    stage = Stage(rule=rule, objective=lambda shape: CrossEntropy(), batches=Whole())
    return Recipe(encoder=encoder, head=lambda shape: Linear(hidden, shape.classes), stages=(stage,), memory="data")


def trained(
    lr: float, weight_decay: float, epochs: int, patience: int, filter_lr: float = 0.0, filter_decay: float = 0.0
) -> Backprop:
    """Adam at a constant rate, the epoch of best validation; the filter may have a rate of its own, and the last linear map
    does not decay."""
    filter = (Apart("network.encoder.filter", filter_lr, filter_decay),) if filter_lr else ()
    apart = (*filter, Apart("network.head", lr))
    return Backprop(
        "adam",
        lr=lr,
        weight_decay=weight_decay,
        schedule="constant",
        epochs=epochs,
        best="accuracy",
        patience=patience,
        apart=apart,
    )


@recipe(entry=None, paper="Gasteiger et al. 2019, arXiv:1810.05997", domains="graph", needs="labels")
def appnp(
    hidden: int = 64,
    depth: int = 10,
    restart: float = 0.1,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-3,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe appnp"""
    rule = trained(lr, weight_decay, epochs, patience)
    return filtered_nodes(lambda c: Filter(depth, Weights(geometric(depth, restart))), rule, hidden, dropout, dropout)


@recipe(entry=None, paper="Chien et al. 2021, arXiv:2006.07988", domains="graph", needs="labels")
def gpr_gnn(
    hidden: int = 64,
    depth: int = 10,
    restart: float = 0.1,
    per_channel: bool = False,
    dropout: float = 0.5,
    lr: float = 0.01,
    filter_lr: float = 0.01,
    weight_decay: float = 5e-4,
    loops: bool = True,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe gpr-gnn"""
    rule = trained(lr, weight_decay, epochs, patience, filter_lr)

    def layer(channels: int) -> Filter:
        weights = Weights(geometric(depth, restart), learned=True, channels=channels if per_channel else None)
        return Filter(depth, weights, operator="symmetric-loops" if loops else "symmetric")

    return filtered_nodes(layer, rule, hidden, dropout, dropout)


@recipe(entry="favardgnn-optbasis", paper="Guo & Wei 2023, arXiv:2302.12432", domains="graph", needs="labels")
def favard_gnn(
    hidden: int = 64,
    depth: int = 10,
    dropout: float = 0.5,
    head_dropout: float = 0.5,
    lr: float = 0.01,
    filter_lr: float = 0.01,
    weight_decay: float = 5e-4,
    filter_decay: float = 0.0,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe favard-gnn"""
    rule = trained(lr, weight_decay, epochs, patience, filter_lr, filter_decay)

    def layer(channels: int) -> Filter:
        weights = Weights(first(depth), learned=True, channels=channels)
        return Filter(depth, weights, Favard(channels, depth), "symmetric")

    return filtered_nodes(layer, rule, hidden, dropout, head_dropout)


@recipe(entry="favardgnn-optbasis", paper="Guo & Wei 2023, arXiv:2302.12432", domains="graph", needs="labels")
def opt_basis_gnn(
    hidden: int = 64,
    depth: int = 10,
    dropout: float = 0.5,
    head_dropout: float = 0.5,
    lr: float = 0.01,
    filter_lr: float = 0.01,
    weight_decay: float = 5e-4,
    filter_decay: float = 0.0,
    batch: int = 0,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe opt-basis-gnn

    hidden   0: no first linear map; the bases of the raw features are computed once, `batch` nodes a step are read of them
    """
    rule = trained(lr, weight_decay, epochs, patience, filter_lr, filter_decay)

    def layer(channels: int) -> Filter:
        return Filter(depth, Weights(first(depth), learned=True, channels=channels), Optimal("spread"), "symmetric")

    if hidden:
        return filtered_nodes(layer, rule, hidden, dropout, head_dropout)

    def encoder(shape: Shape) -> Propagation:
        width = width_of_features(shape)
        return Propagation(layer(width), width, after=nn.Dropout(head_dropout))

    batches = Shuffled(batch) if batch else Whole()
    stage = Stage(rule=rule, objective=lambda shape: CrossEntropy(), batches=batches)
    return Recipe(
        encoder=encoder,
        head=lambda shape: Linear(width_of_features(shape), shape.classes),
        stages=(stage,),
        memory="data",
    )


def first(depth: int) -> list[float]:
    """Coefficients 1, 0, ..., 0: the filter starts as leaving the features as they are."""
    return [1.0] + [0.0] * depth


@recipe(entry=None, paper="Defferrard et al. 2016, arXiv:1606.09375", domains="graph", needs="labels")
def cheb_net(
    hidden: int = 64,
    layers: int = 2,
    depth: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe cheb-net"""

    def layer(width: int, out: int) -> Filter:
        return Filter(depth, Matrices(width, out, depth), Chebyshev(), "symmetric")

    return classified_nodes(layer, trained(lr, weight_decay, epochs, patience), hidden, layers, dropout)


@recipe(entry=None, paper="Rumelhart, Hinton & Williams 1986", domains="graph", needs="labels")
def mlp(
    hidden: int = 64,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe mlp"""
    rule = trained(lr, weight_decay, epochs, patience)
    return filtered_nodes(lambda c: Filter(0, Weights([1.0])), rule, hidden, dropout, dropout)
