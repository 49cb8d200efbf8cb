"""Nodes by one layer that is applied again and again.

graph-fixed-point    to the state that all steps lead to
graph-gated          five steps of a gated recurrent unit
graph-steady-state   a random share of the nodes renewed at a time
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.recurrent import FixedPoint, Gated, SteadyState
from semblance.encoders.graphs.stack import Stack
from semblance.recipes.graph_networks import adam, scored_nodes
from semblance.recipes.registry import Recipe, recipe


def settled(
    layer: Callable[[], nn.Module], hidden: int, dropout: float, lr: float, weight_decay: float, epochs: int
) -> Recipe:
    """A linear map of the features, the layer that settles, and a linear map that answers."""

    def encoder(shape: Shape) -> Stack:
        return Stack([layer()], None, dropout=dropout, initial=Entrance(shape, hidden, dropout), readout="mean")

    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry="gnn-survey-taxonomy", paper="Scarselli et al. 2009, IEEE TNN 20", domains="graph", needs="labels")
def graph_fixed_point(
    hidden: int = 64,
    bound: float = 0.9,
    tolerance: float = 1e-5,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe graph-fixed-point

    bound   of the norm of what a state takes from its neighbours' mean
    """
    return settled(lambda: FixedPoint(hidden, hidden, bound, tolerance), hidden, dropout, lr, weight_decay, epochs)


@recipe(entry="gnn-survey-taxonomy", paper="Li et al. 2016, arXiv:1511.05493", domains="graph", needs="labels")
def graph_gated(
    hidden: int = 64,
    rounds: int = 5,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe graph-gated"""
    return settled(lambda: Gated(hidden, rounds), hidden, dropout, lr, weight_decay, epochs)


@recipe(entry="gnn-survey-taxonomy", paper="Dai et al. 2018, PMLR 80", domains="graph", needs="labels")
def graph_steady_state(
    hidden: int = 64,
    rounds: int = 8,
    rate: float = 0.5,
    share: float = 0.5,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe graph-steady-state"""

    def layer() -> SteadyState:
        return SteadyState(hidden, hidden, rounds, rate, share)

    return settled(layer, hidden, dropout, lr, weight_decay, epochs)
