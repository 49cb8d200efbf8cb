"""Told: what the workers of a fit tell the process that waits for them, and whether they shall go on.

An actor holds it, on the node of the waiting process, until it is asked. A worker that is begun anew tells all epochs once
more, as every run does that goes on from a checkpoint: here each is heard once, and in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semblance.errors import Interrupted, SemblanceError

PATIENCE = 8.0
"""Seconds that the last words are waited for."""


class Board:
    """What lies in the actor."""

    def __init__(self) -> None:
        self.starts = 0
        self.last: tuple[Any, ...] | None = None
        self.epochs: list[tuple[Any, ...]] = []
        self.why: SemblanceError | None = None

    def begun(self, first: bool) -> SemblanceError | None:
        """A worker starts; answered by why it should not."""
        self.starts += first
        return self.why

    def step(self, *what: Any) -> SemblanceError | None:
        """How far the first worker is: steps done, of all, the metrics; answered by why it should not go on."""
        self.last = what
        return self.why

    def epoch(self, *what: Any) -> None:
        """An epoch has ended: the stage's number, the metrics."""
        self.epochs.append(what)

    def stop(self, why: SemblanceError) -> None:
        """Whoever is begun anew shall not start: the first reason counts."""
        self.why = self.why or why

    def heard(self) -> tuple[int, Any, list[Any], SemblanceError | None]:
        """All of it since the last question."""
        found, self.epochs, self.last = (self.starts, self.last, self.epochs, self.why), [], None
        return found


class Hearing:
    """The other end: asks the board (`board`: the actor) without waiting for it, and hands on what is new."""

    def __init__(
        self,
        ray: Any,
        on_step: Callable[[int, int, dict[str, float]], None] | None,
        on_epoch: Callable[[int, dict[str, float]], None] | None,
    ):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        kept = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(Board)
        self.ray, self.on_step, self.on_epoch = ray, on_step, on_epoch
        self.board = kept.remote()
        self.starts = 0
        self.why: SemblanceError | None = None
        self.history: list[dict[str, float]] = []
        self._asked: Any = None
        self._at: dict[int, float] = {}

    def hear(self, patience: float = 0.0) -> None:
        """Hands on what was answered to the last question, and asks the next one."""
        if self._asked is None:
            self._asked = self.board.heard.remote()
        if not self.ray.wait([self._asked], timeout=patience)[0]:
            return
        asked, self._asked = self._asked, None
        try:
            starts, last, epochs, why = self.ray.get(asked)
        except self.ray.exceptions.RayError:  # the board died, and is made anew
            return
        self.starts, self.why = max(starts, self.starts), self.why or why
        if last is not None and self.on_step is not None:
            self.on_step(*last)
        for stage, metrics in epochs:
            if metrics["epoch"] == self._at.get(stage, 0) + 1:
                self._hear(stage, metrics)

    def complete(self, history: list[dict[str, float]]) -> None:
        """What the board lost, by what the last checkpoint says of all epochs."""
        for line in history:
            stage, metrics = int(line["stage"]), {name: value for name, value in line.items() if name != "stage"}
            if metrics["epoch"] > self._at.get(stage, 0):
                self._hear(stage, metrics)

    def last_words(self) -> None:
        """What was told up to now."""
        self.hear(PATIENCE)  # may answer an older question
        self.hear(PATIENCE)

    def interrupt(self) -> None:
        """The workers shall stop, and none be begun anew."""
        self.board.stop.remote(Interrupted("stopped"))

    def _hear(self, stage: int, metrics: dict[str, float]) -> None:
        self._at[stage] = metrics["epoch"]
        self.history.append({"stage": float(stage), **metrics})
        if self.on_epoch is not None:
            self.on_epoch(stage, metrics)
