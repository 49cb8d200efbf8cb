"""Combined: several pretexts on one trunk, each with a head of its own.

    loss = sum over tasks t of weight_t loss_t / level_t [+ strength sum |a|],    or one task's after the other's

The gradient of the sum is the sum of gradients, so the trunk moves once for all. What varies:

    level       the task's loss at its first step, so that a task counts as much whether its loss is in nats of a hundred
                answers or in squares of small numbers (not `balanced`: 1)
    how         summed: every step asks all tasks of its batch; alternating: one task a step, in turn
    harmonised  none; grey: all tasks see grey pictures; dropped: all see one channel, the others being noise. Otherwise the
                trunk can tell by the colours which task it serves, and serve each apart
    lasso       where the encoder mixes its blocks by task (encoders/vision/units.py), the strength of an L1 penalty on the
                weights a. One whose sign a step has changed stops at 0, and leaves it only where the task outdoes the
                penalty, so that zeros are zeros under any optimiser, momentum or not

What a task sees of a batch is the row's `sees`: the item almost as it is, a strong view, or two of these.

Doersch & Zisserman 2017, arXiv:1708.07860; the lasso's way is that of Andrew & Gao 2007."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.objectives.pretexts.colours import Shown

HOW = ("summed", "alternating")
HARMONISED = ("none", "grey", "dropped")
SEES = ("plain", "strong", "pair")


class OfTask:
    """An encoder as one task reads it: harmonised pictures, its own mixture of blocks. An `Encoder` by its methods."""

    def __init__(self, model: Any, row: int, combined: Combined):
        self.model, self.combined = model, combined
        self.inner = getattr(model, "encoder", model)
        self.dim, self.geometry = self.inner.dim, self.inner.geometry
        # One tensor a step, so that its gradient comes once, however often the task reads.
        self.share = self.inner.share[row] if combined.mixes else None
        if combined.lasso and self.share is not None and self.share.requires_grad:
            self.share.register_hook(lambda g: combined.pulled(row, g))

    def __call__(self, batch: Batch) -> Any:
        return self.forward(batch)

    def forward(self, batch: Batch) -> Any:
        """What the encoder gives; of mixed blocks the task's mixture, as the only map."""
        batch = {**batch, "x": self.combined.harmonise(batch["x"])}
        return self.inner(batch) if self.share is None else [self.inner.read(batch, self.share)]

    def embed(self, batch: Batch) -> Tensor:
        """[N, d]"""
        if self.share is not None:
            mixed: Tensor = self.forward(batch)[-1]
            return mixed.mean((2, 3))
        z: Tensor = self.model.embed({**batch, "x": self.combined.harmonise(batch["x"])})
        return z


def penalised(g: Tensor, a: Tensor, strength: float) -> Tensor:
    """The gradient g of a loss by weights a -> that of loss + strength |a|, the smallest one where a is 0."""
    at_zero = g.sign() * (g.abs() - strength).relu()
    return torch.where(a == 0, at_zero, g + strength * a.sign())


