"""Visual words as recipes: what a picture holds, told from parts of it.

obow   a slow copy's bags of words, the vocabulary and its classifier renewed at every step
"""

from __future__ import annotations

from dataclasses import replace

import torch

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Several, Views, default_views
from semblance.learning.backprop import Backprop
from semblance.objectives.branches import Copied
from semblance.objectives.words import BagsOfWords, Vocabulary, widths_of
from semblance.recipes.backbones import LEAST, backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.teachers import crops


def whole(item: tuple[int, ...]) -> Views:
    """The picture as it is, mirrored or not where that is a view."""
    plain = replace(default_views(item), scale=None, turn=0.0, zoom=(1.0, 1.0), shift=0.0, blur=0.0)
    return replace(plain, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, jitter=0.0, grey=0.0)


@recipe(entry="obow", paper="Gidaris et al. 2021, arXiv:2012.11552", domains="images")
def obow(
    backbone: str = "small",
    width: int = 0,
    words: int = 256,
    levels: int = 2,
    delta: float = 0.1,
    kappa: float = 8.0,
    lengths: bool = False,
    live: bool = True,
    rare: bool = False,
    momentum: float = 0.99,
    small: int = 2,
    batch: int = 64,
    optimizer: str = "adam",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    epochs: int = 8,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe obow    # a large and `small` small crops tell the words of the whole picture

    levels   how many of the network's last maps have a vocabulary of `words` words
    delta    how sharply a cell is one word: a share of the usual squared distance to the nearest (0: wholly)

    CIFAR-10 subset, 8 epochs, seed 0: linear probe 0.438, untrained net 0.350; after 4 epochs 0.431, and 0.444 with random
    words that stay (results/obow.json): 256 words are all replaced within four batches of 64.
    """
    # Paper: 8,192 words, 2 large and 5 small crops, SGD 0.05 with decay 5e-4 or 0.03 with 1e-4, kappa 5 to 8, delta 1/10 to
    # 1/15, and the length of z counts. Here Adam and directions only: with lengths it makes them grow instead of telling
    # pictures apart (2 epochs of batches of 32: linear probe 0.426, with lengths 0.387, and 0.425 with lengths under SGD).
    encoder = backbone_of(backbone, width)

    def objective(shape: Shape) -> BagsOfWords:
        with torch.device("meta"):
            channels = widths_of(encoder(shape), shape.item, levels)
        held = [Vocabulary(words, d, delta, live=live, rare=rare) for d in channels]
        copied = Copied(encoder(shape), None, momentum)
        return BagsOfWords(copied, held, width_of(encoder, shape), kappa=kappa, lengths=lengths)

    kinds = crops(small).each
    views = Several((ByShape(whole), kinds[0], *kinds[2:]))
    rule = Backprop(optimizer, lr=lr, weight_decay=weight_decay, epochs=epochs)
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), views),))
