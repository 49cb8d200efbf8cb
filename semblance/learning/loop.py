"""The one loop: every rule with a `step` trains through it.

It owns what all such rules share: order and chance counted from the seed, gradient accumulation, the learning rate's
schedule, autocast, checkpoints every N seconds, stopping on Ctrl-C with everything saved, budgets by epochs or by the
clock, the best epoch by validation, and the watch for collapse. It yields the mean metrics of each epoch.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Protocol

import torch

from semblance.contracts import Batch, Metrics
from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.learning import checkpoint
from semblance.learning.best import Best, measured, validation
from semblance.learning.checkpoint import Place
from semblance.learning.devices import autocast, precision_for
from semblance.learning.parts import NOISE, Budget, Feed, Parts, chance
from semblance.learning.watch import watch

WATCHED = 256  # items whose spread is measured after every epoch
SELDOM = 10  # epochs between two such looks where an epoch is a single step


class Stepping(Protocol):
    """A rule the loop can drive."""

    @property
    def epochs(self) -> int: ...

    @property
    def accumulate(self) -> int: ...

    @property
    def best(self) -> str: ...

    @property
    def patience(self) -> int: ...

    def make_optimizer(self, parts: Parts) -> torch.optim.Optimizer: ...

    def adjust(self, optimizer: torch.optim.Optimizer, progress: float, epoch: float) -> None: ...

    def step(self, parts: Parts, batch: Batch, share: float, casting: AbstractContextManager[None]) -> Metrics: ...


@contextmanager
def stopping() -> Iterator[list[int]]:
    """Collects the first interrupt or termination signal so that the step can be finished and saved; the second one
    ends the process as usual. Outside the main thread nothing is caught."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        for kind, handler in before.items():
            signal.signal(kind, handler)

    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    for kind in before:
        signal.signal(kind, note)
    try:
        yield caught
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def train(rule: Stepping, parts: Parts, feed: Feed, budget: Budget) -> Iterator[Metrics]:
    """Yields one dictionary of mean metrics per epoch: `epoch`, `loss`, what the objective reports, `seconds`."""
    if len(feed) < 2:
        raise SemblanceError(f"there is {len(feed)} item to train on: two or more are needed")
    precision = precision_for(feed.device, budget.precision)
    modules = parts.modules().to(feed.device)
    parts.network.to(memory_format=precision.memory_format)
    optimizer = rule.make_optimizer(parts)
    best, asked = None, feed
    if rule.best:
        best, asked = Best(rule.best, parts.modules()).to(feed.device), validation(feed)
        modules["best"] = best
    place = Place()
    if budget.resume and budget.checkpoint is not None and budget.checkpoint.exists():
        place = checkpoint.restore(budget.checkpoint, modules, optimizer, budget.signature)
        yield from place.history
    epochs = budget.epochs if budget.epochs is not None else rule.epochs
    started = saved = time.monotonic()
    before = place.seconds
    modules.train()
    told = getattr(parts.objective, "advance", None)  # objectives with a schedule of their own hear how far the run is

    def elapsed() -> float:
        return before + time.monotonic() - started

    def save() -> None:
        place.seconds = elapsed()
        if budget.checkpoint is not None:
            checkpoint.save(budget.checkpoint, modules, optimizer, place, budget.signature)

    # Dropout and its like draw from torch's global generator: it is set from the place in the run and given back after.
    with stopping() as caught, torch.random.fork_rng(devices=[]):
        while (elapsed() < budget.seconds if budget.seconds is not None else place.epoch < epochs) and not (
            best is not None and rule.patience and best.waited(place.epoch - 1) >= rule.patience
        ):
            order = feed.epoch(budget.seed, place.epoch)
            total = epochs * len(order)
            while place.step < len(order):
                progress = (
                    elapsed() / budget.seconds
                    if budget.seconds
                    else (place.epoch * len(order) + place.step) / max(total, 1)
                )
                rule.adjust(optimizer, min(progress, 1.0), place.epoch + place.step / len(order))
                if told is not None:
                    told(min(progress, 1.0))
                noise = int(chance(budget.seed, NOISE, place.epoch, place.step).integers(2**63))
                # torch.manual_seed looks for every kind of device, which takes a millisecond without any.
                (torch.default_generator if feed.device.type == "cpu" else torch).manual_seed(noise)
                group_start = place.step - place.step % rule.accumulate
                group = min(rule.accumulate, len(order) - group_start)
                batch = feed.batch(order[place.step], budget.seed, place.epoch, place.step)
                metrics = rule.step(parts, batch, 1 / group, autocast(feed.device, precision))
                _finite(metrics, place)
                for name, value in metrics.items():
                    place.sums[name] = place.sums.get(name, 0.0) + value
                place.step += 1
                if place.step - group_start < group:
                    continue
                optimizer.step()
                optimizer.zero_grad()
                after = getattr(parts.objective, "after_step", None)
                if after is not None:
                    after(parts.network, batch)
                place.done += 1
                if budget.on_step is not None:
                    budget.on_step(place.epoch * len(order) + place.step, total, metrics)
                if caught:
                    save()
                    raise _stopped(caught[0], place, budget)
                if time.monotonic() - saved > budget.every:
                    save()
                    saved = time.monotonic()
                if budget.seconds is not None and elapsed() >= budget.seconds:
                    break
            epoch_metrics = {name: value / max(place.step, 1) for name, value in place.sums.items()}
            # Where an epoch is one step, looking would cost as much as learning.
            if len(order) > 1 or place.epoch % SELDOM == 0 or place.epoch + 1 == epochs:
                seen = feed.batch(order[0][:WATCHED], budget.seed, place.epoch, 0)
                epoch_metrics |= watch(parts.network, seen, parts.objective)
            if best is not None:
                epoch_metrics |= measured(parts, asked)
                best.offer(parts.modules(), epoch_metrics, place.epoch)
            epoch_metrics |= {"epoch": float(place.epoch + 1), "seconds": round(elapsed(), 3)}
            place.history.append(epoch_metrics)
            place.epoch, place.step, place.sums = place.epoch + 1, 0, {}
            yield epoch_metrics
        save()
    if best is not None:
        best.restore(parts.modules())
    modules.eval()


def _finite(metrics: Metrics, place: Place) -> None:
    loss = metrics.get("loss", 0.0)
    if loss != loss or abs(loss) == float("inf"):
        raise Failed(
            f"the loss became {loss} in epoch {place.epoch + 1}, step {place.step + 1}: "
            "lower the learning rate (--set lr=...)"
        )


def _stopped(number: int, place: Place, budget: Budget) -> Interrupted:
    where = f"saved to {budget.checkpoint.parent}; go on with --resume" if budget.checkpoint else "nothing was kept"
    error = Interrupted(f"stopped in epoch {place.epoch + 1} after {place.done} steps, {where}")
    error.code = 128 + number
    return error
