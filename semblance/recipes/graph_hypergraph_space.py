"""The design space of hypergraph networks as one configurable network, and what it can learn from.

hypergraph-network      labels of nodes
hypergraph-links        which sets of nodes are hyperedges
hypergraph-contrast     two views of the hypergraph, at the level of nodes, hyperedges and memberships
hypergraph-generation   memberships or features that are masked

Settings of the network, in all four:
    features    auto, or some of: given, constant, degree, sizes, eigenvectors, walks, identity
    structure   incidence (two stages, node to hyperedge to node), or an expansion (one stage along its edges): clique,
                count-clique, size-clique, adaptive-clique, star, line
    to_edges, to_nodes    sum, mean, max, attention (whoever asks), aware (of who asks); an expansion has to_nodes alone
    states      shared: one state a node; own: one a membership, which both its ends decide
Published members of the space are in `graph_hypergraph_members.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.readout import READOUTS
from semblance.encoders.graphs.stack import Stack
from semblance.encoders.topology.adaptive import AdaptiveConvolution
from semblance.encoders.topology.expanded import EXPANSIONS, Expanded
from semblance.encoders.topology.features import HypergraphFeatures, Told
from semblance.encoders.topology.stages import OneStage, TwoStage
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.hyperedges import Hyperedges
from semblance.objectives.hypergraph_contrast import HypergraphContrast
from semblance.objectives.hypergraph_generation import HypergraphGeneration
from semblance.recipes.graph_networks import adam, scored_nodes, words
from semblance.recipes.registry import Recipe, Stage, recipe

ENTRY, PAPER = "hypergraph-nn-design-space", "Kim et al. 2024, arXiv:2404.01039"
STRUCTURES = ("incidence", "adaptive-clique", *EXPANSIONS)


def networked(
    features: str,
    structure: str,
    to_edges: str,
    to_nodes: str,
    states: str,
    hidden: int,
    layers: int,
    heads: int,
    dropout: float,
) -> Callable[[Shape], Told]:
    """The network of these settings, as a lazy part."""
    if structure not in STRUCTURES:
        raise unknown("structure of a hypergraph", structure, STRUCTURES)

    def layer() -> nn.Module:
        if structure == "incidence":
            return TwoStage(hidden, hidden, to_edges, to_nodes, states, heads=heads)
        if structure == "adaptive-clique":
            return AdaptiveConvolution(hidden, hidden)
        return OneStage(hidden, hidden, to_nodes, states, heads)

    back = to_nodes if to_nodes in READOUTS else "mean"
    return stacked(layer, features, structure, hidden, layers, dropout, back)


def stacked(
    layer: Callable[[], nn.Module],
    features: str,
    structure: str,
    hidden: int,
    layers: int,
    dropout: float,
    back: str = "mean",
) -> Callable[[Shape], Told]:
    """Features, then layers of one kind on a structure."""

    def encoder(shape: Shape) -> Told:
        initial = HypergraphFeatures(words(features), shape, hidden, dropout)
        inner: Any = Stack([layer() for _ in range(layers)], dropout=dropout, inputs=hidden)
        how = structure.removeprefix("adaptive-")
        return Told(initial, inner if structure == "incidence" else Expanded(inner, how, back))

    return encoder


def unlabelled(
    encoder: Callable[[Shape], Told], objective: Callable[[Shape], nn.Module], lr: float, epochs: int
) -> Recipe:
    """An objective that asks for no labels, over the whole hypergraph in every step."""
    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    return Recipe(encoder, (Stage(rule, objective, Whole()),), memory="data")


@recipe(entry=ENTRY, paper=PAPER, domains="hypergraph", needs="labels")
def hypergraph_network(
    features: str = "auto",
    structure: str = "incidence",
    to_edges: str = "mean",
    to_nodes: str = "mean",
    states: str = "shared",
    hidden: int = 64,
    layers: int = 2,
    heads: int = 1,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cocitation-cora --recipe hypergraph-network --set structure=star"""
    encoder: Any = networked(features, structure, to_edges, to_nodes, states, hidden, layers, heads, dropout)
    return scored_nodes(encoder, adam(lr, weight_decay, epochs, patience))


@recipe(entry=ENTRY, paper=PAPER, domains="hypergraph")
def hypergraph_links(
    negatives: str = "motif",
    hide: float = 0.3,
    batch: int = 512,
    features: str = "auto",
    structure: str = "incidence",
    to_edges: str = "mean",
    to_nodes: str = "mean",
    states: str = "shared",
    hidden: int = 64,
    layers: int = 2,
    heads: int = 1,
    dropout: float = 0.0,
    lr: float = 0.01,
    epochs: int = 100,
) -> Recipe:
    """semblance rank email-enron --task hyperedges -r hypergraph-links

    negatives   of the sizes of hyperedges: size (drawn), motif (grown), clique (one member swapped), learned (a generator)
    hide        the share of the hyperedges that a step asks for, and does not see
    """
    encoder = networked(features, structure, to_edges, to_nodes, states, hidden, layers, heads, dropout)

    def objective(shape: Shape) -> Hyperedges:
        return Hyperedges(hidden, int(shape.facts["nodes"]), negatives, batch, hide)

    return unlabelled(encoder, objective, lr, epochs)


@recipe(entry=ENTRY, paper=PAPER, domains="hypergraph")
def hypergraph_contrast(
    drop: str = "membership",
    share: float = 0.3,
    levels: str = "node,hyperedge,membership",
    temperature: float = 0.5,
    batch: int = 1024,
    features: str = "auto",
    structure: str = "incidence",
    to_edges: str = "mean",
    to_nodes: str = "mean",
    states: str = "shared",
    hidden: int = 64,
    layers: int = 2,
    heads: int = 1,
    dropout: float = 0.0,
    lr: float = 0.01,
    epochs: int = 100,
) -> Recipe:
    """semblance fit email-enron --recipe hypergraph-contrast

    drop, share   what a view leaves out: node, hyperedge or membership, and of how many
    levels        what is contrasted
    """
    encoder = networked(features, structure, to_edges, to_nodes, states, hidden, layers, heads, dropout)

    def objective(shape: Shape) -> HypergraphContrast:
        return HypergraphContrast(hidden, words(levels), drop, share, temperature, batch)

    return unlabelled(encoder, objective, lr, epochs)


@recipe(entry=ENTRY, paper=PAPER, domains="hypergraph")
def hypergraph_generation(
    target: str = "memberships",
    mask: float = 0.3,
    features: str = "auto",
    structure: str = "incidence",
    to_edges: str = "mean",
    to_nodes: str = "mean",
    states: str = "shared",
    hidden: int = 64,
    layers: int = 2,
    heads: int = 1,
    dropout: float = 0.0,
    lr: float = 0.01,
    epochs: int = 100,
) -> Recipe:
    """semblance fit email-enron --recipe hypergraph-generation

    target, mask   what is masked and told from the rest: memberships or features, and the share of it
    """
    encoder = networked(features, structure, to_edges, to_nodes, states, hidden, layers, heads, dropout)

    def objective(shape: Shape) -> HypergraphGeneration:
        return HypergraphGeneration(hidden, target, shape.item[0], mask)

    return unlabelled(encoder, objective, lr, epochs)
