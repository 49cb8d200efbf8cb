"""Networks on hypergraphs under cross-entropy; a graph is read as the hypergraph of its neighbourhoods.

hgnn    a node is the mean of its hyperedges, a hyperedge the mean of its nodes, normalised on both sides
"""

from __future__ import annotations

from torch import nn

from semblance.encoders.topology.hypergraph import HypergraphConvolution
from semblance.recipes.graph_networks import adam, classified_nodes
from semblance.recipes.registry import Recipe, recipe


@recipe(entry="hgnn", paper="Feng et al. 2019, arXiv:1809.09401", domains=("hypergraph", "graph"), needs="labels")
def hgnn(
    hidden: int = 64,
    layers: int = 2,
    normalise: str = "symmetric",
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe hgnn

    hidden      of the paper: 16 for citations, 128 for objects
    normalise   symmetric, or mean: HGNN+ and Bai et al.'s hypergraph convolution
    """

    def layer(inputs: int, outputs: int) -> nn.Module:
        return HypergraphConvolution(inputs, outputs, normalise)

    return classified_nodes(layer, adam(lr, weight_decay, epochs, patience), hidden, layers, dropout)
