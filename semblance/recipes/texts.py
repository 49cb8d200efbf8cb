"""Recipes of texts: one encoder reads every text; what differs is what a pair of them is to show.

sentence-bert    what somebody said of pairs: a score, a class; or triples by the texts' labels
simcse           the other view of the same text is nearest among the batch: texts without labels
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.judged import GivenPairs
from semblance.data.pieces import Cutting
from semblance.data.samplers import Repeated, Shuffled, Triples
from semblance.data.text_views import TextViews
from semblance.encoders.sequences.text import encoder_of
from semblance.errors import SemblanceError, unknown
from semblance.heads.match_text import PairSoftmax
from semblance.learning.backprop import Backprop
from semblance.objectives.contrast import Contrast
from semblance.objectives.judgements import Classes, Scores
from semblance.objectives.kernels import Cosine
from semblance.objectives.lift import on_views
from semblance.objectives.neighbours import other_view
from semblance.objectives.projector import perceptron
from semblance.objectives.triplets import Triplets, euclidean, gap_named
from semblance.recipes.registry import Recipe, Stage, recipe

OBJECTIVES = ("auto", "regression", "classification", "triplet")


class _ByData:
    """Batches of judged pairs where the data has some (or the objective asks for them), else triples by label."""

    def __init__(self, batch: int, triples: bool | None):
        self.batch, self.triples = batch, triples

    def bind(self, dataset: Any, rows: Any) -> Any:
        """The sampler for this data."""
        triples = getattr(dataset, "pairs", None) is None if self.triples is None else self.triples
        return Triples(3 * self.batch) if triples else GivenPairs(2 * self.batch).bind(dataset, rows)


@recipe(
    entry="sentence-bert",
    paper="Reimers & Gurevych 2019, arXiv:1908.10084",
    domains="text",
    needs="judgements",
)
def sentence_bert(
    objective: str = "auto",
    pooling: str = "weighted",
    combine: str = "u,v,|u-v|",
    dim: int = 128,
    blocks: int = 2,
    heads: int = 4,
    feedforward: int = 256,
    margin: float = 1.0,
    vocabulary: int = 8000,
    length: int = 128,
    tokenizer: str = "",
    batch: int = 64,
    lr: float = 1e-3,
    epochs: int = 5,
) -> Recipe:
    """semblance fit sts-benchmark --recipe sentence-bert

    objective   regression of the cosine on scores; classification of pairs by `combine` (some of u, v, |u-v|, u*v; or all);
                triplet: by the texts' labels, with this margin. auto: what the data has, in this order
    pooling     weighted: by how rare a piece is, then learned; mean (the paper's), max, first
    tokenizer   the path of a tokenizer.json; without one, `vocabulary` pieces are learned from the training texts
    length      in pieces: what is longer is not read
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    kept: dict[str, Any] = {
        "dim": dim,
        "blocks": blocks,
        "heads": heads,
        "feedforward": feedforward,
        "pooling": pooling,
    }

    def judged(shape: Shape) -> nn.Module:
        chosen = objective
        if chosen == "auto":
            pairs = "judged" in shape.facts
            chosen = ("classification" if shape.facts["judgements"] else "regression") if pairs else "triplet"
        if chosen == "triplet":
            return Triplets(gap_named("hinge", margin), euclidean)
        classes, scored = int(shape.facts.get("judgements", 0)), "lowest" in shape.facts
        if not (classes if chosen == "classification" else scored):
            other = "classes" if chosen == "classification" else "scores"
            raise SemblanceError(
                f"{chosen} learns from {other} of pairs, and the data has none: leave objective at auto"
            )
        if chosen == "regression":
            return Scores(shape.facts["lowest"], shape.facts["highest"])
        return Classes(PairSoftmax(dim, classes, combine))

    # The first tenth of an epoch warms up the rate, as the paper's first tenth of its one epoch does.
    rule = Backprop("adam", lr=lr, epochs=epochs, schedule="constant", warmup_epochs=0.1)
    triples = None if objective == "auto" else objective == "triplet"
    return Recipe(
        encoder=partial(encoder_of, **kept),
        stages=(Stage(rule, judged, _ByData(batch, triples)),),
        cutting=Cutting(vocabulary, length, tokenizer),
    )


@recipe(entry=None, paper="Gao et al. 2021, arXiv:2104.08821", domains="text")
def simcse(
    pooling: str = "weighted",
    dim: int = 128,
    blocks: int = 2,
    heads: int = 4,
    feedforward: int = 256,
    temperature: float = 0.05,
    drop: float = 0.1,
    cut: float = 0.2,
    vocabulary: int = 8000,
    length: int = 128,
    tokenizer: str = "",
    batch: int = 64,
    lr: float = 1e-3,
    epochs: int = 5,
    least: int = 1024,
) -> Recipe:
    """semblance fit sentences.csv --recipe simcse

    Views leave words out (`drop`) and a stretch of the text (`cut`), instead of the paper's two draws of dropout, which a
    small encoder of its own words has no use for. The other settings are those of sentence-bert.
    """
    kept: dict[str, Any] = {
        "dim": dim,
        "blocks": blocks,
        "heads": heads,
        "feedforward": feedforward,
        "pooling": pooling,
    }

    def objective(shape: Shape) -> nn.Module:
        return on_views(Contrast(other_view, Cosine(temperature)), perceptron([dim, dim, dim]))

    rule = Backprop("adam", lr=lr, epochs=epochs)
    stage = Stage(rule, objective, Repeated(Shuffled(batch), least), TextViews(2, drop, cut))
    return Recipe(encoder=partial(encoder_of, **kept), stages=(stage,), cutting=Cutting(vocabulary, length, tokenizer))
