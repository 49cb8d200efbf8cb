"""Refined graphs: nodes are classified on a graph that was mended first, by embeddings learned without labels.

stable    edges between unlike nodes go, edges to like ones come, neighbours of high degree count more
"""

from __future__ import annotations

from semblance.data.dataset import Shape
from semblance.data.relational import Whole
from semblance.encoders.graphs.inputs import width_of_features
from semblance.encoders.graphs.robust import Reader, Robust
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.summaries import Summaries
from semblance.recipes.graph_networks import adam, answer, error
from semblance.recipes.registry import Recipe, Stage, recipe

EMBEDDINGS = ("contrast", "features")


@recipe(entry="stable-structure-refinement", paper="Li et al. 2022, arXiv:2207.00012", domains="graph", needs="labels")
def stable(
    embeddings: str = "contrast",
    least: float = 0.03,
    recover: float = 0.2,
    width: int = 512,
    contrast_epochs: int = 200,
    contrast_patience: int = 20,
    threshold: float = 0.1,
    k: int = 5,
    degree: int = 2,
    power: float = 0.5,
    hidden: int = 16,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
    patience: int = 0,
) -> Recipe:
    """semblance fit cora --recipe stable

    embeddings   by which the graph is refined: contrast, or the features themselves
    least        Jaccard similarity below which the contrast does without an edge; recover: the share a view has back
    threshold    cosine up to which an edge is dropped; k edges a node are added to like nodes of more than `degree` edges
    power        of the product of degrees, the weight of an edge
    """
    if embeddings not in EMBEDDINGS:
        raise unknown("embeddings", embeddings, EMBEDDINGS)
    contrast = embeddings == "contrast"

    def encoder(shape: Shape) -> Robust:
        inputs = width_of_features(shape)
        reader = Reader(inputs, width, least) if contrast else None
        return Robust(inputs, reader, hidden, threshold, k, degree, power, dropout)

    rule = Backprop(
        "adam", lr=1e-3, schedule="constant", epochs=contrast_epochs, best="loss", patience=contrast_patience
    )
    learned = [Stage(rule, lambda shape: Summaries(width, recover), Whole())] if contrast else []
    stages = (*learned, Stage(adam(lr, weight_decay, epochs, patience), error, Whole()))
    # Words as they are: rows that sum to 1 are some twenty times smaller, and the contrast learns as much more slowly.
    return Recipe(encoder, stages, answer(encoder), standardise=False, memory="data")