class Combined(nn.Module):
    """`tasks`: name -> objective; `sees`: name -> plain, strong or pair; `views` of a batch are then the plain one and
    up to two strong ones. `mixes`: whether the encoder is one of mixed blocks."""

    turn: Tensor
    level: Tensor  # [T], 0 before a task's first step

    def __init__(
        self,
        tasks: Mapping[str, nn.Module],
        sees: Mapping[str, str],
        *,
        shown: Shown | None = None,
        weights: Mapping[str, float] | None = None,
        how: str = "summed",
        balanced: bool = False,
        harmonised: str = "none",
        mixes: bool = False,
        lasso: float = 0.0,
    ):
        super().__init__()
        for what, given, known in (("way of combining", how, HOW), ("harmonisation", harmonised, HARMONISED)):
            if given not in known:
                raise unknown(what, given, known)
        if harmonised != "none" and shown is None:
            raise SemblanceError(f"harmonised is {harmonised!r}, which needs to know the data's colours: give shown=")
        if lasso < 0 or (lasso and not mixes):
            raise SemblanceError(f"lasso is {lasso}: give 0 or more, and above 0 an encoder that mixes its blocks")
        self.tasks, self.sees, self.shown = nn.ModuleDict(tasks), dict(sees), shown
        self.weights = dict.fromkeys(tasks, 1.0) | dict(weights or {})
        self.how, self.harmonised, self.mixes, self.lasso = how, harmonised, mixes, lasso
        self.needs: frozenset[str] = frozenset({"views"} if any(s != "plain" for s in self.sees.values()) else ())
        self.register_buffer("level", torch.zeros(len(tasks)) if balanced else torch.ones(len(tasks)))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))
        self._before: Tensor | None = None  # the weights before the step, and which of them are to stay at 0
        self._resting: Tensor | None = None

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, and what each task tells under its name}."""
        names = list(self.tasks)
        asked = names if self.how == "summed" else [names[int(self.turn) % len(names)]]
        told: Metrics = {}
        losses = []
        for name in asked:
            loss, metrics = self.tasks[name](self.reader(model, name), self.given(batch, name))
            losses.append(self.weighed(name, loss))
            told |= {f"{name} {key}" if len(names) > 1 else key: value for key, value in metrics.items()}
        loss = torch.stack(losses).sum()
        if self.lasso:
            share = self.share(model).detach()
            # Its gradient is added where each task reads its row (`penalised`).
            loss = loss + self.lasso * share.abs().sum()
            self._before, self._resting = share.clone(), torch.zeros_like(share, dtype=torch.bool)
        return loss, {**told, "loss": float(loss.detach())}

    def weighed(self, name: str, loss: Tensor) -> Tensor:
        """A task's loss as it counts."""
        number = list(self.tasks).index(name)
        if float(self.level[number]) == 0:
            self.level[number] = max(float(loss.detach()), 1e-6)
        return loss * (self.weights[name] / float(self.level[number]))

    def pulled(self, row: int, g: Tensor) -> Tensor:
        """The gradient of a task by its weights -> with the penalty's."""
        assert self._before is not None
        assert self._resting is not None
        found = penalised(g, self._before[row], self.lasso)
        self._resting[row] = (self._before[row] == 0) & (found == 0)
        return found

    def reader(self, model: Encoder, name: str) -> Any:
        """The model as this task meets it."""
        if not self.mixes and self.harmonised == "none":
            return model
        return OfTask(model, list(self.tasks).index(name), self)

    def given(self, batch: Batch, name: str) -> Batch:
        """The batch as this task sees it."""
        if self.sees[name] == "plain":
            return batch
        strong = batch["views"][1:]
        return {**batch, "x": strong[0]["x"], "views": strong}

    def harmonise(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> what the trunk sees."""
        if self.harmonised == "none" or x.shape[1] != 3:
            return x
        if self.harmonised == "grey":
            assert self.shown is not None
            return self.shown.grey(x)
        kept = torch.randint(3, (len(x),)).to(x.device)[:, None] == torch.arange(3, device=x.device)
        return torch.where(kept[..., None, None], x, 0.1 * torch.randn(x.shape).to(x))

    @staticmethod
    def share(model: Any) -> Tensor:
        """a [tasks, blocks] of the encoder."""
        held: Tensor = getattr(model, "encoder", model).share
        return held

    @torch.no_grad()
    def after_step(self, model: nn.Module, batch: Batch) -> None:
        """What tasks do after a step; weights that crossed 0 stay there."""
        names = list(self.tasks)
        for number, name in enumerate(names):
            after = getattr(self.tasks[name], "after_step", None)
            if after is not None and (self.how == "summed" or int(self.turn) % len(names) == number):
                after(model, self.given(batch, name))
        if self.lasso and self._before is not None and self._resting is not None:
            share = self.share(model)
            share[(share * self._before < 0) | self._resting] = 0.0
        self.turn += 1

    def due(self, epoch: int) -> bool:
        """Whether some task is to see all items before this epoch (see learning/survey.py)."""
        return any(task.due(epoch) for task in self._reviewing())

    def review(self, network: Encoder, batches: Iterable[Batch], epoch: int, generator: torch.Generator) -> None:
        """All items, shown to those tasks that are due."""
        for task in self._reviewing():
            if task.due(epoch):
                task.review(network, batches, epoch, generator)

    def _reviewing(self) -> list[Any]:
        return [task for task in self.tasks.values() if hasattr(task, "review")]
