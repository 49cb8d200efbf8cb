"""Recipes that learn from what is written of pictures: what differs is what becomes of the text.

clip      a second encoder reads it; a picture is to find its caption among those of the batch, and the other way round
catlip    the concepts that it names are classes; no text encoder, no comparison of items
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from semblance.data.concepts import Concepts
from semblance.data.dataset import Shape
from semblance.data.pieces import Cutting
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Views
from semblance.encoders.paired import Paired
from semblance.encoders.sequences.text import TextEncoder
from semblance.learning.backprop import Backprop
from semblance.objectives.captions import across, concepts
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.supervised import linear_on


def framed_anew(item: tuple[int, ...]) -> Views:
    """One view: shifted by up to an eighth of the side. Nothing is mirrored or recoloured, since captions speak of left
    and right and of colours."""
    return Views(count=1, scale=None, flip=False, shift=min(item[1:]) / 8, jitter=0.0, grey=0.0, border="edge")


def pairs_of(
    encoder: Callable[[Shape], nn.Module], dim: int, text_width: int, blocks: int, heads: int, feedforward: int
) -> Callable[[Shape], Paired]:
    """An encoder of items and one of captions, as a lazy part."""

    def build(shape: Shape) -> Paired:
        words = TextEncoder(
            int(shape.facts["captions"]), text_width, blocks, heads, feedforward, pooling="mean", gate=None
        )
        return Paired(encoder(shape), words, dim)

    return build


def rule_of(lr: float, weight_decay: float, epochs: int) -> Backprop:
    """AdamW, cosine, no decay on biases and norms."""
    return Backprop("adamw", lr=lr, weight_decay=weight_decay, decay_vectors=False, epochs=epochs)


@recipe(entry=None, paper="Radford et al. 2021, arXiv:2103.00020", domains="images", needs="captions")
def clip(
    backbone: str = "small",
    width: int = 0,
    dim: int = 64,
    text_width: int = 64,
    blocks: int = 2,
    heads: int = 4,
    feedforward: int = 128,
    temperature: float = 0.07,
    vocabulary: int = 8000,
    length: int = 64,
    tokenizer: str = "",
    augment: bool = True,
    batch: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit photos/ --recipe clip    # photos/captions.csv: file_name, caption; then search SPACE --text "..." """
    stage = Stage(
        rule_of(lr, weight_decay, epochs),
        lambda shape: across(temperature),
        Repeated(Shuffled(batch), least),
        ByShape(framed_anew, count=1) if augment else None,
    )
    return Recipe(
        encoder=pairs_of(backbone_of(backbone, width), dim, text_width, blocks, heads, feedforward),
        stages=(stage,),
        captions=Cutting(vocabulary, length, tokenizer),
    )


@recipe(entry="catlip", paper="Mehta et al. 2024, arXiv:2404.15653", domains="images", needs="captions")
def catlip(
    backbone: str = "small",
    width: int = 0,
    loss: str = "each",
    smoothing: float = 0.0,
    seen: int = 0,
    lexicon: str = "",
    augment: bool = True,
    batch: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit photos/ --recipe catlip    # photos/captions.csv: file_name, caption

    loss      each: binary cross-entropy of every concept; shared: a softmax, its targets divided by their number
    seen      a concept is kept that so many captions name (0: 50, or a hundredth of fewer than 5,000 captions)
    lexicon   the path of a table of words and the concepts they stand for
    """
    encoder = backbone_of(backbone, width)
    stage = Stage(
        rule_of(lr, weight_decay, epochs),
        lambda shape: concepts(loss, smoothing),
        Repeated(Shuffled(batch), least),
        ByShape(framed_anew, count=1) if augment else None,
    )
    return Recipe(encoder=encoder, stages=(stage,), head=linear_on(encoder), captions=Concepts(seen, lexicon))
