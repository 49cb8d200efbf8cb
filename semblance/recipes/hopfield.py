"""Retrieval of stored patterns as an encoder: bags of which one instance decides, and small tables.

hopfield           a row of a table retrieves from learned prototypes
hopfield-bags      a row is a bag of equal instances: multiple-instance learning
hopfield-motifs    a row is a bag of words of letters, a motif hidden in one of them
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.encoders.sequences.bags import Bags, MotifBags, Prototypes
from semblance.learning.backprop import Backprop
from semblance.objectives.classify import CrossEntropy
from semblance.recipes.backbones import LEAST
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.supervised import linear_on

PAPER = "Ramsauer et al. 2021, arXiv:2008.02217"


def classified(
    encoder: Callable[[Shape], nn.Module], lr: float, batch: int, epochs: int, least: int, standardise: bool = True
) -> Recipe:
    """The skeleton of this file's recipes."""
    stage = Stage(
        rule=Backprop("adam", lr=lr, epochs=epochs),
        objective=lambda shape: CrossEntropy(),
        batches=Repeated(Shuffled(batch), least),
    )
    return Recipe(encoder=encoder, stages=(stage,), head=linear_on(encoder), standardise=standardise)


@recipe(entry="modern-hopfield", paper=PAPER, domains="vectors", needs="labels")
def hopfield(
    prototypes: int = 32,
    dim: int = 32,
    heads: int = 4,
    beta: float = 1.0,
    updates: int = 1,
    lr: float = 3e-3,
    batch: int = 32,
    epochs: int = 40,
    least: int = LEAST,
) -> Recipe:
    """semblance fit table.csv --label class --recipe hopfield    # small tables"""
    return classified(
        lambda shape: Prototypes(shape.item[0], prototypes, dim, heads, beta, updates), lr, batch, epochs, least
    )


@recipe(entry="modern-hopfield", paper=PAPER, domains="vectors", needs="labels")
def hopfield_bags(
    items: int = 8,
    hidden: int = 64,
    dim: int = 32,
    heads: int = 4,
    beta: float = 1.0,
    updates: int = 1,
    lr: float = 1e-3,
    batch: int = 32,
    epochs: int = 40,
    least: int = LEAST,
) -> Recipe:
    """semblance fit bags.npz --recipe hopfield-bags --set items=30    # a row is 30 instances, one after another"""
    return classified(
        lambda shape: Bags(shape.item[0], items, hidden, dim, heads, beta, updates), lr, batch, epochs, least
    )


@recipe(entry="modern-hopfield", paper=PAPER, domains="vectors", needs="labels")
def hopfield_motifs(
    items: int = 8,
    letters: int = 20,
    kernel: int = 5,
    hidden: int = 32,
    dim: int = 32,
    heads: int = 4,
    beta: float = 1.0,
    updates: int = 1,
    lr: float = 1e-3,
    batch: int = 32,
    epochs: int = 40,
    least: int = LEAST,
) -> Recipe:
    """semblance fit words.npz --recipe hopfield-motifs --set items=30    # letters as numbers from 0, 30 words a row"""
    return classified(
        lambda shape: MotifBags(shape.item[0], items, letters, kernel, hidden, dim, heads, beta, updates),
        lr,
        batch,
        epochs,
        least,
        standardise=False,
    )
