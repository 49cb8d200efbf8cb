"""Pretext: change the input, and predict from the changed input what was done to it.

    loss = 1/M sum over changed items m, sum over factors t of CE(head_t(f(change(x_m))), target_mt)

What varies is the change, a callable `x [N, ...] -> changed [M, ...], target [M, T]` with `factors`, the number of answers
of each of its T targets (one: a softmax; several: a factorised softmax). The head is dropped after training.

    Acted    an element of a group acts on the input; predict which       RotNet: Gidaris et al. 2018, arXiv:1803.07728

The paper reads the trained net at every block: `pooled_blocks` for probes, `attention` for pictures. Its other measures
stand where they serve any net: the three-layer probe and the label curve in analysis/, the filters in app/pictures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.geometry.groups import Group, act_each, orbit


class Change(Protocol):
    """A change of the input that can be asked about."""

    @property
    def factors(self) -> tuple[int, ...]: ...

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


class Acted:
    """A group element acts on each item; the target is which of `elements` it was.

    every: all elements act on every item, so a batch of N becomes one of K * N; otherwise each item gets one of them, K
    times cheaper. `elements` need not be a subgroup: 90 and 270 degrees are a task, too.
    """

    def __init__(self, group: Group, elements: Sequence[int] | None = None, every: bool = True):
        self.group, self.every = group, every
        self.elements = tuple(range(group.order) if elements is None else elements)
        if len(self.elements) < 2 or not all(0 <= g < group.order for g in self.elements):
            raise SemblanceError(
                f"elements are {self.elements}: give two or more, numbered 0 to {group.order - 1}, to tell apart"
            )

    @property
    def factors(self) -> tuple[int, ...]:
        """One question with an answer per element."""
        return (len(self.elements),)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, ...] -> changed [K * N, ...] (element after element) or [N, ...], target [M, 1]."""
        count = len(self.elements)
        if self.every:
            target = torch.arange(count, device=x.device).repeat_interleave(len(x))
            return orbit(self.group, x, self.elements), target[:, None]
        # Drawn where dropout draws: from torch's generator, which the loop sets anew at every step.
        target = torch.randint(count, (len(x),)).to(x.device)
        return act_each(self.group, torch.tensor(self.elements, device=x.device)[target], x), target[:, None]


class Pretext(nn.Module):
    """Cross-entropy of a side head that names the change. `head` maps the embedding [M, d] to [M, sum of factors]."""

    needs: frozenset[str] = frozenset()

    def __init__(self, change: Change, head: nn.Module):
        super().__init__()
        self.change, self.head = change, head

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, ...] -> scalar, {loss, accuracy: mean over factors}."""
        return self.score(model, *self.change(batch["x"]))

    def score(self, model: Encoder, changed: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
        """[M, ...], [M, T] -> scalar, metrics."""
        answers = self.answers(model, changed)
        losses = [F.cross_entropy(logits, target[:, t]) for t, logits in enumerate(answers)]
        with torch.no_grad():
            right = [(logits.argmax(1) == target[:, t]).float().mean() for t, logits in enumerate(answers)]
        loss = torch.stack(losses).sum()
        return loss, {"loss": float(loss.detach()), "accuracy": float(torch.stack(right).mean())}

    def answers(self, model: Encoder, changed: Tensor) -> tuple[Tensor, ...]:
        """[M, ...] -> logits of each factor, [M, K_t]."""
        logits = self.head(model.embed({"x": changed}))
        logits = logits.float() if logits.dtype == torch.bfloat16 else logits
        return logits.split(self.change.factors, dim=1)


def pooled_blocks(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps of all blocks, [N, C, H, W] each -> their means over places, [N, C] each."""
    return [block.mean((2, 3)) for block in maps]


def attention(maps: Tensor, power: float = 2.0) -> Tensor:
    """[N, C, H, W] -> [N, H, W] in 0..1: |feature|^power summed over channels, each image's largest value 1."""
    summed = maps.abs().pow(power).sum(1)
    return summed / summed.amax((1, 2), keepdim=True).clamp_min(torch.finfo(summed.dtype).tiny)
