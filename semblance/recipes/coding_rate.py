"""Rate reduction as a recipe: frozen features spread over subspaces, one for each group.

cpp   a perceptron on given features, its affinity's parts cheap to write and the whole dear
"""

from __future__ import annotations

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.encoders.vectors import flat
from semblance.learning.backprop import Apart, Backprop
from semblance.objectives.coding_rate import RateReduction
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="cpp-rate-reduction", paper="Chu et al. 2023, arXiv:2306.05272", domains=("vectors", "images"))
def cpp(
    hidden: int = 256,
    dim: int = 32,
    distortion: float = 0.1,
    temperature: float = 0.175,
    weight: float = 0.05,
    rounds: int = 5,
    warm: int = 100,
    standardise: bool = False,
    batch: int = 1500,
    lr: float = 3e-3,
    cluster_lr: float = 2e-3,
    epochs: int = 300,
    least: int = 1,
) -> Recipe:
    """semblance fit vectors.npy --recipe cpp    # groups and their number: semblance.analysis.coding"""
    encoder = flat(hidden, dim)
    rule = Backprop(
        lr=lr, schedule="constant", epochs=epochs, apart=(Apart("objective.cluster", cluster_lr),), weight_decay=0.0
    )

    def objective(shape: Shape) -> RateReduction:
        return RateReduction(nn.Linear(hidden, dim), warm, distortion, temperature, weight, rounds)

    stage = Stage(rule, objective, Repeated(Shuffled(batch), least))
    return Recipe(encoder=encoder, stages=(stage,), standardise=standardise)
