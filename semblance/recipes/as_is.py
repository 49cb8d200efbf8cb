"""As is: embeddings that exist already. Nothing is learned; the space gives them search, filters and a judgement."""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.encoders.vectors import Identity
from semblance.learning.solve import Nothing
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry=None, paper="no learning", domains="vectors")
def as_is() -> Recipe:
    """semblance fit vectors.npy --recipe as-is    # the vectors themselves, cosine distance"""

    def encoder(shape: Shape) -> Identity:
        return Identity(shape.item[0])

    return Recipe(encoder=encoder, stages=(Stage(rule=Nothing()),), standardise=False)
