"""Graphs whose nodes measure something over time: features are read as a series, a column a step.

graph-gru            a gated recurrent unit whose maps are filters over the graph
graph-gated-time     convolutions over time, gated, and Chebyshev filters in between
graph-dilated-time   convolutions over time at growing distance, over the graph and over one that is learned

Units are graphs, as a window of a sensor network: the recipes answer a class or a number a graph. `forecasting` asks for a
number of every node instead, for data that has them (`node_labels`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.bases import Chebyshev
from semblance.encoders.graphs.propagate import Filter, Matrices
from semblance.encoders.graphs.temporal import DiffusionGru, Dilated, Gated, Temporal
from semblance.heads.of_nodes import EveryNumber
from semblance.objectives.of_nodes import OfNodes
from semblance.objectives.regress import SquaredError
from semblance.recipes.backbones import width_of
from semblance.recipes.graph_networks import adam, answer, error
from semblance.recipes.registry import Recipe, Stage, recipe

SURVEY = "gnn-survey-taxonomy"


def over_time(network: Callable[[], nn.Module], batch: int, lr: float, epochs: int) -> Recipe:
    """The network, and a linear map that answers from the mean over a graph's nodes."""

    def encoder(shape: Shape) -> Temporal:
        return Temporal(network())

    return Recipe(encoder, (Stage(adam(lr, 0.0, epochs), error, Shuffled(batch)),), answer(encoder), standardise=False)


def forecasting(made: Recipe) -> Recipe:
    """The same encoder asked for a number of every node."""

    def head(shape: Shape) -> EveryNumber:
        return EveryNumber(width_of(made.encoder, shape))

    stage = replace(made.stages[0], objective=lambda shape: OfNodes(SquaredError()))
    return replace(made, head=head, stages=(stage,))


@recipe(entry=SURVEY, paper="Li et al. 2018, arXiv:1707.01926", domains="graphs", needs="labels")
def graph_gru(hidden: int = 32, depth: int = 2, batch: int = 32, lr: float = 5e-3, epochs: int = 30) -> Recipe:
    """semblance fit mutag --recipe graph-gru

    depth   steps over the edges in every map; 0: every node by itself
    """
    return over_time(lambda: DiffusionGru(hidden, depth), batch, lr, epochs)


@recipe(entry=SURVEY, paper="Yu et al. 2018, arXiv:1709.04875", domains="graphs", needs="labels")
def graph_gated_time(
    hidden: int = 32, blocks: int = 2, depth: int = 2, batch: int = 32, lr: float = 5e-3, epochs: int = 30
) -> Recipe:
    """semblance fit mutag --recipe graph-gated-time

    depth   of the Chebyshev filters
    """

    def network() -> Gated:
        filters = [Filter(depth, Matrices(hidden, hidden, depth), Chebyshev(), "symmetric") for _ in range(blocks)]
        return Gated(filters, hidden)

    return over_time(network, batch, lr, epochs)


@recipe(entry=SURVEY, paper="Wu et al. 2019, arXiv:1906.00121", domains="graphs", needs="labels")
def graph_dilated_time(
    hidden: int = 32,
    layers: int = 3,
    depth: int = 2,
    sensors: int = 64,
    rank: int = 8,
    batch: int = 32,
    lr: float = 5e-3,
    epochs: int = 30,
) -> Recipe:
    """semblance fit mutag --recipe graph-dilated-time

    sensors   nodes that have a place in the learned graph, by their number in theirs; 0: none is learned
    """
    return over_time(lambda: Dilated(hidden, layers, depth, sensors, rank), batch, lr, epochs)
