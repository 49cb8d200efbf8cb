"""Chosen: one rule under several settings, each from the same weights; what does best on the validation units stays.

For what trains in a moment (a linear map of propagated features), so that a setting which matters, such as weight decay,
need not be guessed. Runs one after the other, so the time is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop
from semblance.learning.best import MEASURES, measured, validation
from semblance.learning.parts import Budget, Feed, Parts


@dataclass(frozen=True)
class Chosen:
    """rules: at least one. measure: accuracy or loss, of the split `val`; the earlier rule wins a tie."""

    rules: tuple[Backprop, ...]
    measure: str = "accuracy"

    def __post_init__(self) -> None:
        if not self.rules:
            raise SemblanceError("there are no rules to choose from: give one or more")

    @property
    def epochs(self) -> int:
        """Of all rules together."""
        return sum(rule.epochs for rule in self.rules)

    @property
    def validates(self) -> bool:
        """Always: that is how it chooses."""
        return True

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch, with the number of the `rule`. A resumed run starts again: it is short."""
        modules = parts.modules()
        start = _state(modules)
        best, kept = float("-inf"), start
        for number, rule in enumerate(self.rules):
            modules.load_state_dict(start)
            for metrics in rule.run(parts, data, replace(budget, checkpoint=None, resume=False)):
                yield {**metrics, "rule": float(number)}
            score = measured(parts, validation(data))[f"val_{self.measure}"] * MEASURES[self.measure]
            if score > best:
                best, kept = score, _state(modules)
        modules.load_state_dict(kept)
        modules.eval()


def _state(modules: Any) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in modules.state_dict().items()}
