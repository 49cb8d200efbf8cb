"""Random walks over the cells of a complex, read by 1-D convolutions.

scrawl    walks over vertices, edges, faces; what they cross and where they have been before, as sequences
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.encoders.topology.cells import CellNetwork
from semblance.encoders.topology.simplicial_walks import WalkConvolution
from semblance.recipes.graph_cells import answered, read_from
from semblance.recipes.registry import Recipe, recipe


@recipe(entry="scrawl", paper="Frantzen & Schaub 2024, arXiv:2404.03434", domains="complex", needs="labels")
def scrawl(
    hidden: int = 32,
    layers: int = 3,
    length: int = 16,
    window: int = 4,
    walks: int = 4,
    share: float = 1.0,
    law: str = "over",
    depthwise: bool = False,
    readout: str = "mean",
    batch: int = 32,
    lr: float = 3e-3,
    weight_decay: float = 0.0,
    epochs: int = 30,
) -> Recipe:
    """semblance fit complexes.npz --recipe scrawl

    length   of a walk in cells; window: how many of them a cell is compared with
    walks    of every cell, where something is asked; in training a share of the cells walks once
    law      over (first what is shared, then the cell), neighbours (all alike) or pairs (by how much is shared)
    readout  sum, mean or max over the cells of each dimension, where complexes are the units
    """

    def encoder(shape: Shape) -> CellNetwork:
        dimensions = len(shape.item)
        made = [
            WalkConvolution(hidden, dimensions, length, window, walks, share, law, depthwise, seed=1000 * number)
            for number in range(layers)
        ]
        return CellNetwork(shape.item, made, hidden, False, read_from(readout, shape), hidden)

    return answered(encoder, batch, lr, weight_decay, epochs)
