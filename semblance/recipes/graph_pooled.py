"""Message passing on whole graphs: the states of a graph's nodes are pooled, and a linear map answers, a class or a number.

gin        a node plus the sum of its neighbours, through a perceptron; the pooled states of all rounds side by side
pna        mean, maximum, minimum and deviation of the neighbours' messages, each scaled by the degree
sir-gcn    the sum of messages that bend a linear map of sender and receiver
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.contextual import Contextual
from semblance.encoders.graphs.message import Sum
from semblance.encoders.graphs.stack import Stack
from semblance.learning.backprop import Backprop
from semblance.recipes.graph_networks import Encoder, adam, answer, deep, error, perceptron, principal, start
from semblance.recipes.registry import Recipe, Stage, recipe


def answered_graphs(encoder: Encoder, rule: Backprop, batch: int) -> Recipe:
    """A linear map answers from every graph's pooled state; `batch` graphs a step."""
    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), answer(encoder))


@recipe(entry="gin", paper="Xu et al. 2019, arXiv:1810.00826", domains="graphs", needs="labels")
def gin(
    hidden: int = 32,
    layers: int = 4,
    aggregator: str = "sum",
    depth: int = 2,
    learn_epsilon: bool = False,
    initial: str = "auto",
    readout: str = "sum",
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 0.01,
    weight_decay: float = 0.0,
    halve_every: int = 50,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe gin

    aggregator   sum, mean or max; with the last two a node joins its neighbours
    depth        linear maps in a layer's update
    initial      given, constant, degree (one-hot), or auto: given where the data has features, else degree
    """

    def encoder(shape: Shape) -> Stack:
        first, width = start(initial, shape)
        updates = [perceptron(inputs, hidden, depth) for inputs in [width, *[hidden] * (layers - 1)]]
        stacked = [Sum(u, learn_epsilon=learn_epsilon, aggregator=aggregator, pooled=True) for u in updates]
        # A linear map of every round's pooled states, summed, is one linear map of all of them side by side.
        return Stack(
            stacked,
            norm="batch",
            dropout=dropout,
            jump="concatenation",
            include_input=True,
            inputs=width,
            initial=first,
            readout=readout,
        )

    return answered_graphs(encoder, adam(lr, weight_decay, epochs, halve_every=halve_every), batch)


@recipe(entry="pna", paper="Corso et al. 2020, arXiv:2004.05718", domains="graphs", needs="labels")
def pna(
    hidden: int = 64,
    layers: int = 4,
    aggregators: str = "mean,max,min,std",
    scalers: str = "identity,amplification,attenuation",
    towers: int = 1,
    readout: str = "mean",
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 1e-3,
    weight_decay: float = 3e-6,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe pna"""
    encoder = deep(principal(aggregators, scalers, towers, hidden), hidden, layers, dropout, readout=readout)
    return answered_graphs(encoder, adam(lr, weight_decay, epochs), batch)


@recipe(entry="sir-gcn", paper="Lim, Goh & Lim 2024, arXiv:2403.12529", domains="graphs", needs="labels")
def sir_gcn(
    hidden: int = 64,
    layers: int = 4,
    sigma: str = "relu",
    aggregator: str = "sum",
    itself: bool = True,
    readout: str = "sum",
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe sir-gcn"""

    def layer(shape: Shape) -> Contextual:
        return Contextual(hidden, hidden, sigma=sigma, aggregator=aggregator, itself=itself)

    return answered_graphs(deep(layer, hidden, layers, dropout, readout=readout), adam(lr, weight_decay, epochs), batch)
