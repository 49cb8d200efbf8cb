"""Mixture: experts that learn in turn, each against what the others are by then.

    0      every expert by itself (where asked)
    1 ..   the weakest with the others held, then the next with that one held, ..., until validation stops improving

A turn is a run of one rule to its best validation epoch, in which only the parameters of that expert may move (by the
beginnings of their names). The objective is told whose turn it is (`objectives/mixture.py`). The state of the best round
stays. Zeng et al. 2024, arXiv:2311.05185.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop
from semblance.learning.best import MEASURES, measured, validation
from semblance.learning.parts import Budget, Feed, Parts


@dataclass(frozen=True)
class InTurn:
    """turns: for every expert, how the names of its parameters begin. rounds: at most so many. alone: whether each first
    learns by itself. measure: accuracy or loss, of the split `val`."""

    rule: Backprop
    turns: tuple[tuple[str, ...], ...]
    rounds: int = 3
    alone: bool = True
    measure: str = "accuracy"

    def __post_init__(self) -> None:
        if self.rounds < 1 or len(self.turns) < 2:
            raise SemblanceError(
                f"{len(self.turns)} experts in {self.rounds} rounds: give two experts and a round at least"
            )

    @property
    def epochs(self) -> int:
        """Of all turns, where no round is left out."""
        return self.rule.epochs * len(self.turns) * (self.rounds + self.alone)

    @property
    def validates(self) -> bool:
        """Always: that is how a round is judged."""
        return True

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch, with the `round` (0: alone) and the `expert`. A resumed run starts again: it is short."""
        objective: Any = parts.objective
        if not hasattr(objective, "turn"):
            raise SemblanceError(f"a {type(objective).__name__} knows no turns: experts learn by Mixture")
        modules, asked = parts.modules().to(data.device), validation(data)
        seconds = None if budget.seconds is None else budget.seconds / (len(self.turns) * (self.rounds + self.alone))
        each = replace(budget, checkpoint=None, resume=False, seconds=seconds)

        def turns(number: int, alone: bool) -> Iterator[Metrics]:
            for expert, names in enumerate(self.turns):
                objective.turn(expert, alone)
                # Every turn draws of its own: the same dropout in each round would be learned.
                turn = replace(each, seed=each.seed + 7919 * (number * len(self.turns) + expert))
                with only(modules, names):
                    for metrics in self.rule.run(parts, data, turn):
                        yield {**metrics, "round": float(number), "expert": float(expert)}
            objective.turn(None)

        if self.alone:
            yield from turns(0, alone=True)
        objective.turn(None)
        best, kept = self._score(parts, asked), _state(modules)
        for number in range(1, self.rounds + 1):
            yield from turns(number, alone=False)
            score = self._score(parts, asked)
            if score <= best and number > 1:
                break
            if score > best or number == 1:  # the first round stays: without it nobody would know of the others
                best, kept = score, _state(modules)
        modules.load_state_dict(kept)
        modules.eval()

    def _score(self, parts: Parts, asked: Feed) -> float:
        return measured(parts, asked)[f"val_{self.measure}"] * MEASURES[self.measure]


@contextmanager
def only(modules: nn.Module, names: tuple[str, ...]) -> Iterator[None]:
    """Within it, only parameters whose names begin so ask for a gradient."""
    before = {name: parameter.requires_grad for name, parameter in modules.named_parameters()}
    lost = [name for name in names if not any(key.startswith(name) for key in before)]
    if lost:
        raise SemblanceError(f"no parameter's name begins with {lost[0]!r}, so nobody would learn in this turn")
    for name, parameter in modules.named_parameters():
        parameter.requires_grad_(before[name] and name.startswith(names))
    try:
        yield
    finally:
        for name, parameter in modules.named_parameters():
            parameter.requires_grad_(before[name])


def _state(modules: nn.Module) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in modules.state_dict().items()}
