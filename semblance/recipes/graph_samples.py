"""Graphs whose states at all nodes do not fit into memory while learning: the same networks, on parts of the graph.

sage-sampled     every node with at most `fan_out` neighbours, theirs with as many     Hamilton et al. 2017
gcn-clustered    blocks of the graph, a few at a time                                 Chiang et al. 2019

What is learned is used on the whole graph at once, without gradients: validation and embedding hold one state a node.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from semblance.data.neighbour_samples import ClusterSamples, NeighbourSamples
from semblance.encoders.graphs.message import Convolution, Sage
from semblance.recipes.graph_networks import Layer, adam, classified_nodes
from semblance.recipes.registry import Recipe, recipe


def sampled(layer: Layer, batches: Any, hidden: int, layers: int, dropout: float, lr: float, epochs: int) -> Recipe:
    """A network for nodes that learns from these batches: this file's skeleton."""
    whole = classified_nodes(layer, adam(lr, 0.0, epochs, 0), hidden, layers, dropout)
    return replace(whole, stages=(replace(whole.stages[0], batches=batches),))


@recipe(entry=None, paper="Hamilton et al. 2017, arXiv:1706.02216", domains="graph", needs="labels")
def sage_sampled(
    hidden: int = 64,
    layers: int = 2,
    fan_out: int = 10,
    batch: int = 512,
    dropout: float = 0.5,
    lr: float = 0.01,
    epochs: int = 20,
) -> Recipe:
    """semblance fit facebook-pages --recipe sage-sampled"""
    batches = NeighbourSamples((fan_out,) * layers, batch)
    return sampled(lambda a, b: Sage(a, b, "mean"), batches, hidden, layers, dropout, lr, epochs)


@recipe(entry=None, paper="Chiang et al. 2019, arXiv:1905.07953", domains="graph", needs="labels")
def gcn_clustered(
    hidden: int = 64,
    layers: int = 2,
    size: int = 1000,
    together: int = 4,
    dropout: float = 0.5,
    lr: float = 0.01,
    epochs: int = 20,
) -> Recipe:
    """semblance fit facebook-pages --recipe gcn-clustered

    size       nodes of a block
    together   blocks of a batch
    """
    return sampled(Convolution, ClusterSamples(size, together), hidden, layers, dropout, lr, epochs)
