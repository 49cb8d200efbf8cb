"""What a rule works on: the network, what it should be good at, the training data as batches, and how long.

    Network   encoder and (where there is one) head: what is kept after training
    Parts     a network with the objective that trains it
    Feed      the training units as a stream of batches: sampler, views, preparation, device
    Budget    epochs or seconds, seed, where to save, when to look

Chance is counted, not kept: what a step draws depends on (seed, epoch, step) alone, so a run that stops anywhere and
goes on draws what the uninterrupted run would have drawn, and no generator state needs saving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Dataset

# Streams of chance: the first number of a place, so that no two uses ever draw the same numbers.
INIT, ORDER, VIEWS, NOISE = range(4)


class Network(nn.Module):
    """An encoder with its head; an objective gets it as `model`."""

    encoder: Any
    head: Any

    def __init__(self, encoder: nn.Module, head: nn.Module | None = None):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, batch: Batch) -> Any:
        """The head's prediction, or the embedding [N, d] where there is no head. A head whose `reads` is "representation"
        gets what the encoder gives (the states of all nodes, maps, tokens) instead of its read-out."""
        if getattr(self.head, "reads", "embedding") == "representation":
            return self.head(self.encoder(batch), batch)
        z = self.embed(batch)
        return z if self.head is None else self.head(z, batch)

    def embed(self, batch: Batch) -> Tensor:
        """[N, d], the encoder's read-out."""
        return self.encoder.embed(batch)


@dataclass
class Parts:
    network: Network
    objective: nn.Module | None = None

    def modules(self) -> nn.ModuleDict:
        """Everything that has weights or buffers, under stable names."""
        held = {"network": self.network}
        if self.objective is not None:
            held["objective"] = self.objective
        return nn.ModuleDict(held)


def chance(seed: int, *place: int) -> np.random.Generator:
    """The generator of one place in a run, (seed, epoch, step, ...): counted, so nothing needs to be remembered."""
    return np.random.default_rng([seed, *place])


def torch_chance(seed: int, *place: int) -> torch.Generator:
    """The same for torch."""
    return torch.Generator().manual_seed(int(chance(seed, *place).integers(2**63)))


@dataclass
class Feed:
    """Training units as batches. `rows` are positions in the dataset; `index` of a batch counts within `rows`."""

    dataset: Dataset
    rows: np.ndarray
    sampler: Any
    prepare: Callable[[Tensor], Tensor]
    views: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _last: tuple[Any, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if hasattr(self.sampler, "bind"):  # one that reads parts of a graph has to know it
            self.sampler = self.sampler.bind(self.dataset, self.rows)

    @property
    def labels(self) -> np.ndarray | None:
        """[units] of the rows, or None where the data has no labels."""
        column = self.dataset.targets.get("labels")
        return None if column is None else np.asarray(column)[self.rows]

    def __len__(self) -> int:
        """Units, not batches."""
        return len(self.rows)

    def epoch(self, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions within `rows`, one array per batch, in this epoch's order."""
        return self.sampler.epoch(len(self.rows), self.labels, chance(seed, ORDER, epoch))

    def batch(self, index: np.ndarray, seed: int = 0, epoch: int = 0, step: int = 0) -> Batch:
        """The batch of these positions: prepared, on the device, with its views drawn at this place of the run."""
        if hasattr(self.sampler, "read"):
            batch = self.sampler.read(self.dataset, self.rows[index], chance(seed, VIEWS, epoch, step))
        else:
            batch = self.dataset.read(self.rows[index])
        x, ready = batch.pop("x", None), self._moved(batch)
        ready["index"] = torch.as_tensor(np.asarray(index)).to(self.device)
        chances = [torch_chance(seed, VIEWS, epoch, step, view) for view in range(getattr(self.views, "count", 0))]
        if self.views is None or hasattr(self.views, "related"):
            if x is not None:
                ready["x"] = self._prepared(x)
            if self.views is not None:  # of what relates the units, which is not known by x alone
                ready["views"] = self.views.related(ready, chances)
            return ready
        x = torch.from_numpy(np.ascontiguousarray(x))
        if hasattr(self.views, "all"):  # views of different kinds, or one within another
            drawn = self.views.all(x, chances, self.prepare)
        else:
            drawn = [self.views(x, each, self.prepare) for each in chances]
        drawn = [view.to(self.device) for view in drawn]
        ready["x"], ready["views"] = drawn[0], [{"x": view} for view in drawn]
        return ready

    def in_order(self, size: int = 512) -> Iterator[Batch]:
        """Every unit once, in order, without views; all at once where every batch holds the whole structure anyway."""
        size = max(len(self.rows), 1) if getattr(self.dataset, "whole", False) else size
        for start in range(0, len(self.rows), size):
            batch = self.dataset.read(self.rows[start : start + size])
            x, ready = batch.pop("x", None), self._moved(batch)
            yield ready if x is None else {"x": self._prepared(x), **ready}

    def _prepared(self, x: Any) -> Any:
        """Stored items as encoders read them. What comes as the same tensor every time is prepared once."""
        if isinstance(x, np.ndarray):
            return self.prepare(torch.from_numpy(np.ascontiguousarray(x))).to(self.device)
        if self._last is None or self._last[0] is not x:
            each = [v if v is None else self.prepare(v).to(self.device) for v in (x if isinstance(x, list) else [x])]
            self._last = (x, each if isinstance(x, list) else each[0])
        return self._last[1]

    def _moved(self, batch: Batch) -> Batch:
        return {
            k: v.to(self.device) if hasattr(v, "to") else torch.as_tensor(v, device=self.device)
            for k, v in batch.items()
        }


@dataclass
class Budget:
    """How long to train and what may be seen of it. `epochs` None takes the rule's own; `seconds` stops by the clock
    and is not reproducible. `on_step(done, total, metrics)` is called after every optimiser step. `signature` says
    which run a checkpoint belongs to."""

    epochs: int | None = None
    seconds: float | None = None
    seed: int = 0
    checkpoint: Path | None = None
    every: float = 60.0
    resume: bool = False
    on_step: Callable[[int, int, dict[str, float]], None] | None = None
    precision: str = "float32"
    signature: str = ""
