"""Recipes of space translation: spaces that can be compared from the start, and translation without pairs made runnable.

relative    an encoder that learns with relative codes: fits of several seeds answer in one space
vec2vec     a report: what the loss of unpaired translation says of the true map, of none, and of a learned one
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop
from semblance.learning.parts import chance
from semblance.memory.anchored import Anchored, Anchoring
from semblance.memory.unpaired import Plan, apart, learn_unpaired, preservation
from semblance.recipes.backbones import LEAST, backbone_of
from semblance.recipes.registry import Recipe, recipe
from semblance.recipes.supervised import classified
from semblance.recipes.theory import no_encoder
from semblance.reports import TableReport


@recipe(
    entry="relative-representations",
    paper="Moschella et al. 2023, arXiv:2209.15430",
    domains="images",
    needs="labels",
)
def relative(
    backbone: str = "small",
    width: int = 0,
    anchors: int = 300,
    similarity: str = "cosine",
    centred: bool = False,
    draw: int = 0,
    batch: int = 128,
    lr: float = 1e-3,
    augment: bool = True,
    least: int = LEAST,
    epochs: int = 20,
) -> Recipe:
    """semblance fit digits --recipe relative    # spaces of several --seed answer in the same coordinates

    anchors      training items that codes are relative to (all, where there are fewer);  draw   the seed that draws them
    similarity   cosine, inner or closeness;  centred   take off the anchors' mean first
    """
    if anchors < 1:
        raise SemblanceError(f"there are {anchors} anchors: give 1 or more (300, or as many as the encoder is wide)")
    inner = backbone_of(backbone, width)

    def encoder(shape: Shape) -> Anchored:
        return Anchored(inner(shape), min(anchors, shape.units), shape.item, similarity, centred)

    made = classified(encoder, Backprop("adam", lr=lr, epochs=epochs), batch, augment, 0.0, least)
    (stage,) = made.stages
    return replace(made, stages=(replace(stage, rule=Anchoring(stage.rule, draw)),))


@recipe(entry="vec2vec", paper="Jha et al. 2025, arXiv:2505.12540", domains=(), makes="report")
def vec2vec(dim: int = 8, steps: int = 20, seed: int = 0) -> Recipe:
    """semblance reproduce vec2vec    # two spaces, no pairs: sb.align(a, b, method="vec2vec") for your own"""
    return Recipe(encoder=no_encoder("vec2vec"), makes="report", report=lambda: what_the_loss_says(dim, steps, seed))


def what_the_loss_says(dim: int, steps: int, seed: int) -> TableReport:
    """Clustered directions, and other ones of the same clusters turned by an orthogonal map: how well the true map, the
    identity and a translator that learned for some steps keep the cosines, and how near they come to the true vectors."""
    rng = chance(seed)
    centres = rng.normal(size=(5, dim))
    shares = np.arange(1, 6) / 15
    drawn = [centres[rng.choice(5, 600, p=shares)] + 0.3 * rng.normal(size=(600, dim)) for _ in range(2)]
    x, other = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in drawn)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    found, _ = learn_unpaired(
        x, other @ turn, Plan(width=32, hidden=32, backbone=1, steps=steps, batch=64), seeds=[seed]
    )
    some = torch.as_tensor(x[:200], dtype=torch.float32)[None]
    true = torch.as_tensor(x[:200] @ turn, dtype=torch.float32)[None]
    with torch.no_grad():
        answers = {"true map": true, "identity": some, f"{steps} steps": found[0](some[0], 0)[None]}
    rows = [
        {
            "map": name,
            "preservation": float(preservation(some, answer)),
            "distance": float(apart(answer, true)),
            "cosine": float((answer * true).sum(2).mean()),
        }
        for name, answer in answers.items()
    ]
    verdict = (
        f"without a pair, the cosines that the true map changes are 0 ({rows[0]['preservation']:.0e} by rounding); {steps} "
        f"steps give vectors of cosine {rows[2]['cosine']:.2f} with the true ones, no translation {rows[1]['cosine']:.2f}"
    )
    return TableReport("translation without pairs", verdict, tuple(rows), "map", ("preservation", "cosine"))
