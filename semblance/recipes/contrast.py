"""Recipes of the neighbour-contrast core: what differs is who counts as a neighbour, and among how many one is chosen.

simclr      p: the other view of the item        among both views of a batch
supcon      p: every item of the label           among both views of a batch
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import two_crops
from semblance.encoders.vision.stagenet import on_images
from semblance.learning.backprop import Backprop
from semblance.objectives.contrast import Contrast, Neighbours
from semblance.objectives.kernels import Cosine
from semblance.objectives.lift import Lifted, on_views
from semblance.objectives.neighbours import other_view, same_label
from semblance.objectives.projector import perceptron
from semblance.recipes.registry import Recipe, Stage, recipe

# Items an epoch shows at least: a set of some hundred items gets as many steps as one of some thousand.
LEAST = 4096


def backbone(row: str, width: int = 0, **axes: object) -> Callable[[Shape], nn.Module]:
    """A row of the stage net; `width` 0 keeps the row's own."""
    return on_images(row, **({"width": width} if width else {}), **axes)


def width_of(encoder: Callable[[Shape], nn.Module], shape: Shape) -> int:
    """The width of what an encoder embeds, asked of a copy without weights."""
    with torch.device("meta"):
        return int(encoder(shape).dim)


def _of_views(
    neighbours: Neighbours,
    row: str,
    width: int,
    dim: int,
    temperature: float,
    batch: int,
    lr: float,
    epochs: int,
    needs: tuple[str, ...] = (),
) -> Recipe:
    """Two views, cosine of a projection, the rest of the batch as candidates."""
    encoder = backbone(row, width)

    def objective(shape: Shape) -> Lifted:
        inner = width_of(encoder, shape)
        return on_views(Contrast(neighbours, Cosine(temperature)), perceptron([inner, inner, dim]), needs)

    stage = Stage(
        rule=Backprop("adam", lr=lr, epochs=epochs),
        objective=objective,
        batches=Repeated(Shuffled(batch), LEAST),
        views=two_crops(),
    )
    return Recipe(encoder=encoder, stages=(stage,))


@recipe(entry=None, paper="Chen et al. 2020, arXiv:2002.05709", domains="images")
def simclr(
    row: str = "small",
    width: int = 0,
    dim: int = 128,
    temperature: float = 0.2,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe simclr"""
    return _of_views(other_view, row, width, dim, temperature, batch, lr, epochs)


@recipe(entry=None, paper="Khosla et al. 2020, arXiv:2004.11362", domains="images", needs="labels")
def supcon(
    row: str = "small",
    width: int = 0,
    dim: int = 128,
    temperature: float = 0.1,
    batch: int = 128,
    lr: float = 1e-3,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe supcon"""
    return _of_views(same_label, row, width, dim, temperature, batch, lr, epochs, needs=("labels",))
