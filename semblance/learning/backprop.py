"""Backpropagation: one gradient of one objective through the whole network, a first-order optimiser, a schedule.

schedules over the run's progress t in [0, 1]:  constant 1;  cosine (1 + cos(pi t)) / 2;
steps gamma^(number of milestones passed), milestones being shares of the run;  all after a linear warm-up in epochs
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.learning.loop import train
from semblance.learning.parts import Budget, Feed, Parts

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "steps")


@dataclass(frozen=True)
class Apart:
    """Parameters, by the prefix of their names (`network.encoder.filter`), with a rate and weight decay of their own."""

    prefix: str
    lr: float
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Backprop:
    """`constant_lr` names parameters (by prefix, such as `objective.predictor`) whose rate the schedule leaves alone.
    `accumulate` batches share one optimiser step, their losses averaged. `best` (accuracy or loss, on the split `val`) ends
    with the weights of the best epoch, and with `patience` so many epochs after it (best.py). `apart` names parameters with
    rates of their own, which the schedule scales too; the first prefix that fits counts. Without `decay_vectors` only
    matrices and filters decay, and biases and norms do not."""

    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False
    epochs: int = 30
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup_epochs: float = 0.0
    accumulate: int = 1
    constant_lr: tuple[str, ...] = ()
    best: str = ""
    patience: int = 0
    apart: tuple[Apart, ...] = ()
    decay_vectors: bool = True

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        for name, least in (("lr", 0.0), ("epochs", 0), ("accumulate", 1)):
            if getattr(self, name) < least:
                raise SemblanceError(f"{name} is {getattr(self, name)}: give a value of at least {least}")

    @property
    def validates(self) -> bool:
        """Whether validation units are asked."""
        return bool(self.best)

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch."""
        return train(self, parts, data, budget)

    def make_optimizer(self, parts: Parts) -> torch.optim.Optimizer:
        """The optimiser over everything that asks for a gradient, in groups: scheduled, constant, and those apart."""
        scheduled, constant = [], []
        apart: list[list[nn.Parameter]] = [[] for _ in self.apart]
        for name, parameter in parts.modules().named_parameters():
            if parameter.requires_grad:
                fits = [held for held, own in zip(apart, self.apart, strict=True) if name.startswith(own.prefix)]
                ours = constant if name.startswith(self.constant_lr or ("\0",)) else scheduled
                (fits[0] if fits else ours).append(parameter)
        vectors = [] if self.decay_vectors else [parameter for parameter in scheduled if parameter.ndim < 2]
        if vectors:
            scheduled = [parameter for parameter in scheduled if parameter.ndim >= 2]
        groups: list[dict[str, Any]] = [
            {"params": scheduled, "scheduled": True},
            *([{"params": vectors, "scheduled": True, "weight_decay": 0.0}] if vectors else []),
            *([{"params": constant, "scheduled": False}] if constant else []),
            *(
                {"params": held, "scheduled": True, "rate": own.lr, "weight_decay": own.weight_decay}
                for held, own in zip(apart, self.apart, strict=True)
            ),
        ]
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                groups,
                lr=self.lr,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov,
                fused=True,
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)

    def adjust(self, optimizer: torch.optim.Optimizer, progress: float, epoch: float) -> None:
        """Set the learning rate for this step."""
        factor = {
            "constant": 1.0,
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "steps": self.gamma ** sum(progress >= m for m in self.milestones),
        }[self.schedule]
        if self.warmup_epochs and epoch < self.warmup_epochs:
            factor *= (epoch + 1e-3) / self.warmup_epochs
        for group in optimizer.param_groups:
            group["lr"] = group.get("rate", self.lr) * (factor if group["scheduled"] else 1.0)

    def step(self, parts: Parts, batch: Batch, share: float, casting: AbstractContextManager[None]) -> Metrics:
        """One batch: the objective's gradient, scaled by its share of the optimiser step, added to the others'.

        Only the forward pass runs under `casting`; the backward pass takes each operation's precision from it."""
        assert parts.objective is not None
        with casting:
            loss, metrics = parts.objective(parts.network, batch)
        (loss * share).backward()
        return metrics
