"""Masked pictures as recipes: a transformer sees a few patches, and a decoder that is dropped rebuilds the rest.

mae       one view, three quarters hidden
macrl     two views, hidden strongly and weakly, rebuilt and told apart from earlier ones
cropmae   a crop seen whole, a crop within it of which almost nothing is seen
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from semblance.data.dataset import Shape
from semblance.data.samplers import Repeated, Shuffled
from semblance.data.views import ByShape, Several, Views, default_views, two_crops
from semblance.encoders.vision.patches import Patches, patches_of
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.batch_and_queue import QueuedBeside
from semblance.objectives.branches import Copied
from semblance.objectives.codes import Queued
from semblance.objectives.masked_branches import Decoder, MaskedBranches
from semblance.objectives.projector import perceptron
from semblance.recipes.backbones import LEAST
from semblance.recipes.registry import Recipe, Stage, recipe


def gentle(item: tuple[int, ...]) -> Views:
    """Moved or cropped a little, colours as they are."""
    views = default_views(item)
    scale = None if views.scale is None else (0.6, 1.0)
    return replace(views, scale=scale, turn=views.turn / 3, shift=views.shift / 2, jitter=0.0, grey=0.0, blur=0.0)


def uncoloured(scale: tuple[float, float], flip: bool = True) -> Callable[[tuple[int, ...]], Views]:
    """Crops of this share of the picture, mirrored at times."""
    return lambda item: Views(scale=scale, flip=flip and item[0] == 3, jitter=0.0, grey=0.0)


POLICIES = ("global-to-local", "local-to-global", "random", "same")


def pairs_of_crops(policy: str) -> Several:
    """The reference and the crop that is to be rebuilt, by how they lie in the picture."""
    if policy not in POLICIES:
        raise unknown("policy of crops", policy, POLICIES)
    whole, part = ByShape(uncoloured((0.5, 1.0))), ByShape(uncoloured((0.3, 0.6), flip=False))
    if policy == "global-to-local":
        return Several((whole, part), nested=True)
    if policy == "local-to-global":
        return Several((whole, part), nested=True, turned=True)
    if policy == "same":
        return Several((whole, ByShape(as_it_is)), nested=True)
    return Several((whole, whole))


def as_it_is(item: tuple[int, ...]) -> Views:
    """Nothing changed."""
    return Views(scale=None, flip=False, jitter=0.0, grey=0.0)


def decoder_of(encoder: Patches, width: int, blocks: int, cross: bool = False) -> Decoder:
    """For the patches of this encoder."""
    return Decoder(encoder.dim, encoder.channels * encoder.patch**2, width, blocks, cross=cross)


def transformer_rule(lr: float, weight_decay: float, epochs: int) -> Backprop:
    """AdamW with a warm-up of a twentieth of the run, then a cosine."""
    return Backprop("adamw", lr=lr, weight_decay=weight_decay, warmup_epochs=max(1.0, epochs / 20), epochs=epochs)


@recipe(entry=None, paper="He et al. 2022, arXiv:2111.06377", domains="images")
def mae(
    patch: int = 0,
    width: int = 64,
    blocks: int = 4,
    heads: int = 4,
    ratio: float = 0.75,
    decoder: int = 48,
    normalised: bool = True,
    batch: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    epochs: int = 40,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe mae    # a quarter of the patches is seen, the rest rebuilt"""
    encoder = patches_of(patch, width=width, blocks=blocks, heads=heads)

    def objective(shape: Shape) -> MaskedBranches:
        made = decoder_of(encoder(shape), decoder, 2)
        return MaskedBranches((ratio,), decoder=made, normalised=normalised)

    rule = transformer_rule(lr, weight_decay, epochs)
    return Recipe(
        encoder=encoder,
        stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), ByShape(gentle, 1)),),
    )


@recipe(entry="macrl", paper="Yao et al. 2022, Masked Contrastive Representation Learning", domains="images")
def macrl(
    patch: int = 0,
    width: int = 64,
    blocks: int = 4,
    heads: int = 4,
    strong: float = 0.75,
    weak: float = 0.375,
    decoder: int = 48,
    dim: int = 256,
    contrast: float = 1.0,
    pixels: float = 1.0,
    temperature: float = 0.2,
    bank: int = 4096,
    momentum: float = 0.0,
    error: str = "l1",
    normalised: bool = True,
    batch: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    epochs: int = 20,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe macrl    # momentum 0: both branches share weights; 0.99: the second is a slow copy

    contrast 0 leaves a masked autoencoder of two views, strong 0, weak 0 and pixels 0 momentum contrast.
    """
    encoder = patches_of(patch, width=width, blocks=blocks, heads=heads)

    def project(shape: Shape) -> nn.Module:
        return perceptron((width, dim, dim, dim))

    def objective(shape: Shape) -> MaskedBranches:
        return MaskedBranches(
            (strong, weak),
            decoder=decoder_of(encoder(shape), decoder, 2) if pixels else None,
            projector=project(shape),
            contrast=contrast,
            pixels=pixels,
            bank=(Queued if momentum else QueuedBeside)(dim, bank, temperature),
            teacher=Copied(encoder(shape), project(shape), momentum) if momentum else None,
            error=error,
            normalised=normalised,
        )

    rule = transformer_rule(lr, weight_decay, epochs)
    views = Several((two_crops(1), ByShape(gentle, 1)))
    return Recipe(encoder=encoder, stages=(Stage(rule, objective, Repeated(Shuffled(batch), least), views),))


@recipe(entry="cropmae", paper="Eymael et al. 2024, arXiv:2403.17823", domains="images")
def cropmae(
    patch: int = 0,
    width: int = 64,
    blocks: int = 4,
    heads: int = 4,
    ratio: float = 0.985,
    decoder: int = 64,
    policy: str = "global-to-local",
    reference: bool = True,
    normalised: bool = True,
    batch: int = 32,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    epochs: int = 40,
    least: int = LEAST,
) -> Recipe:
    """semblance fit pictures/ --recipe cropmae    # reference=false: nothing but the visible patches to go by

    policy    global-to-local (a crop within the reference), local-to-global, random (any two crops), same
    """
    encoder = patches_of(patch, width=width, blocks=blocks, heads=heads)

    def objective(shape: Shape) -> MaskedBranches:
        made = decoder_of(encoder(shape), decoder, 2, cross=reference)
        return MaskedBranches((0.0, ratio), decoder=made, normalised=normalised)

    rule = transformer_rule(lr, weight_decay, epochs)
    stage = Stage(rule, objective, Repeated(Shuffled(batch), least), pairs_of_crops(policy))
    return Recipe(encoder=encoder, stages=(stage,))
