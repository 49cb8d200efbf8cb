"""Whole graphs by the paths in them.

pathnn    a node sums what an LSTM makes of the paths that start at it, one length after the other
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.paths import PathLayer
from semblance.encoders.graphs.stack import Stack
from semblance.recipes.graph_networks import adam, error
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="pathnn", paper="Michel et al. 2023, arXiv:2306.05955", domains="graphs", needs="labels")
def pathnn(
    hidden: int = 64,
    length: int = 2,
    paths: str = "all-shortest",
    distances: bool = True,
    shared: bool = False,
    update: str = "residual",
    cap: int = 0,
    readout: str = "sum",
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    epochs: int = 100,
    patience: int = 0,
) -> Recipe:
    """semblance fit mutag --recipe pathnn

    length      of the longest paths, 1 to 5
    paths       shortest (one of every pair of nodes), all-shortest, or simple (every path that meets no node twice)
    distances   of simple paths: beside each node stands how far it is from the first
    shared      one LSTM for all lengths
    update      residual or perceptron
    cap         the most paths that are kept of a node and length; 0: all
    """

    def encoder(shape: Shape) -> Stack:
        layer = PathLayer(hidden, length, paths, distances and paths == "simple", shared, update, cap)
        initial = Entrance(shape, hidden)
        return Stack([layer], activation=None, dropout=dropout, inputs=hidden, initial=initial, readout=readout)

    rule = adam(lr, weight_decay, epochs, patience)
    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), through(encoder, hidden))
