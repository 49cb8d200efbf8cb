"""Latent graphs: messages pass over edges that are drawn from a learned metric, beside those that the data has.

neural-snowflake   the metric is a snowflake of a perceptron's coordinates; or that of another space
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.entrance import Entrance
from semblance.encoders.graphs.inputs import InputLinear, width_of_features
from semblance.encoders.graphs.latent import Latent
from semblance.encoders.graphs.message import Convolution
from semblance.encoders.graphs.stack import Stack
from semblance.errors import unknown
from semblance.geometry.manifolds import KINDS, Manifold, manifold_named
from semblance.geometry.snowflake import Snowflake, Snowflaked
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.drawn_edges import DrawnEdges
from semblance.recipes.graph_networks import adam, answer
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="neural-snowflakes", paper="Borde et al. 2024, arXiv:2310.15003", domains="graph", needs="labels")
def neural_snowflake(
    space: str = "snowflake",
    dim: int = 8,
    psi: str = "smooth",
    k: int = 5,
    temperature: float = 1.0,
    given: bool = True,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.5,
    reward: float = 0.1,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 100,
    patience: int = 0,
) -> Recipe:
    """semblance fit wisconsin --recipe neural-snowflake

    space    snowflake, euclidean, sphere, hyperbolic or product, of `dim` coordinates; psi: smooth or stable
    k        edges drawn for every node; given: whether those of the data join them
    reward   weight of the term by which coordinates and metric learn
    """
    if space != "snowflake" and space not in KINDS:
        raise unknown("space", space, ("snowflake", *KINDS))

    def encoder(shape: Shape) -> Latent:
        metric: Manifold = Snowflaked(dim, Snowflake(psi=psi)) if space == "snowflake" else manifold_named(space, dim)
        coordinates = nn.Sequential(InputLinear(width_of_features(shape), hidden), nn.ReLU(), nn.Linear(hidden, dim))
        convolved = [Convolution(a, b) for a, b in pairwise([hidden] * (layers + 1))]
        entrance = Entrance(shape, hidden, dropout)
        stack = Stack(convolved, dropout=dropout, inputs=hidden, initial=entrance, residual=True)
        return Latent(coordinates, metric, stack, k, temperature, given)

    def objective(shape: Shape) -> DrawnEdges:
        return DrawnEdges(CrossEntropy(), shape.units, reward)

    stage = Stage(adam(lr, weight_decay, epochs, patience), objective, Whole())
    return Recipe(encoder, (stage,), answer(encoder), memory="data")
