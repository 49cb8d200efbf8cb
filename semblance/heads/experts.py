"""Experts: a weak one answers where it is confident, and leaves the rest to a stronger one.

    w_1 = C(p_1),   w_2 = (1 - C(p_1)) C(p_2),   ...,   the last gets what is left
    C = G(D(p)),    D: variance (K |p|^2 - 1) / (K - 1), or 1 - entropy / log K;  both 0 for an even p, 1 for a sure one

G is a power, or a small network on both dispersions. Two experts are Mowst's; more make a cascade. What is answered is the
mixture sum_m w_m p_m, or, drawn, what experts picked with chance w answer on the mean over draws. Reference: Zeng et al.
2024, arXiv:2311.05185.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.heads.classify import named

DISPERSIONS = ("variance", "entropy", "learned")
ANSWERS = ("mixture", "drawn")


class Confidence(nn.Module):
    """Logits [n, K] -> [n] in 0..1. dispersion: variance or entropy, to the `power`; or learned from both."""

    def __init__(self, dispersion: str = "variance", power: float = 1.0, hidden: int = 16):
        super().__init__()
        if dispersion not in DISPERSIONS:
            raise unknown("dispersion", dispersion, DISPERSIONS)
        if power <= 0:
            raise SemblanceError(f"power is {power}, but confidence grows with dispersion: give a positive number")
        self.dispersion, self.power = dispersion, power
        learned = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.learned = learned if dispersion == "learned" else None

    def forward(self, logits: Tensor) -> Tensor:
        """[n, K] -> [n]."""
        p, classes = logits.softmax(1), logits.shape[1]
        # The bounds hold exactly; rounding must not take a root or power of what is just below 0.
        variance = ((classes * p.square().sum(1) - 1) / max(classes - 1, 1)).clamp(0, 1)
        if self.dispersion == "variance":
            return variance**self.power
        entropy = -(p * logits.log_softmax(1)).sum(1)
        sure = (1 - entropy / max(math.log(classes), 1e-12)).clamp(0, 1)
        if self.learned is None:
            return sure**self.power
        found: Tensor = self.learned(torch.stack([variance, sure], 1))
        return found[:, 0].sigmoid()


class Mixed(nn.Module):
    """A head for every expert, a confidence for all but the last."""

    reads = "representation"

    def __init__(
        self,
        heads: Sequence[nn.Module],
        confidences: Sequence[nn.Module],
        answer: str = "mixture",
        names: Sequence[str] = (),
    ):
        super().__init__()
        if len(confidences) != len(heads) - 1:
            raise SemblanceError(f"{len(heads)} experts have {len(heads) - 1} confidences, and not {len(confidences)}")
        if answer not in ANSWERS:
            raise unknown("answer of experts", answer, ANSWERS)
        self.heads, self.confidences = nn.ModuleList(heads), nn.ModuleList(confidences)
        self.answer, self.names = answer, tuple(names)

    def told(self, states: Sequence[Tensor], batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Each expert's logits [n, K], and how much it counts for every unit, [n, experts], rows summing to 1."""
        every = []
        for head, held in zip(self.heads, states, strict=True):
            if getattr(head, "reads", "embedding") == "representation":
                every.append(head(held, batch))
            else:
                every.append(head(held[batch["nodes"]] if "nodes" in batch else held, batch))
        left, shares = torch.ones_like(every[0][:, 0]), []
        for logits, confidence in zip(every, self.confidences, strict=False):
            share = left * confidence(logits)
            shares.append(share)
            left = left - share
        return every, torch.stack([*shares, left], 1)

    def forward(self, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """-> [n, K], logarithms of what is answered: their softmax is it again."""
        every, weight = self.told(states, batch)
        answers = [logits.softmax(1) for logits in every]
        if self.answer == "drawn":
            answers = [F.one_hot(p.argmax(1), p.shape[1]).to(p) for p in answers]
        mixed = torch.stack([w[:, None] * p for w, p in zip(weight.unbind(1), answers, strict=True)]).sum(0)
        return mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log()

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[n, K] -> the best class of each unit."""
        return named(logits.argmax(1).tolist(), self.names)
