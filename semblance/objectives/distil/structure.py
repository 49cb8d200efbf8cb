"""Structure distillation: a teacher that reads structure, a student that sees a unit's own features only.

    loss = labels * CE(student, y)  +  sum over targets t of weight_t * KL( p_t of the teacher || q_t of the student )

over all units, labelled or not. The papers differ in the targets, each a distribution that both can answer:
    SoftLabels            the classes of every node              GLNN       Zhang et al. 2022, arXiv:2110.08727
    ReliableHyperedges    classes averaged over hyperedges       LightHGNN  Feng et al. 2024
    SoftCodes             the entries of a codebook              VQGraph    Yang et al. 2024, arXiv:2308.02117

The teacher is any network; a rule trains it and then has it asked once about everything (`learning/taught.py`). What it
said is kept, so that a step of the student runs no teacher, and at inference there is neither teacher nor structure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.classify import CrossEntropy


class StructureDistillation(nn.Module):
    """labels: how much the labels count beside the teacher. targets: (weight, target) each."""

    needs = frozenset({"labels"})

    def __init__(self, teacher: nn.Module, targets: Sequence[tuple[float, nn.Module]], labels: float = 0.0):
        super().__init__()
        if min([labels, *(weight for weight, _ in targets)]) < 0:
            raise SemblanceError("a weight of the loss is below 0: give 0 or more for the labels and every target")
        self.teacher = teacher
        self.weights = [weight for weight, _ in targets]
        self.targets = nn.ModuleList(target for _, target in targets)
        self.labels, self.told = labels, CrossEntropy()

    @torch.no_grad()
    def ask(self, batch: Batch) -> None:
        """What the trained teacher says of all units of this batch, for good."""
        self.teacher.eval().requires_grad_(False)
        for target in self.targets:
            target.ask(self.teacher, _everything(batch))  # type: ignore[operator]

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy and labelled: of the units that the batch asks for}."""
        every = _everything(batch)
        states: Tensor = model.encoder(every)  # type: ignore[operator]
        logits: Tensor = model.head(states, every)  # type: ignore[operator]
        asked = logits[batch["nodes"]] if "nodes" in batch else logits
        supervised, metrics = self.told(lambda _: asked, batch)
        loss = self.labels * supervised
        for weight, target in zip(self.weights, self.targets, strict=True):
            loss = loss + weight * target(states, logits, every)
        return loss, {**metrics, "loss": float(loss.detach())}


class SoftLabels(nn.Module):
    """KL between the classes that teacher and student give every unit, at a temperature. several: classes are yes-or-no
    questions, each a distribution of its own, averaged."""

    p: Tensor | None

    def __init__(self, temperature: float = 1.0, several: bool = False):
        super().__init__()
        self.temperature, self.several = checked(temperature), several
        self.register_buffer("p", None)

    def ask(self, teacher: nn.Module, batch: Batch) -> None:
        """Keep p [V, K]."""
        logits = teacher(batch) / self.temperature
        self.p = logits.sigmoid() if self.several else logits.softmax(1)

    def forward(self, states: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """states [V, d], logits [V, K] of the student -> scalar, in nats."""
        p, logits = answered(self.p), logits / self.temperature
        if not self.several:
            return F.kl_div(logits.log_softmax(1), p, reduction="batchmean")
        yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
        return (torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p) - p * yes - (1 - p) * no).mean()


def answered(p: Tensor | None) -> Tensor:
    """What the teacher said, where it was asked."""
    if p is None:
        raise SemblanceError("the teacher was not asked yet: train with the rule Taught, which asks it")
    return p


def checked(temperature: float) -> float:
    """A temperature that can be divided by."""
    if temperature <= 0:
        raise SemblanceError(f"temperature is {temperature}, but logits are divided by it: give a positive number")
    return temperature


def _everything(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "nodes"}
