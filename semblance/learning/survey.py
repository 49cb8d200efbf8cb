"""Survey: look at all training units before learning from batches of them, once or again and again.

An objective whose neighbours, clusters or statistics are those of the whole training set has a method
`survey(batches)`; what it keeps is derived from the data, so a resumed run surveys again.

One whose targets are made of the network's own features has `due(epoch)` and `review(network, batches, epoch, generator)`,
which keeps what it finds in its state, and `labels`: what every unit now is, for the sampler (None: nothing yet).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from semblance.contracts import Metrics
from semblance.errors import SemblanceError
from semblance.learning.parts import Budget, Feed, Parts, torch_chance

REVIEW = 5  # the stream of chance, after those of parts.py


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


@dataclass(frozen=True)
class Reviewed:
    """`rule`, before each epoch of which the objective may look at every unit through the network as it is by then."""

    rule: Any

    @property
    def epochs(self) -> int:
        """The inner rule's."""
        epochs: int = self.rule.epochs
        return epochs

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """The inner rule's metrics."""
        if not hasattr(parts.objective, "review"):
            raise SemblanceError(
                f"objective {type(parts.objective).__name__} has no review(network, batches, epoch, generator): "
                "use the rule alone"
            )
        given = {held.name: getattr(data, held.name) for held in fields(data) if held.init}
        yield from self.rule.run(parts, _Seen(**given, parts=parts), budget)


@dataclass
class _Seen(Feed):
    """A feed whose epochs begin with a review where one is due. A run that stops within an epoch and goes on does not
    review again: what was found is in the objective's state, and `due` knows the epoch of the last one."""

    parts: Parts | None = None

    def epoch(self, seed: int, epoch: int) -> list[np.ndarray]:
        assert self.parts is not None
        objective: Any = self.parts.objective
        if objective.due(epoch):
            training = self.parts.network.training
            self.parts.network.eval()
            with torch.no_grad():
                objective.review(self.parts.network, self.in_order(), epoch, torch_chance(seed, REVIEW, epoch))
            self.parts.network.train(training)
        return super().epoch(seed, epoch)

    @property
    def labels(self) -> np.ndarray | None:
        """What the objective says of the units, or the data's labels."""
        objective: Any = self.parts.objective if self.parts is not None else None
        found = getattr(objective, "labels", None)
        return super().labels if found is None else found
