"""Survey: look at all training units once before learning from batches of them.

An objective whose neighbours, clusters or statistics are those of the whole training set has a method
`survey(batches)`; what it keeps is derived from the data, so a resumed run surveys again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.parts import Budget, Feed, Parts


@dataclass(frozen=True)
class Surveyed:
    """`rule`, after the objective has seen every unit in order."""

    rule: Any

    @property
    def epochs(self) -> int:
        """The inner rule's."""
        epochs: int = self.rule.epochs
        return epochs

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """The inner rule's metrics."""
        survey = getattr(parts.objective, "survey", None)
        if survey is None:
            raise SemblanceError(
                f"objective {type(parts.objective).__name__} has no survey(batches): use the rule alone"
            )
        survey(data.in_order())
        yield from self.rule.run(parts, data, budget)
