"""Codes: what a view says of itself is a distribution over learned directions, and another view shall say the same.

    loss = -mean_i sum_k code_ik log softmax_k(p_ik / student),    p = inner products with unit directions (`Directions`)

Left alone all views would agree on one code for everything. Who sees to it that all codes are used:

    Balanced   the code of the target is Sinkhorn's: rows are distributions and every column gets its share N / K of them
               SwAV, Caron et al. 2020, arXiv:2006.09882
    Centred    a sharp softmax of the target less its running mean: the mean forbids one code for all, the sharpness that
               all codes are alike                                    DINO, Caron et al. 2021, arXiv:2104.14294

Both compare what a view predicts with a target, [N, K] each, in `branches.py` and `teachers.py`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.errors import SemblanceError
from semblance.objectives.bank import Queue
from semblance.objectives.contrast_table import moco


class Directions(nn.Module):
    """[N, d] -> [N, K], cosines with K learned directions."""

    def __init__(self, dim: int, codes: int):
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(codes, dim), dim=1))

    def forward(self, z: Tensor) -> Tensor:
        """Lengths of z and of the directions do not count."""
        return F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T


@torch.no_grad()
def sinkhorn(scores: Tensor, temperature: float = 0.05, rounds: int = 3) -> Tensor:
    """[N, K] -> [N, K]: exp(scores / temperature), scaled until columns share the rows evenly; rows sum to 1 at the end.

    Columns come first and rows last in every round, so that what is left over after few rounds is in the columns.
    """
    logs = scores.double() / temperature
    n, k = logs.shape
    for _ in range(rounds):
        logs = logs - logs.logsumexp(0) + math.log(n / k)
        logs = logs - logs.logsumexp(1, keepdim=True)
    return logs.exp().to(scores.dtype)


class Balanced(nn.Module):
    """Cross-entropy to Sinkhorn's codes of the batch; `target` is its temperature, `student` that of the prediction."""

    def __init__(self, student: float = 0.1, target: float = 0.05, rounds: int = 3):
        super().__init__()
        _positive(student=student, target=target)
        self.student, self.target, self.rounds = student, target, rounds

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """[N, K], [N, K] -> scalar in nats."""
        return _cross_entropy(p / self.student, sinkhorn(t.detach(), self.target, self.rounds))


class Centred(nn.Module):
    """Cross-entropy to the target's own sharp softmax, less the running mean of targets."""

    centre: Tensor

    def __init__(self, codes: int, student: float = 0.1, target: float = 0.04, momentum: float = 0.9):
        super().__init__()
        _positive(student=student, target=target)
        if not 0 <= momentum < 1:
            raise SemblanceError(f"momentum is {momentum}, but the centre keeps this share: give 0 up to below 1")
        self.student, self.target, self.momentum = student, target, momentum
        self.register_buffer("centre", torch.zeros(codes))

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """[N, K], [N, K] -> scalar in nats."""
        return _cross_entropy(p / self.student, ((t.detach() - self.centre) / self.target).softmax(1))

    @torch.no_grad()
    def after_step(self, targets: list[Tensor]) -> None:
        """Move the centre towards the mean of the step's targets."""
        self.centre.lerp_(torch.cat(targets).mean(0).to(self.centre), 1 - self.momentum)


class Queued(nn.Module):
    """InfoNCE against a queue: the target of the row among it and the latest `size` targets of earlier batches.

    MoCo, He et al. 2020, arXiv:1911.05722.
    """

    def __init__(self, dim: int, size: int = 4096, temperature: float = 0.2):
        super().__init__()
        self.loss = moco(dim, size, temperature)

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """[N, d], [N, d] -> scalar in nats."""
        loss: Tensor = self.loss(p, {"x": p, "keys": F.normalize(t.detach(), dim=1)})
        return loss

    def after_step(self, targets: list[Tensor]) -> None:
        """What was a target becomes a negative."""
        assert isinstance(self.loss.candidates, Queue)
        self.loss.candidates.push(torch.cat(targets))


def _cross_entropy(logits: Tensor, code: Tensor) -> Tensor:
    return -(code * logits.log_softmax(1)).sum(1).mean()


def _positive(**temperatures: float) -> None:
    for name, value in temperatures.items():
        if value <= 0:
            raise SemblanceError(f"temperature {name} is {value}, but scores are divided by it: give more than 0")
