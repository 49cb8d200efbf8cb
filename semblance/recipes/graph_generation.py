"""Whole graphs without labels, by learning to make more of them. A trained encoder has `sample(count, generator)`.

graph-vae    all edges at once, from one vector
graph-rnn    node by node, and of every node edge by edge
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.edge_by_edge import EdgeByEdge
from semblance.encoders.graphs.message import Sum
from semblance.encoders.graphs.one_shot import OneShot
from semblance.encoders.graphs.set_readouts import Linear, ReadOut
from semblance.encoders.graphs.stack import Stack
from semblance.learning.backprop import Backprop
from semblance.objectives.likelihood import Likelihood
from semblance.recipes.graph_networks import perceptron, start
from semblance.recipes.registry import Recipe, Stage, recipe

SURVEY = "gnn-survey-taxonomy"


def likely(encoder: object, batch: int, lr: float, epochs: int) -> Recipe:
    """An encoder that finds the training graphs likely."""
    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    return Recipe(encoder, (Stage(rule, lambda shape: Likelihood(), Shuffled(batch)),))  # type: ignore[arg-type]


@recipe(entry=SURVEY, paper="Simonovsky & Komodakis 2018, arXiv:1802.03480", domains="graphs")
def graph_vae(
    dim: int = 8,
    hidden: int = 64,
    layers: int = 2,
    nodes: int = 20,
    decoder: int = 128,
    weight: float = 1.0,
    batch: int = 32,
    lr: float = 3e-3,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe graph-vae

    nodes    of the graphs that are made, and that are rebuilt at most
    weight   of the divergence of z from N(0, 1)
    """

    def encoder(shape: Shape) -> OneShot:
        first, width = start("auto", shape)
        stacked = [Sum(perceptron(inputs, hidden)) for inputs in [width, *[hidden] * (layers - 1)]]
        stack = Stack(stacked, norm="batch", initial=first)
        return OneShot(ReadOut(stack, Linear(hidden, 2 * dim)), nodes, decoder, weight)

    return likely(encoder, batch, lr, epochs)


@recipe(entry=SURVEY, paper="You et al. 2018, arXiv:1802.08773", domains="graphs")
def graph_rnn(
    dim: int = 64,
    nodes: int = 20,
    reach: int = 0,
    of_links: int = 16,
    batch: int = 32,
    lr: float = 3e-3,
    epochs: int = 50,
) -> Recipe:
    """semblance fit mutag --recipe graph-rnn

    nodes   of the graphs that are made, and that are read at most
    reach   how many nodes back a link may lead; 0: to all
    """
    return likely(lambda shape: EdgeByEdge(dim, nodes, reach, of_links), batch, lr, epochs)
