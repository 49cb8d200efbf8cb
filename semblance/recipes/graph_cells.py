"""Networks on cell complexes: a complex's number or class is read from the pooled states of its vertices, edges, faces;
where the vertices of one complex (a mesh) are the units, from theirs.

cw-cnn    convolution by the Hodge Laplacian in every dimension
cw-at     attention between incident cells
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from semblance.data.dataset import Shape
from semblance.data.samplers import Shuffled
from semblance.encoders.topology.cells import CellAttention, CellConvolution, CellNetwork
from semblance.learning.backprop import Backprop
from semblance.recipes.graph_networks import answer, error
from semblance.recipes.registry import Recipe, Stage, recipe


def answered(
    encoder: Callable[[Shape], CellNetwork], batch: int, lr: float, weight_decay: float, epochs: int
) -> Recipe:
    """A linear map of the embedding answers, a class or a number."""
    rule = Backprop("adam", lr=lr, weight_decay=weight_decay, epochs=epochs)
    return Recipe(encoder, (Stage(rule, error, Shuffled(batch)),), answer(encoder))


def read_from(readout: str, shape: Shape) -> str:
    """The read-out, where complexes are the units; else their vertices are."""
    return readout if shape.facts.get("complexes") else "vertices"


@recipe(entry="cw-cnn", paper="Khorana 2024, arXiv:2408.16686", domains="complex", needs="labels")
def cw_cnn(
    hidden: int = 32,
    layers: int = 2,
    signed: bool = False,
    normalise: bool = True,
    split: bool = False,
    readout: str = "sum",
    batch: int = 32,
    lr: float = 3e-3,
    weight_decay: float = 0.0,
    epochs: int = 30,
) -> Recipe:
    """semblance fit complexes.npz --recipe cw-cnn

    signed      outputs turn over with their cells; needs features in every dimension
    normalise   D_k is divided by its diagonal on both sides; split: its two parts have weights of their own
    readout     sum, mean or max over the cells of each dimension
    """

    def encoder(shape: Shape) -> CellNetwork:
        widths = [[max(f, 1) for f in shape.item], *[[hidden] * len(shape.item)] * layers]
        bend = "tanh" if signed else "relu"
        made = [CellConvolution(a, b[0], signed, normalise, split, bend) for a, b in pairwise(widths)]
        return CellNetwork(shape.item, made, 0, signed, read_from(readout, shape), hidden)

    return answered(encoder, batch, lr, weight_decay, epochs)


@recipe(entry="cw-cnn", paper="Khorana 2024, arXiv:2408.16686", domains="complex", needs="labels")
def cw_at(
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    signed: bool = False,
    readout: str = "sum",
    batch: int = 32,
    lr: float = 3e-3,
    weight_decay: float = 0.0,
    epochs: int = 30,
) -> Recipe:
    """semblance fit complexes.npz --recipe cw-at

    heads, signed, readout   as in cw-cnn; a head has hidden / heads channels
    """

    def encoder(shape: Shape) -> CellNetwork:
        dimensions, bend = len(shape.item), "tanh" if signed else "relu"
        made = [CellAttention(hidden, dimensions, heads, signed, bend) for _ in range(layers)]
        return CellNetwork(shape.item, made, hidden, signed, read_from(readout, shape), hidden)

    return answered(encoder, batch, lr, weight_decay, epochs)
