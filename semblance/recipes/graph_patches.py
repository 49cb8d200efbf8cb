"""Whole graphs cut into patches, whose tokens are mixed.

graph-mixer    by perceptrons over tokens and over channels
graph-vit      by attention that knows which patches overlap
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.message import Convolution, Sum
from semblance.encoders.graphs.mixing import Attending, Mixer
from semblance.encoders.graphs.patched import Patched
from semblance.encoders.graphs.positions import Positions
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.recipes.graph_networks import adam, error, perceptron
from semblance.recipes.graph_readouts import through
from semblance.recipes.registry import Recipe, Stage, recipe

PAPER = "He et al. 2023, arXiv:2212.13350"
INNER: dict[str, Callable[[int], nn.Module]] = {
    "gin": lambda width: Sum(perceptron(width, width), learn_epsilon=True),
    "gcn": lambda width: Convolution(width, width),
}


def patched(
    mixer: Callable[[], nn.Module],
    inner: str,
    hidden: int,
    layers: int,
    mixers: int,
    cut: tuple[int, int, float],
    positions: str,
    steps: int,
    dropout: float,
    batch: int,
    rule: Backprop,
) -> Recipe:
    """Patches, their tokens, and a perceptron that answers from the mean of the tokens."""
    if inner not in INNER:
        raise unknown("layer within patches", inner, INNER)

    def encoder(shape: Shape) -> Patched:
        return Patched(
            Positions(Entrance(shape, hidden), positions, steps),
            [INNER[inner](hidden) for _ in range(layers)],
            [mixer() for _ in range(mixers)],
            *cut,
            0 if positions == "none" else steps,
            dropout,
        )

    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), through(encoder, hidden))


def halved(lr: float, every: int, epochs: int) -> Backprop:
    """Adam whose rate is halved at fixed times."""
    # Paper: where the validation loss stops to fall, which depends on what a run met.
    return adam(lr, 0.0, epochs, halve_every=every)


@recipe(entry="graph-vit-mlp-mixer", paper=PAPER, domains="graphs", needs="labels")
def graph_mixer(
    hidden: int = 128,
    layers: int = 4,
    mixers: int = 4,
    patches: int = 32,
    hops: int = 1,
    inner: str = "gin",
    positions: str = "walks",
    steps: int = 16,
    drop: float = 0.05,
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 1e-3,
    halve_every: int = 40,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe graph-mixer

    layers      within a patch: inner gin or gcn; mixers: layers over the tokens
    positions   walks, spectral or none: `steps` numbers a node; of patches the walk over their overlaps, or nothing
    drop        of the edges over which patches grow in training
    """

    def mixer() -> Mixer:
        return Mixer(hidden, patches, dropout)

    cut, rule = (patches, hops, drop), halved(lr, halve_every, epochs)
    return patched(mixer, inner, hidden, layers, mixers, cut, positions, steps, dropout, batch, rule)


@recipe(entry="graph-vit-mlp-mixer", paper=PAPER, domains="graphs", needs="labels")
def graph_vit(
    hidden: int = 128,
    layers: int = 4,
    mixers: int = 4,
    heads: int = 8,
    attention: str = "times",
    patches: int = 32,
    hops: int = 1,
    inner: str = "gin",
    positions: str = "walks",
    steps: int = 16,
    drop: float = 0.05,
    dropout: float = 0.0,
    batch: int = 32,
    lr: float = 1e-3,
    halve_every: int = 40,
    epochs: int = 100,
) -> Recipe:
    """semblance fit mutag --recipe graph-vit

    attention   times (the overlap of patches), added to the scores, kernel (times a walk over the overlaps) or plain
    The rest as in graph-mixer.
    """

    def mixer() -> Attending:
        return Attending(hidden, heads, attention, dropout)

    cut, rule = (patches, hops, drop), halved(lr, halve_every, epochs)
    return patched(mixer, inner, hidden, layers, mixers, cut, positions, steps, dropout, batch, rule)
