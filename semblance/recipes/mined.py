"""Recipes over batches put together by label: triples mined among them, or batches of labels that look alike.

facenet               a hinge on squared distances of directions, semi-hard negatives
global-proxy-mining   batches of labels whose proxies are near, any loss of embeddings and labels
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.alike import Alike
from semblance.data.dataset import Shape
from semblance.data.semi_hard import SemiHard
from semblance.errors import unknown
from semblance.learning.backprop import Backprop
from semblance.objectives.compatible import Compatible
from semblance.objectives.mined import Mined
from semblance.objectives.multi_similarity import MultiSimilarity
from semblance.objectives.proxies import Proxies
from semblance.objectives.triplets import hinge
from semblance.recipes.backbones import backbone_of, width_of
from semblance.recipes.registry import Recipe, Stage, recipe
from semblance.recipes.triplets import Crowds

MINING = ("semi-hard", "hardest", "random", "drawn", "all")
LOSSES = ("triplet", "multi-similarity")


def rule_of(mining: str, margin: float) -> SemiHard | OfMatrix:
    """FaceNet's semi-hard negatives, or another way to find a negative for every pair."""
    if mining not in MINING:
        raise unknown("mining", mining, MINING)
    if mining in ("hardest", "random"):
        return OfMatrix(mining, margin)
    return SemiHard({"semi-hard": "nearest"}.get(mining, mining), margin=margin, fallback=mining == "semi-hard")


class OfMatrix:
    """The rules that `mining.py` keeps for a matrix of distances, on embeddings."""

    def __init__(self, negatives: str, margin: float):
        from semblance.data.mining import Mining

        self.rule = Mining(negatives, margin=margin)

    def __call__(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z [N, d], labels [N] -> anchors, positives, negatives."""
        from semblance.objectives.kernels import squared_distances

        return self.rule(squared_distances(z, z), labels)


@recipe(entry="facenet", paper="Schroff et al. 2015, arXiv:1503.03832", domains="images", needs="labels")
def facenet(
    backbone: str = "small",
    width: int = 0,
    dim: int = 128,
    mining: str = "semi-hard",
    margin: float = 0.2,
    batch: int = 200,
    items: int = 10,
    steps: int = 80,
    lr: float = 1e-3,
    epochs: int = 4,
) -> Recipe:
    """semblance fit pictures/ --recipe facenet    # `steps` batches an epoch, `items` of each label in it

    mining    semi-hard; for comparison random, hardest, all within the margin, or drawn by distance
    """
    # Paper: batches of 1,800 with 40 of each identity, AdaGrad 0.05. Here 20 x 10 and Adam.
    stage = Stage(
        rule=Backprop("adam", lr=lr, schedule="constant", epochs=epochs),
        objective=lambda shape: Mined(rule_of(mining, margin), partial(hinge, margin=margin)),
        batches=Crowds(batch, items, steps),
    )
    return Recipe(encoder=backbone_of(backbone, width, dim=dim), stages=(stage,))


def compatible(old: nn.Module, new: nn.Module, margin: float = 0.2, steps: int = 80, epochs: int = 2) -> Recipe:
    """Two trained encoders of one kind: `new` learns to embed beside `old`. Its last layer, the map to `dim`, starts as the
    old one's and learns alone for a quarter of the epochs at least one, then everything does."""
    new = copy.deepcopy(new)
    new.project.load_state_dict(old.project.state_dict())  # type: ignore[union-attr]

    def learning(all_of_it: bool) -> Callable[[Shape], Compatible]:
        def objective(shape: Shape) -> Compatible:
            new.requires_grad_(all_of_it)
            new.project.requires_grad_(True)
            return Compatible(copy.deepcopy(old), Mined(rule_of("semi-hard", margin), partial(hinge, margin=margin)))

        return objective

    batches = Crowds(200, 10, steps)
    return Recipe(
        encoder=lambda shape: new,
        stages=tuple(
            Stage(Backprop("adam", lr=1e-3, schedule="constant", epochs=count), learning(whole), batches)
            for count, whole in ((max(1, epochs // 4), False), (epochs, True))
        ),
    )


class Reader:
    """What the batches ask for proxies, once there is an objective that has some."""

    def __init__(self) -> None:
        self.objective: Proxies | None = None

    def __call__(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels and vectors, or None."""
        return None if self.objective is None else self.objective.read()


class OfTriples(nn.Module):
    """The hinge over all triples of a batch, as a loss of embeddings; `counted` is the share of them that has one."""

    def __init__(self, margin: float):
        super().__init__()
        self.mined = Mined(OfMatrix("all", margin), partial(hinge, margin=margin))
        self.counted = 0.0

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """z [N, d], labels [N] -> the mean over the triples that have a loss."""
        gaps = self.mined.of(nn.functional.normalize(z, dim=1), batch["labels"])
        seen = gaps > 0
        self.counted = float(seen.float().mean())
        return gaps.sum() / seen.sum().clamp_min(1)


@recipe(entry="global-proxy-mining", paper="Ali-bey et al. 2022, arXiv:2302.14217", domains="images", needs="labels")
def global_proxy_mining(
    backbone: str = "small",
    width: int = 0,
    loss: str = "multi-similarity",
    margin: float = 0.1,
    proxy: int = 32,
    mined: bool = True,
    places: int = 16,
    items: int = 4,
    lr: float = 1e-3,
    epochs: int = 40,
) -> Recipe:
    """semblance fit pictures/ --recipe global-proxy-mining    # mined=false: labels meet in batches by chance

    loss      multi-similarity, or triplet with `margin`
    proxy     numbers of the short vector by which labels are found to look alike
    """
    if loss not in LOSSES:
        raise unknown("loss", loss, LOSSES)
    encoder, reader = backbone_of(backbone, width), Reader()

    def objective(shape: Shape) -> Proxies:
        made, copy = (MultiSimilarity() if loss == "multi-similarity" else OfTriples(margin) for _ in range(2))
        proxies = Proxies(made, shape.classes, width_of(encoder, shape), proxy, copy)
        reader.objective = proxies if mined else None
        return proxies

    rule = Backprop("adam", lr=lr, schedule="constant", epochs=epochs)
    stage = Stage(rule, objective, Alike(places, items, reader))
    return Recipe(encoder=encoder, stages=(stage,))
