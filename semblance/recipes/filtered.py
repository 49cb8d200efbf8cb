"""Recipes that choose what to learn from: a filter learns from clean pairs and scores the pool, whose best is learned from.

data-filtering-network    both are CLIP's two encoders; `semblance data filter` does the same in steps one can look at
"""

from __future__ import annotations

from semblance.data.curation.weighing import Shown
from semblance.data.dataset import Shape
from semblance.data.pieces import Cutting
from semblance.data.views import ByShape
from semblance.learning.filtered import Filtered
from semblance.objectives.captions import Across, across
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.captions import framed_anew, pairs_of, rule_of
from semblance.recipes.registry import Recipe, Stage, recipe


@recipe(entry="data-filtering-network", paper="Fang et al. 2023, arXiv:2309.17425", domains="images", needs="captions")
def data_filtering_network(
    clean: str = "",
    top: float = 0.2,
    filters: int = 1,
    filter_width: int = 0,
    filter_epochs: int = 10,
    backbone: str = "small",
    width: int = 0,
    dim: int = 64,
    text_width: int = 64,
    temperature: float = 0.07,
    vocabulary: int = 8000,
    length: int = 64,
    augment: bool = True,
    batch: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit pool/ --recipe data-filtering-network --set clean=checked    # captions.csv with a column checked

    clean    the column of true and false that marks the pairs the filter learns from; without it, it learns from all
    top      the share of the pool that is kept
    least    pairs shown an epoch, whatever the size of what is kept
    """

    def objective(shape: Shape) -> Across:
        return across(temperature)

    encoder = pairs_of(backbone_of(backbone, width), dim, text_width, 2, 4, 2 * text_width)
    judge = pairs_of(backbone_of(backbone, filter_width or width), dim, text_width, 2, 4, 2 * text_width)
    rule = Filtered(
        judge,
        objective,
        rule_of(lr, weight_decay, filter_epochs),
        rule_of(lr, weight_decay, epochs),
        clean=clean,
        top=top,
        filters=filters,
    )
    views = ByShape(framed_anew, count=1) if augment else None
    return Recipe(
        encoder=encoder,
        stages=(Stage(rule, objective, Shown(batch, least), views),),
        captions=Cutting(vocabulary, length),
    )
