"""Teachers: views ask, and other networks' answers to other views are the targets. Branches whose two sides differ.

    loss = sum over teachers k of mean over (asking view i, answered view j) of D(h(g(f(view i))), stop(teacher_k(view j)))

f is the encoder, g the projector, h the predictor, as in `branches.py`, which holds what all sides share. What varies:

    teachers    none: the net's own projections are the targets; `Copied`, any number of them with their own momenta m
    rising      m goes from its first value to 1 as the run's progress t goes from 0 to 1: 1 - (1 - m) (1 + cos(pi t)) / 2
    answered    how many views, the first ones, the teachers see; the rest (small crops) only ask
    rotated     teacher k answers view i with view i + 1 + k, instead of every teacher with every other view
    asking      all views, or the first alone
    compare     D: `unit_squares` (BYOL), `codes.Balanced` (SwAV), `codes.Centred` (DINO), `codes.Queued` (MoCo)

    byol      one copy, two views, unit_squares                       Grill et al. 2020, arXiv:2006.07733
    tribyol   two copies, three views, rotated                        Li et al. 2022, arXiv:2206.03012
    moco      one copy, one asking view, a queue of targets           He et al. 2020, arXiv:1911.05722
    swav      no copy, balanced codes, small crops that ask           Caron et al. 2020, arXiv:2006.09882
    dino      one copy, centred codes, small crops that ask           Caron et al. 2021, arXiv:2104.14294
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import Compare, Copied, negative_cosine, precise, spread_of


def unit_squares(p: Tensor, target: Tensor) -> Tensor:
    """[N, d], [N, d] -> scalar, the mean of |p/|p| - target/|target||^2 = 2 - 2 cos."""
    return 2 + 2 * negative_cosine(p, target)


def risen(momentum: float, progress: float) -> float:
    """What is left of 1 - momentum after this share of the run, taken from 1: a copy that stands still at the end."""
    return 1 - (1 - momentum) * (1 + math.cos(math.pi * progress)) / 2


class Teachers(nn.Module):
    """Projector, predictor and teachers are dropped after training."""

    needs = frozenset({"views"})

    def __init__(
        self,
        projector: nn.Module | None = None,
        predictor: nn.Module | None = None,
        teachers: Sequence[Copied] = (),
        *,
        compare: Compare = unit_squares,
        answered: int | None = None,
        rotated: bool = False,
        symmetric: bool = True,
        rising: bool = False,
    ):
        super().__init__()
        self.projector = nn.Identity() if projector is None else projector
        self.predictor = nn.Identity() if predictor is None else predictor
        self.teachers = nn.ModuleList(teachers)
        if answered is not None and answered < 1:
            raise SemblanceError(f"answered is {answered}, but somebody has to answer: give 1 view or more")
        if rotated and (answered is not None or not teachers):
            raise SemblanceError("teachers that take turns answer every view: give one or more, and leave answered out")
        self.compare, self.answered, self.rotated, self.symmetric = compare, answered, rotated, symmetric
        self.rising, self._first = rising, [teacher.momentum for teacher in teachers]
        self._targets: list[Tensor] = []

    def advance(self, progress: float) -> None:
        """Copies follow the more slowly the further the run is, where momenta are `rising`."""
        if self.rising:
            for teacher, momentum in zip(self.teachers, self._first, strict=True):
                teacher.momentum = risen(momentum, progress)  # type: ignore[assignment]

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: V batches of the same N items -> scalar, {loss, std, rank} (see `spread_of`)."""
        views = batch["views"]
        if len(views) < 2:
            raise SemblanceError(f"each item has {len(views)} view, and views are compared with others: draw 2 or more")
        z = [precise(self.projector(model.embed(view))) for view in views]  # V of [N, d]
        seen = views if self.answered is None else views[: self.answered]
        online = self._online(model)
        if self.teachers:
            answers = [teacher(online, z, {**batch, "views": seen}) for teacher in self.teachers]
        else:
            answers = [[target.detach() for target in z[: len(seen)]]]
        asking = range(len(views)) if self.symmetric else [0]
        terms: list[Tensor] = []
        for k, targets in enumerate(answers):
            pairs = [(i, j) for i in asking for j in self._answering(i, k, len(views), len(targets))]
            p = {i: precise(self.predictor(z[i])) for i, _ in pairs}
            terms.append(torch.stack([self.compare(p[i], targets[j]) for i, j in pairs]).mean())
        self._targets = [target.detach() for targets in answers for target in targets]
        loss = torch.stack(terms).sum()
        return loss, {"loss": float(loss.detach()), **spread_of(z[0].detach())}

    def _answering(self, i: int, k: int, views: int, answered: int) -> list[int]:
        """The views with which teacher k answers view i."""
        if self.rotated:
            return [(i + 1 + k % (views - 1)) % views]
        return [j for j in range(answered) if j != i]

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """Let the teachers follow, and the comparison take note of the targets."""
        online = self._online(model)
        for teacher in self.teachers:
            teacher.after_step(online, [], batch)  # type: ignore[operator]
        settle = getattr(self.compare, "after_step", None)
        if settle is not None:
            settle(self._targets)
        self._targets = []

    def _online(self, model: Encoder) -> nn.ModuleList:
        encoder: Any = getattr(model, "encoder", model)
        return nn.ModuleList([encoder, self.projector])
