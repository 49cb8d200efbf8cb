"""Links of a graph, told by a score of pairs that is learned: states of nodes from one pass over the graph, and what two
nodes have in common.

ncn     products of two states, beside the sum over common neighbours
ncnc    beside the sum over all neighbours of either, where missing links count as likely as the score itself thinks
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.normed import Normed
from semblance.encoders.graphs.stack import Stack
from semblance.heads.links import PairScores, Pooled, Product
from semblance.learning.backprop import Backprop
from semblance.objectives.pairwise import Pairwise
from semblance.recipes.backbones import width_of
from semblance.recipes.graph_networks import start
from semblance.recipes.registry import Recipe, Stage, recipe


def paired(
    score: Callable[[int], nn.Module],
    rule: Backprop,
    hidden: int,
    layers: int,
    jump: str,
    input_dropout: float,
    dropout: float,
    batch: int,
    steps: int,
    removed: float,
) -> Recipe:
    """Convolutions with layer norm, the last one bare, and a score of pairs for states of a width: this file's skeleton."""

    def encoder(shape: Shape) -> Stack:
        initial, width = start("auto", shape)
        widths = list(pairwise([width, *[hidden] * layers]))
        stacked: list[nn.Module] = [Normed(Convolution(a, b)) for a, b in widths[:-1]]
        last = Convolution(*widths[-1])
        return Stack(
            [*stacked, last],
            dropout=dropout,
            input_dropout=input_dropout,
            activate_last=False,
            jump=jump,
            initial=initial,
        )

    def head(shape: Shape) -> PairScores:
        return PairScores(score(width_of(encoder, shape)))

    stage = Stage(rule=rule, objective=lambda shape: Pairwise(batch, removed=removed), batches=Whole(steps))
    return Recipe(encoder=encoder, head=head, stages=(stage,), memory="data")


def adam(lr: float, epochs: int) -> Backprop:
    """Adam at a constant rate, to the last epoch: no links are held out to choose one."""
    return Backprop("adam", lr=lr, schedule="constant", epochs=epochs)


@recipe(entry="neural-common-neighbor", paper="Wang, Yang & Zhang 2024, arXiv:2302.00890", domains="graph")
def ncn(
    hidden: int = 128,
    layers: int = 2,
    over: str = "common",
    jump: str = "last",
    input_dropout: float = 0.5,
    dropout: float = 0.3,
    batch: int = 1024,
    steps: int = 4,
    removed: float = 1.0,
    lr: float = 2e-3,
    epochs: int = 30,
) -> Recipe:
    """semblance rank cora --task links -r ncn

    over       whose states are summed: common, the common neighbours; none: the product of states through the same
               perceptron alone; product: not even that, their inner product
    removed    share of a step's edges that are taken out of the graph before messages pass
    """

    def score(dim: int) -> nn.Module:
        return Product() if over == "product" else Pooled(dim, hidden, over, dropout=dropout)

    return paired(score, adam(lr, epochs), hidden, layers, jump, input_dropout, dropout, batch, steps, removed)


@recipe(entry="neural-common-neighbor", paper="Wang, Yang & Zhang 2024, arXiv:2302.00890", domains="graph")
def ncnc(
    hidden: int = 128,
    layers: int = 2,
    depth: int = 1,
    absent: float = 0.0,
    through: bool = False,
    jump: str = "last",
    input_dropout: float = 0.5,
    dropout: float = 0.3,
    batch: int = 1024,
    steps: int = 4,
    removed: float = 1.0,
    lr: float = 2e-3,
    epochs: int = 30,
) -> Recipe:
    """semblance rank cora --task links -r ncnc

    depth      1: missing links by the common neighbours; 2: by the completed ones
    absent     share by which a completed link counts less than a given one
    through    whether gradients pass the completed links
    """

    def score(dim: int) -> nn.Module:
        return Pooled(dim, hidden, "union", depth, absent, through, dropout)

    return paired(score, adam(lr, epochs), hidden, layers, jump, input_dropout, dropout, batch, steps, removed)
