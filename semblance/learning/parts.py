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
from semblance.data.views import Prepare

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
        """The head's prediction, or the embedding [N, d] where there is no head."""
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
    prepare: Prepare
    views: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

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
        batch = self.dataset.read(self.rows[index])
        x = torch.from_numpy(np.ascontiguousarray(batch.pop("x")))
        ready: Batch = {k: torch.as_tensor(np.asarray(v)).to(self.device) for k, v in batch.items()}
        ready["index"] = torch.as_tensor(np.asarray(index)).to(self.device)
        if self.views is None:
            ready["x"] = self.prepare(x).to(self.device)
            return ready
        drawn = [
            self.views(x, torch_chance(seed, VIEWS, epoch, step, view), self.prepare).to(self.device)
            for view in range(self.views.count)
        ]
        ready["x"], ready["views"] = drawn[0], [{"x": view} for view in drawn]
        return ready

    def in_order(self, size: int = 512) -> Iterator[Batch]:
        """Every unit once, in order, without views."""
        for start in range(0, len(self.rows), size):
            index = np.arange(start, min(start + size, len(self.rows)))
            batch = self.dataset.read(self.rows[index])
            x = self.prepare(torch.from_numpy(np.ascontiguousarray(batch.pop("x")))).to(self.device)
            yield {"x": x, **{k: torch.as_tensor(np.asarray(v)).to(self.device) for k, v in batch.items()}}


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
