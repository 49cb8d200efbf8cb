"""Whole graphs, read by what learns how to read them.

set-to-set    a recurrent unit asks the nodes several times
sort-pool     the nodes of largest last channel, in order, through convolutions
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.message import Convolution, Sum
from semblance.encoders.graphs.set_readouts import ReadOut, SetToSet, Sorted
from semblance.encoders.graphs.stack import Stack
from semblance.recipes.graph_networks import adam, error, perceptron, start
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe


def read_by(
    stack: Callable[[Shape], Stack], read: Callable[[int], nn.Module], hidden: int, batch: int, lr: float, epochs: int
) -> Recipe:
    """A stack, a read-out made for its width, and a perceptron that answers."""

    def encoder(shape: Shape) -> ReadOut:
        inner = stack(shape)
        return ReadOut(inner, read(inner.dim))

    return Recipe(encoder, (Stage(adam(lr, 0.0, epochs), error, Shuffled(batch)),), through(encoder, hidden))


@recipe(entry="gnn-survey-taxonomy", paper="Vinyals et al. 2016, arXiv:1511.06391", domains="graphs", needs="labels")
def set_to_set(
    hidden: int = 32, layers: int = 3, rounds: int = 3, batch: int = 32, lr: float = 5e-3, epochs: int = 100
) -> Recipe:
    """semblance fit mutag --recipe set-to-set"""

    def stack(shape: Shape) -> Stack:
        first, width = start("auto", shape)
        stacked = [Sum(perceptron(inputs, hidden)) for inputs in [width, *[hidden] * (layers - 1)]]
        return Stack(stacked, norm="batch", initial=first)

    return read_by(stack, lambda width: SetToSet(width, rounds), hidden, batch, lr, epochs)


@recipe(
    entry="gnn-survey-taxonomy",
    paper="Zhang et al. 2018, An End-to-End Deep Learning Architecture for Graph Classification",
    domains="graphs",
    needs="labels",
)
def sort_pool(
    hidden: int = 32,
    layers: int = 3,
    keep: int = 16,
    channels: int = 16,
    batch: int = 32,
    lr: float = 1e-3,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe sort-pool

    keep   nodes of a graph that are read; smaller graphs are filled up with zeros
    """

    def stack(shape: Shape) -> Stack:
        first, width = start("auto", shape)
        # The last layer has one channel, by which nodes are sorted.
        widths = [width, *[hidden] * layers, 1]
        stacked = [Convolution(a, b, normalise="mean") for a, b in pairwise(widths)]
        return Stack(stacked, activation="tanh", jump="concatenation", initial=first)

    return read_by(stack, lambda width: Sorted(width, keep, channels), 2 * hidden, batch, lr, epochs)
