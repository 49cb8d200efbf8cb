"""Whole graphs made smaller between layers, and read at every size.

sparse-hierarchical    the nodes of largest projection stay, gated by it; mean and maximum of every level, added
diff-pool              nodes are assigned to clusters, as a dense matrix
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.coarsen import Coarsened
from semblance.objectives.penalised import Penalised
from semblance.recipes.graph_networks import adam, error, start
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe

PAPER = "Cangea et al. 2018, arXiv:1811.01287"


def coarsened(
    pooling: str, hidden: int, blocks: int, ratio: float, gate: bool, clusters: int, batch: int, lr: float, epochs: int
) -> Recipe:
    """A perceptron answers from the added read-outs of the levels."""

    def encoder(shape: Shape) -> Coarsened:
        first, width = start("auto", shape)
        return Coarsened(width, hidden, blocks, pooling, ratio, gate, clusters, first)

    def objective(shape: Shape) -> nn.Module:
        return Penalised(error(shape)) if pooling == "dense" else error(shape)

    rule = adam(lr, 0.0, epochs)
    return Recipe(encoder, (Stage(rule, objective, Shuffled(batch)),), through(encoder, hidden))


@recipe(entry="sparse-hierarchical-classifier", paper=PAPER, domains="graphs", needs="labels")
def sparse_hierarchical(
    hidden: int = 128,
    blocks: int = 3,
    ratio: float = 0.8,
    gate: bool = True,
    pool: bool = True,
    batch: int = 32,
    lr: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe sparse-hierarchical

    ratio   of nodes that stay at every level; pool: no node is dropped and the graph is read once, if not
    gate    states are multiplied by tanh of their score, through which the direction of scores is learned
    """
    return coarsened("top" if pool else "none", hidden, blocks, ratio, gate, 0, batch, lr, epochs)


@recipe(
    entry="sparse-hierarchical-classifier", paper="Ying et al. 2018, arXiv:1806.08804", domains="graphs", needs="labels"
)
def diff_pool(
    hidden: int = 128,
    blocks: int = 3,
    clusters: int = 32,
    ratio: float = 0.25,
    batch: int = 32,
    lr: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe diff-pool

    clusters   of the first level; every further one has `ratio` times as many
    """
    return coarsened("dense", hidden, blocks, ratio, True, clusters, batch, lr, epochs)
