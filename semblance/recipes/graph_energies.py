"""Hypergraph networks whose layers descend an energy, under cross-entropy.

phenomnn          pairs and hyperedges are compared through learned matrices
phenomnn-simple   they are compared as they are: every step is a weighted mean over hyperedges
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.topology.energies import EnergyDescent
from semblance.learning.backprop import Backprop
from semblance.recipes.graph_networks import adam, scored_nodes
from semblance.recipes.registry import Recipe, recipe

PAPER = "Wang et al. 2023, arXiv:2306.09623"
DOMAINS = ("hypergraph", "graph")


def descended(layer: Callable[[int], EnergyDescent], hidden: int, dropout: float, rule: Backprop) -> Recipe:
    """A hidden layer on every node, descent, a linear map: this file's skeleton. `layer` gets the channels."""

    def encoder(shape: Shape) -> Stack:
        said = (Entrance(shape, hidden, dropout), nn.ReLU(), nn.Dropout(dropout))
        return Stack([layer(hidden)], None, dropout=dropout, inputs=hidden, initial=nn.Sequential(*said))

    # The paper's inputs are words as they are; rows that sum to 1 learn some twenty times more slowly.
    return replace(scored_nodes(encoder, rule), standardise=False)


@recipe(entry="phenomnn", paper=PAPER, domains=DOMAINS, needs="labels")
def phenomnn(
    hidden: int = 64,
    steps: int = 16,
    clique: float = 1.0,
    star: float = 1.0,
    step: float = 0.0,
    positive: str = "every",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe phenomnn

    clique, star   how much pairs that share a hyperedge, and hyperedges with their nodes, shall agree: 0 to 100
    step           0: 1 / (1 + clique + star)
    positive       where states are cut at 0: after every step, after the last, or never
    """

    def layer(channels: int) -> EnergyDescent:
        return EnergyDescent(channels, clique, star, steps, True, step or None, positive)

    return descended(layer, hidden, dropout, adam(lr, weight_decay, epochs, patience))


@recipe(entry="phenomnn", paper=PAPER, domains=DOMAINS, needs="labels")
def phenomnn_simple(
    hidden: int = 64,
    steps: int = 16,
    clique: float = 1.0,
    star: float = 1.0,
    step: float = 0.0,
    positive: str = "every",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe phenomnn-simple

    clique, star, step, positive   as of phenomnn
    """

    def layer(channels: int) -> EnergyDescent:
        return EnergyDescent(channels, clique, star, steps, False, step or None, positive)

    return descended(layer, hidden, dropout, adam(lr, weight_decay, epochs, patience))
