"""Convolutions on the nodes of a graph from the surveys, beside those of graph_networks.py and graph_filters.py.

spectral-cnn       a filter learned over the spectrum itself
adaptive-gcn       edges as given, and a graph learned from the states
nn4g               every layer hears its neighbours' states of all layers before
diffusion-cnn      what is one to K steps of a random walk away, side by side
monet              neighbours weighed by Gaussian bumps over degrees
sage-pool          the largest of the neighbours, channel by channel
sage-lstm          neighbours read one after the other
fast-gcn           one importance sample of sources for a whole batch of nodes
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.layer_samples import LayerSamples
from semblance.encoders.graphs.eigenbasis import Bumps
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.hops import Beside, Hearing
from semblance.encoders.graphs.in_turn import InTurn
from semblance.encoders.graphs.inputs import InputLinear, width_of_features
from semblance.encoders.graphs.message import Convolution, Sage
from semblance.encoders.graphs.mixture import Mixture
from semblance.encoders.graphs.propagate import Filter, Matrices, Propagation
from semblance.encoders.graphs.residual_graph import ResidualGraph
from semblance.encoders.graphs.stack import Stack
from semblance.recipes.graph_networks import adam, classified_nodes, deep, scored_nodes
from semblance.recipes.graph_samples import sampled
from semblance.recipes.registry import Recipe, recipe

SURVEY = "gnn-survey-taxonomy"


@recipe(entry=SURVEY, paper="Bruna et al. 2014, arXiv:1312.6203", domains="graph", needs="labels")
def spectral_cnn(
    hidden: int = 32,
    vectors: int = 128,
    knots: int = 8,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe spectral-cnn

    vectors   of the smoothest eigenvectors of the graph's operator; knots: of the filter over them
    """

    def encoder(shape: Shape) -> Propagation:
        before = nn.Sequential(InputLinear(width_of_features(shape), hidden, dropout=dropout), nn.ReLU())
        layer = Filter(knots - 1, Matrices(hidden, hidden, knots - 1), Bumps(vectors), "symmetric-loops")
        return Propagation(layer, hidden, before, nn.Sequential(nn.ReLU(), nn.Dropout(dropout)))

    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry=SURVEY, paper="Li et al. 2018, arXiv:1801.03226", domains="graph", needs="labels")
def adaptive_gcn(
    hidden: int = 32,
    layers: int = 2,
    metric: int = 8,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --recipe adaptive-gcn

    Every layer compares all pairs of nodes: for graphs of a few thousand.
    """

    def layer(inputs: int, outputs: int) -> ResidualGraph:
        return ResidualGraph(inputs, outputs, metric)

    return classified_nodes(layer, adam(lr, weight_decay, epochs, patience), hidden, layers, dropout)


@recipe(entry=SURVEY, paper="Micheli 2009, IEEE TNN 20", domains="graph", needs="labels")
def nn4g(
    hidden: int = 32,
    layers: int = 3,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe nn4g"""

    def encoder(shape: Shape) -> Stack:
        first = Entrance(shape, hidden, dropout)
        return Stack([Hearing(hidden, hidden, layers)], None, dropout=dropout, initial=first, readout="mean")

    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry=SURVEY, paper="Atwood & Towsley 2016, arXiv:1511.02136", domains="graph", needs="labels")
def diffusion_cnn(
    hidden: int = 64,
    depth: int = 3,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe diffusion-cnn"""

    def encoder(shape: Shape) -> Propagation:
        # Paper: the features themselves diffuse. Here a linear map of them, which bags of words need.
        before = InputLinear(width_of_features(shape), hidden, dropout=dropout)
        mix = Beside(hidden, depth)
        return Propagation(
            Filter(depth, mix, operator="row"), mix.out, before, nn.Sequential(nn.Tanh(), nn.Dropout(dropout))
        )

    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry=SURVEY, paper="Monti et al. 2017, arXiv:1611.08402", domains="graph", needs="labels")
def monet(
    hidden: int = 32,
    layers: int = 2,
    bumps: int = 4,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe monet"""

    def layer(inputs: int, outputs: int) -> Mixture:
        return Mixture(inputs, outputs, bumps)

    return classified_nodes(layer, adam(lr, weight_decay, epochs, patience), hidden, layers, dropout)


@recipe(entry=SURVEY, paper="Hamilton et al. 2017, arXiv:1706.02216", domains="graph", needs="labels")
def sage_pool(
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe sage-pool

    The recipe sage with aggregator=max asks the features themselves; this one states behind a linear map, as words need.
    """

    def layer(shape: Shape) -> Sage:
        return Sage(hidden, hidden, "max")

    encoder = deep(layer, hidden, layers, dropout, residual=False, norm=None, input_dropout=dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry=SURVEY, paper="Hamilton et al. 2017, arXiv:1706.02216", domains="graph", needs="labels")
def sage_lstm(
    hidden: int = 64,
    layers: int = 2,
    most: int = 25,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
) -> Recipe:
    """semblance fit cora --recipe sage-lstm

    most   of a node's neighbours that are read
    """
    encoder = deep(
        lambda shape: InTurn(hidden, hidden, most),
        hidden,
        layers,
        dropout,
        residual=False,
        norm=None,
        input_dropout=dropout,
    )
    return scored_nodes(encoder, adam(lr, weight_decay, epochs))


@recipe(entry=SURVEY, paper="Chen, Ma & Xiao 2018, arXiv:1801.10247", domains="graph", needs="labels")
def fast_gcn(
    hidden: int = 64,
    layers: int = 2,
    sources: int = 400,
    batch: int = 256,
    dropout: float = 0.5,
    lr: float = 0.01,
    epochs: int = 20,
) -> Recipe:
    """semblance fit facebook-pages --recipe fast-gcn

    sources   nodes drawn for a batch, which tell it and one another
    """

    def layer(inputs: int, outputs: int) -> Convolution:
        return Convolution(inputs, outputs, normalise="mean")

    return sampled(layer, LayerSamples(sources, batch), hidden, layers, dropout, lr, epochs)
