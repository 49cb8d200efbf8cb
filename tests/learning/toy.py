"""A toy that uses everything a run may draw on: shuffling, views, dropout, batch norm, momentum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.samplers import Shuffled
from semblance.data.views import Prepare
from semblance.geometry.spaces import Euclidean
from semblance.learning.parts import Budget, Feed, Network, Parts

SHAPE = Shape("vectors", (4,), 2, 40, (0.0,) * 4, (1.0,) * 4)


class Toy(nn.Module):
    dim = 3
    geometry = Euclidean()

    def __init__(self, dropout: float = 0.3, norm: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8, 3),
        )

    def forward(self, batch: dict) -> Tensor:
        return self.layers(batch["x"])

    embed = forward


@dataclass(frozen=True)
class Noise:
    """Views of a vector: noise added."""

    count: int = 2

    def __call__(self, x: Tensor, generator: torch.Generator, prepare: Prepare) -> Tensor:
        return prepare(x) + 0.1 * torch.randn(x.shape, generator=generator)


class ByLabel(nn.Module):
    """Cross-entropy of a linear map of the first view, so that views matter."""

    needs = frozenset({"labels"})

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 2)

    def forward(self, model: Network, batch: dict) -> tuple[Tensor, dict[str, float]]:
        x = batch["views"][0] if "views" in batch else batch
        loss = F.cross_entropy(self.classifier(model.embed(x)), batch["labels"])
        return loss, {"loss": float(loss.detach())}


def dataset(units: int = 40) -> ArrayDataset:
    rng = np.random.default_rng(0)
    labels = np.arange(units) % 2
    x = (rng.normal(size=(units, 4)) + 3 * labels[:, None]).astype(np.float32)
    rows = np.arange(units)
    return ArrayDataset(
        domain="vectors",
        x=x,
        ids=[str(i) for i in rows],
        targets={"labels": labels},
        attributes=pa.table({"n": rows}),
        splits={"train": rows, "test": rows[:0]},
        fingerprint="toy",
        classes=("a", "b"),
    )


def parts(dropout: float = 0.3, norm: bool = True) -> Parts:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Parts(Network(Toy(dropout, norm)), ByLabel())


def feed(batch: int = 8, views: Noise | None = None, units: int = 40) -> Feed:
    data = dataset(units)
    return Feed(data, data.splits["train"], Shuffled(batch), Prepare(SHAPE), views)


def budget(folder: Path | None = None, **changes: object) -> Budget:
    file = None if folder is None else folder / "stage-0.safetensors"
    return Budget(**{"epochs": 3, "checkpoint": file, "signature": "toy", **changes})  # type: ignore[arg-type]


def weights(held: Parts) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in held.modules().state_dict().items()}


def steps(stage: Any) -> bool:
    """Whether a recipe's stage goes by gradient steps that can be shared out."""
    return stage.objective is not None and hasattr(stage.rule, "step")


def doubled(value: Any) -> Any:
    """The same in float64."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: doubled(v) for k, v in value.items()}
    return [doubled(v) for v in value] if isinstance(value, list) else value
