"""plan: what a fit would take, found by a few real steps on the real data."""

from __future__ import annotations

import platform
import resource
import time
from contextlib import suppress
from typing import Any

from semblance.data.load import load as load_data
from semblance.learning.devices import choose_device
from semblance.space.choose import choose
from semblance.space.training import train

STEPS = 4  # that are timed
READING = ("domain", "label", "id_column", "size", "split", "directed", "nodes", "column", "captions", "progress")


def plan(
    data: Any,
    recipe: str | None = None,
    *,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    **given: Any,
) -> dict[str, Any]:
    """What a fit would take: units, recipe, epochs, minutes and peak memory, from a few real steps on the real data."""
    reading = {k: given.pop(k) for k in READING if k in given}
    precision = given.pop("precision", "auto")
    dataset = load_data(data, seed=seed, **reading)
    name, _, chosen = choose(dataset, recipe, given)
    learned = [stage for stage in chosen.stages if stage.objective is not None]
    total = epochs if epochs is not None else (learned[0].rule.epochs if learned else 0)
    seconds, steps = 0.0, 0
    if learned:
        marks: list[float] = []
        steps_a_epoch = 1

        def on_step(done: int, of: int, metrics: dict[str, float]) -> None:
            nonlocal steps_a_epoch
            steps_a_epoch = of // STEPS
            marks.append(time.monotonic())
            if len(marks) >= STEPS:
                raise _Enough

        with suppress(_Enough):
            train(dataset, chosen, seed=seed, epochs=STEPS, device=device, precision=precision, on_step=on_step)
        steps = steps_a_epoch * total
        seconds = (marks[-1] - marks[0]) / max(len(marks) - 1, 1) * steps if len(marks) > 1 else 0.0
    return {
        "domain": dataset.domain,
        "units": len(dataset),
        "recipe": name,
        "epochs": total,
        "steps": steps,
        "minutes": round(seconds / 60, 2),
        "memory_mb": round(_peak_mb()),
        "memory": chosen.memory,
        "device": str(choose_device(device)),
    }


class _Enough(Exception):
    """Raised by the dry run's own callback when enough steps were timed."""


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if platform.system() == "Darwin" else 1024)
