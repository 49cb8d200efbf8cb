"""Fingerprints of molecules: a graph as a histogram over its atoms' neighbourhoods.

neural-fingerprint      layers with a matrix per degree, softmax in place of an index; trained through a perceptron
circular-fingerprint    hashes of neighbourhoods as set bits; nothing is learned
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.fingerprints import Circular, Fingerprint
from semblance.learning.solve import Nothing
from semblance.recipes.graph_networks import adam, error, start
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe

PAPER = "Duvenaud et al. 2015, arXiv:1509.09292"


@recipe(entry="neural-graph-fingerprints", paper=PAPER, domains="graphs", needs="labels")
def neural_fingerprint(
    length: int = 50,
    layers: int = 4,
    hidden: int = 64,
    activation: str = "relu",
    norm: bool = True,
    bonds: int = 0,
    scale: float = 1.0,
    frozen: bool = False,
    units: int = 100,
    batch: int = 100,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    epochs: int = 100,
    patience: int = 0,
) -> Recipe:
    """semblance fit mutag --recipe neural-fingerprint

    norm     batch norm over atoms
    bonds    width of the edges' features; 0: they are not read
    scale    of the first weights; frozen: they stay, and only the head learns
    units    of the head's hidden layer; 0: a linear head, whose weights tell what an entry stands for
    """

    def encoder(shape: Shape) -> Fingerprint:
        first, width = start("auto", shape)
        made = Fingerprint(
            width, layers, hidden, length, activation, "batch" if norm else None, 5, bonds, scale, initial=first
        )
        return made.requires_grad_(not frozen)

    rule = adam(lr, weight_decay, epochs, patience)
    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), through(encoder, units))


@recipe(
    entry="neural-graph-fingerprints", paper="Rogers & Hahn 2010, Extended-Connectivity Fingerprints", domains="graphs"
)
def circular_fingerprint(radius: int = 4, length: int = 2048) -> Recipe:
    """semblance fit mutag --recipe circular-fingerprint"""
    return Recipe(encoder=lambda shape: Circular(radius, length), stages=(Stage(rule=Nothing()),), standardise=False)
