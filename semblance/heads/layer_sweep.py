"""Layer sweep: which stage of a frozen encoder serves a new task best, as a report.

One linear SVM per stage and one on the embedding itself, trained and tested on the same items; 95% intervals by
bootstrap over test items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from semblance.contracts import Encoder
from semblance.heads.frozen import COSTS, FrozenSVM, features
from semblance.reports import report_html, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 1000


@dataclass(frozen=True)
class Swept:
    """Accuracy of one read-out: `layer` is `stage 0`, `stage 1`, ... or `embedding`."""

    layer: str
    dim: int
    cost: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class LayerSweep:
    """The report: one row per read-out, coarse to fine."""

    rows: tuple[Swept, ...]

    def __str__(self) -> str:
        best = max(self.rows, key=lambda row: row.accuracy)
        return (
            f"{best.layer} ({best.dim} numbers) serves best: accuracy {best.accuracy:.3f} "
            f"[{best.low:.3f}, {best.high:.3f}] of {len(self.rows)} read-outs"
        )

    def table(self) -> pa.Table:
        """Columns layer, dim, cost, accuracy, low, high."""
        return pa.Table.from_pylist([vars(row) for row in self.rows])

    def plot(self) -> Any:
        """A matplotlib figure: accuracy with its interval, layer by layer."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(1 + 0.9 * len(self.rows), 3.2), layout="constrained")
        axes = figure.subplots()
        value = np.array([row.accuracy for row in self.rows])
        spans = np.abs([[row.accuracy - row.low, row.high - row.accuracy] for row in self.rows]).T
        axes.errorbar(range(len(self.rows)), value, yerr=spans, fmt="o-", capsize=3)
        axes.set_xticks(range(len(self.rows)), [f"{row.layer}\n{row.dim}" for row in self.rows])
        axes.set_ylabel("accuracy of a linear SVM")
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with verdict, table and picture."""
        write_page(path, "Layer sweep", str(self), self.plot(), [vars(row) for row in self.rows])

    def _repr_html_(self) -> str:
        return report_html("Layer sweep", str(self), self.plot(), [vars(row) for row in self.rows])


def layer_sweep(
    encoder: Encoder,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    costs: Sequence[float] = COSTS,
    seed: int = 0,
) -> LayerSweep:
    """Prepared items with labels, (x [N, ...], labels [N]), to learn from and to be judged on -> the report."""
    (x, y), (test_x, test_y) = train, test
    classes = int(torch.cat([y, test_y]).max()) + 1
    with torch.no_grad():
        maps = encoder.forward({"x": x[:1]})
    stages: list[int | None] = [*range(len(maps)), None] if isinstance(maps, list) else [None]
    rng = np.random.default_rng(seed)
    rows = []
    for stage in stages:
        z = features(encoder, x, stage)
        head = FrozenSVM(z.shape[1], classes, costs)
        cost = head.solve(z, y)["C"]
        right = (head(features(encoder, test_x, stage), {}).argmax(1) == test_y).double().numpy()
        draws = right[rng.integers(len(right), size=(RESAMPLES, len(right)))].mean(1)
        low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975]))
        name = "embedding" if stage is None else f"stage {stage}"
        rows.append(Swept(name, z.shape[1], cost, float(right.mean()), low, high))
    return LayerSweep(tuple(rows))
