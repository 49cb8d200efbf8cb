"""Taught: first a teacher learns by its own recipe, then it is asked once about everything, then the student learns from
what it said.

The objective owns the teacher (`objective.teacher`) and the answers (`objective.ask`): `objectives/distil/structure.py`. A
teacher's stages are those of any recipe, whose batches and rule stay its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from semblance.contracts import Metrics
from semblance.data.moments import shape_of
from semblance.errors import SemblanceError
from semblance.learning.backprop import Backprop
from semblance.learning.parts import INIT, Budget, Feed, Parts, chance

LESSON = 1000  # where the teacher's part of the chance of initialisation begins, beyond any recipe's stages


@dataclass(frozen=True)
class Taught:
    """lessons: the stages of the teacher's recipe, each with rule, objective, batches and views. student: the rule of what
    is kept."""

    lessons: tuple[Any, ...]
    student: Backprop

    @property
    def epochs(self) -> int:
        """Of teacher and student together."""
        return sum(lesson.rule.epochs for lesson in self.lessons) + self.student.epochs

    @property
    def validates(self) -> bool:
        """Whether validation units are asked, by either."""
        rules = (*(lesson.rule for lesson in self.lessons), self.student)
        return any(getattr(rule, "validates", False) for rule in rules)

    def run(self, parts: Parts, data: Feed, budget: Budget) -> Iterator[Metrics]:
        """Metrics per epoch, with the number of the `lesson`; the student's is the last. A resumed run trains the teacher
        again, which gives the same one, and goes on with the student."""
        objective: Any = parts.objective
        if not hasattr(objective, "ask"):
            raise SemblanceError(
                f"a {type(objective).__name__} has no teacher to learn from: give StructureDistillation"
            )
        taught = replace(
            budget, checkpoint=None, resume=False, seconds=None if budget.seconds is None else budget.seconds / 2
        )
        for number, lesson in enumerate(self.lessons):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(chance(budget.seed, INIT, LESSON + number).integers(2**63)))
                own = None if lesson.objective is None else lesson.objective(shape_of(data.dataset)).to(data.device)
            feed = Feed(data.dataset, data.rows, lesson.batches, data.prepare, lesson.views, data.device)
            for metrics in lesson.rule.run(Parts(objective.teacher, own), feed, taught):
                yield {**metrics, "lesson": float(number)}
        everything = Feed(data.dataset, np.arange(len(data.dataset)), None, data.prepare, None, data.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chance(budget.seed, INIT, LESSON + len(self.lessons)).integers(2**63)))
            for batch in everything.in_order():
                objective.ask(batch)
        for metrics in self.student.run(
            parts, data, replace(taught, checkpoint=budget.checkpoint, resume=budget.resume)
        ):
            yield {**metrics, "lesson": float(len(self.lessons))}
