"""Rate reduction as a recipe: frozen features spread over subspaces, one for each group.

cpp   a perceptron on given features, its affinity's parts cheap to write and the whole dear
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.encoders.vectors import Flat
from semblance.learning.backprop import Apart, Backprop
from semblance.objectives.coding_rate import RateReduction
from semblance.recipes.registry import Recipe, Stage, recipe


def two_hidden(hidden: int, dim: int) -> Callable[[Shape], Flat]:
    """A perceptron of two hidden layers, of which the first has a batch norm, as the paper's."""

    def build(shape: Shape) -> Flat:
        made = Flat(math.prod(shape.item), (hidden, hidden, dim))
        made.layers[3], made.layers[4] = nn.Linear(hidden, hidden), nn.Identity()
        return made

    return build


@recipe(entry="cpp-rate-reduction", paper="Chu et al. 2023, arXiv:2306.05272", domains=("vectors", "images"))
def cpp(
    hidden: int = 256,
    dim: int = 64,
    distortion: float = 0.1,
    temperature: float = 0.175,
    weight: float = 0.05,
    rounds: int = 5,
    warm: int = 200,
    standardise: bool = False,
    batch: int = 1500,
    lr: float = 3e-3,
    cluster_lr: float = 2e-3,
    weight_decay: float = 1e-4,
    cluster_decay: float = 5e-3,
    epochs: int = 300,
    least: int = 1,
) -> Recipe:
    """semblance fit vectors.npy --recipe cpp    # groups and their number: semblance.analysis.coding"""
    apart = (Apart("objective.cluster", cluster_lr, cluster_decay),)
    rule = Backprop(lr=lr, schedule="constant", epochs=epochs, apart=apart, weight_decay=weight_decay)

    def objective(shape: Shape) -> RateReduction:
        return RateReduction(nn.Linear(hidden, dim), warm, distortion, temperature, weight, rounds)

    stage = Stage(rule, objective, Repeated(Shuffled(batch), least))
    return Recipe(encoder=two_hidden(hidden, dim), stages=(stage,), standardise=standardise)
