"""Published members of the design space of hypergraph networks, under cross-entropy; hgnn is in `graph_hypergraphs.py`.

hgnn-plus             means both ways                                                        Gao et al. 2023
hnhn                  sums both ways weighted by degrees, a bend at the hyperedges           Dong et al. 2020
unigcn                means into hyperedges, back as graph convolution                       Huang & Yang 2021
unigat                means into hyperedges, nodes attend to them                            Huang & Yang 2021
all-deep-sets         sums of perceptrons both ways                                          Chien et al. 2022
all-set-transformer   attention of several heads both ways, perceptrons behind               Chien et al. 2022
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from semblance.encoders.topology.hypergraph import HypergraphConvolution
from semblance.encoders.topology.stages import TwoStage
from semblance.recipes.graph_hypergraph_space import ENTRY, stacked
from semblance.recipes.graph_networks import adam, classified_nodes, scored_nodes
from semblance.recipes.registry import Recipe, recipe


@recipe(entry=ENTRY, paper="Gao et al. 2023, IEEE TPAMI 45(3)", domains="hypergraph", needs="labels")
def hgnn_plus(
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe hgnn-plus"""
    rule = adam(lr, weight_decay, epochs, patience)
    return classified_nodes(lambda a, b: HypergraphConvolution(a, b, "mean"), rule, hidden, layers, dropout)


def member(layer: Callable[[], nn.Module], hidden: int, layers: int, dropout: float, rule: Any) -> Recipe:
    """Layers of this kind over the incidence, and a linear map: this file's skeleton."""
    encoder: Any = stacked(layer, "auto", "incidence", hidden, layers, dropout)
    return scored_nodes(encoder, rule)


@recipe(entry=ENTRY, paper="Dong, Sawin & Bengio 2020, arXiv:2006.12278", domains="hypergraph", needs="labels")
def hnhn(
    alpha: float = -0.5,
    beta: float = -0.5,
    hidden: int = 64,
    layers: int = 1,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe hnhn

    alpha, beta   powers of a hyperedge's size and of a node's degree by which their messages count
    """

    def layer() -> TwoStage:
        settings: dict[str, Any] = {"update": "bend", "own": "", "weigh": "cardinality", "exponents": (beta, alpha)}
        return TwoStage(hidden, hidden, "sum", "sum", singletons=True, **settings)

    return member(layer, hidden, layers, dropout, adam(lr, weight_decay, epochs, patience))


@recipe(entry=ENTRY, paper="Huang & Yang 2021, arXiv:2105.00956", domains="hypergraph", needs="labels")
def unigcn(
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe unigcn"""

    def layer() -> TwoStage:
        return TwoStage(hidden, hidden, "mean", "sum", own="", weigh="symmetric", singletons=True)

    return member(layer, hidden, layers, dropout, adam(lr, weight_decay, epochs, patience))


@recipe(entry=ENTRY, paper="Huang & Yang 2021, arXiv:2105.00956", domains="hypergraph", needs="labels")
def unigat(
    hidden: int = 64,
    heads: int = 8,
    layers: int = 2,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe unigat"""

    def layer() -> TwoStage:
        return TwoStage(hidden, hidden, "mean", "aware", own="", heads=heads, singletons=True)

    return member(layer, hidden, layers, dropout, adam(lr, weight_decay, epochs, patience))


@recipe(entry=ENTRY, paper="Chien et al. 2022, arXiv:2106.13264", domains="hypergraph", needs="labels")
def all_deep_sets(
    hidden: int = 64,
    layers: int = 1,
    dropout: float = 0.5,
    lr: float = 0.001,
    weight_decay: float = 0.0,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe all-deep-sets"""

    def layer() -> TwoStage:
        return TwoStage(hidden, hidden, "sum", "sum", update="perceptron", own="", singletons=True)

    return member(layer, hidden, layers, dropout, adam(lr, weight_decay, epochs, patience))


@recipe(entry=ENTRY, paper="Chien et al. 2022, arXiv:2106.13264", domains="hypergraph", needs="labels")
def all_set_transformer(
    hidden: int = 64,
    heads: int = 4,
    layers: int = 1,
    dropout: float = 0.5,
    lr: float = 0.001,
    weight_decay: float = 0.0,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe all-set-transformer"""

    def layer() -> TwoStage:
        return TwoStage(
            hidden, hidden, "attention", "attention", update="perceptron", own="", heads=heads, singletons=True
        )

    return member(layer, hidden, layers, dropout, adam(lr, weight_decay, epochs, patience))
