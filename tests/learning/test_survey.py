"""Survey: the objective sees every training unit before the first step, and only then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.learning.survey import Surveyed


class Steps:
    """A rule that reports what the objective has seen when it starts."""

    epochs = 3

    def run(self, parts, data, budget):
        yield {"seen": float(parts.objective.seen)}


class Looks:
    seen = 0

    def survey(self, batches):
        self.seen = sum(len(batch["x"]) for batch in batches)


def a_feed(units: int = 7):
    return SimpleNamespace(in_order=lambda: ({"x": part} for part in torch.zeros(units, 2).split(3)))


def test_every_unit_is_seen_before_the_rule_starts():
    parts = SimpleNamespace(objective=Looks())
    rule = Surveyed(Steps())
    assert list(rule.run(parts, a_feed(), None)) == [{"seen": 7.0}]
    assert rule.epochs == 3


def test_an_objective_that_cannot_look_is_one_stated_error():
    with pytest.raises(SemblanceError, match="object has no survey"):
        list(Surveyed(Steps()).run(SimpleNamespace(objective=object()), a_feed(), None))
