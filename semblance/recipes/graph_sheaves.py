"""Diffusion over sheaves under cross-entropy: what differs is where the sheaf comes from.

neural-sheaf-diffusion    maps learned from the states of both ends, anew in every layer
connection-sheaf          rotations between the tangent frames of the features, found once
sheaf-network             maps that the graph comes with: friend and foe, or the graph alone

A linear map scores the last states; the space holds those.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.graphs.inputs import width_of_features
from semblance.encoders.topology.diffusion import Diffusion, DiffusionNetwork
from semblance.encoders.topology.sheaf import GivenSheaf, LocalPCA, SheafLearner
from semblance.recipes.graph_networks import adam, scored_nodes
from semblance.recipes.registry import Recipe, recipe


def residual(
    own: Callable[[], nn.Module] | None,
    shared: Callable[[], nn.Module] | None,
    stalk: int,
    channels: int,
    layers: int,
    dropout: float,
    input_dropout: float,
) -> Callable[[Shape], DiffusionNetwork]:
    """Features lifted into stalks, then residual layers, with an operator of their own each or one for all."""

    def encoder(shape: Shape) -> DiffusionNetwork:
        return DiffusionNetwork(
            width_of_features(shape),
            [Diffusion(own and own(), stalk, channels, dropout=dropout) for _ in range(layers)],
            shared=shared and shared(),
            input_dropout=input_dropout,
            dropout=dropout,
        )

    return encoder


@recipe(entry="neural-sheaf-diffusion", paper="Bodnar et al. 2022, arXiv:2202.04579", domains="graph", needs="labels")
def neural_sheaf_diffusion(
    maps: str = "diagonal",
    stalk: int = 3,
    channels: int = 20,
    layers: int = 3,
    normalisation: str = "block",
    augmented: bool = True,
    every_layer: bool = True,
    low_pass: bool = False,
    high_pass: bool = False,
    dropout: float = 0.7,
    input_dropout: float = 0.3,
    lr: float = 0.02,
    weight_decay: float = 5e-3,
    epochs: int = 150,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --recipe neural-sheaf-diffusion

    maps           diagonal, general, or orthogonal by householder, cayley or exponential; constant: nothing is learned
    normalisation  by a node's whole block, by the entries of its diagonal, or none; augmented: the block plus 1
    every_layer    maps anew in every layer, or once
    low_pass, high_pass    a stalk coordinate each with fixed maps, counted in stalk
    """

    def sheaf() -> nn.Module:
        if maps == "constant":
            return GivenSheaf("constant", augmented=augmented)
        return SheafLearner(stalk, channels, maps, normalisation, augmented, low_pass, high_pass)

    own, shared = (sheaf, None) if every_layer and maps != "constant" else (None, sheaf)
    encoder = residual(own, shared, stalk, channels, layers, dropout, input_dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))


@recipe(
    entry="connection-laplacian-sheaf", paper="Barbero et al. 2022, arXiv:2206.08702", domains="graph", needs="labels"
)
def connection_sheaf(
    stalk: int = 3,
    channels: int = 20,
    layers: int = 3,
    weighted: bool = False,
    augmented: bool = True,
    dropout: float = 0.6,
    input_dropout: float = 0.6,
    lr: float = 0.02,
    weight_decay: float = 5e-3,
    epochs: int = 150,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --recipe connection-sheaf

    weighted   neighbours count by their distance when a frame is found
    """
    encoder = residual(
        None, lambda: LocalPCA(stalk, weighted, augmented=augmented), stalk, channels, layers, dropout, input_dropout
    )
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))


@recipe(entry="sheaf-neural-networks", paper="Hansen & Gebhart 2020, arXiv:2012.06333", domains="graph", needs="labels")
def sheaf_network(
    sheaf: str = "signs",
    hidden: int = 16,
    layers: int = 2,
    activation: str = "tanh",
    augmented: bool = True,
    dropout: float = 0.0,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit wiki-rfa --recipe sheaf-network

    sheaf        signs: maps 1 and the sign of an edge; constant: all 1, which is graph convolution
    activation   an odd one (tanh, none), so that turning a node's sign turns its states and no others
    """

    def encoder(shape: Shape) -> DiffusionNetwork:
        source = GivenSheaf(sheaf, augmented=augmented)
        widths = [width_of_features(shape), *[hidden] * layers]
        stacked = [
            Diffusion(None, 1, widths[i], hidden, "convolution", activation, left=False, dropout=dropout)
            for i in range(layers)
        ]
        return DiffusionNetwork(widths[0], stacked, shared=source, lift=False)

    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))
