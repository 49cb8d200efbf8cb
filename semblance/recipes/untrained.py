"""Untrained: a network as it was drawn. What training has to beat, as a method among the others."""

from __future__ import annotations

from semblance.learning.solve import Nothing
from semblance.recipes.backbones import backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry=None, paper="no learning", domains="images")
def untrained(backbone: str = "small", width: int = 0) -> Recipe:
    """semblance rank photos/ -r simclr -r untrained    # what the network's form alone gives; the seed draws it

    Moved MNIST, 20-NN: 0.32 to 0.50 by seed, pixels 0.684. Batch norm stands as it is drawn: mean 0, variance 1.
    """
    return Recipe(encoder=backbone_of(backbone, width), stages=(Stage(rule=Nothing()),))
