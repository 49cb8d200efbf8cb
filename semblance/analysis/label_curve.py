"""Label curve: how accurate a network gets with n labels per class, from one start and from another.

    accuracy(start, n) = mean over draws of n labelled training units per class of the test accuracy after fine tuning the
                         whole network, with a new linear head, from that start

A start that has learned without labels is ahead while labels are few; the curve says how far and up to how many. All
starts get the same draws, heads, batches and budget.

Reference: Gidaris et al. 2018, arXiv:1803.07728 (semi-supervised learning, beside training from scratch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import nn

from semblance.analysis.fine_tuning import drawn_module, fine_tuned, logits_of
from semblance.analysis.intervals import bootstrap_mean
from semblance.data.dataset import ArrayDataset
from semblance.data.prepare import Prepare
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear
from semblance.learning.backprop import Backprop
from semblance.learning.parts import chance
from semblance.reports import report_html, write_page

PER_CLASS = (20, 100, 400, 1000, 5000)  # as in the paper


@dataclass(frozen=True)
class Point:
    """Accuracy of one start at one number of labels per class, with its 95% interval over draws and test units."""

    start: str
    per_class: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelCurve:
    """The report: starts in the order given, each from few labels to many."""

    points: tuple[Point, ...]

    def of(self, start: str) -> list[Point]:
        """One curve."""
        return [point for point in self.points if point.start == start]

    @property
    def starts(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(point.start for point in self.points))

    def __str__(self) -> str:
        first, *others = (self.of(start) for start in self.starts)
        told = f"with {first[0].per_class} labels per class, {first[0].start} reaches {first[0].accuracy:.3f}"
        if not others:
            return told
        ahead = [a.per_class for a, b in zip(first, others[0], strict=True) if a.accuracy > b.accuracy]
        told += f", {others[0][0].start} {others[0][0].accuracy:.3f}"
        return f"{told}; the first is ahead " + (f"at {', '.join(map(str, ahead))} labels" if ahead else "nowhere")

    def table(self) -> pa.Table:
        """Columns start, per_class, accuracy, low, high."""
        return pa.Table.from_pylist([vars(point) for point in self.points])

    def plot(self) -> Any:
        """A matplotlib figure: accuracy with its interval against labels per class."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6, 3.4), layout="constrained")
        axes = figure.subplots()
        for number, start in enumerate(self.starts):
            curve = self.of(start)
            value = np.array([point.accuracy for point in curve])
            spans = np.abs([[p.accuracy - p.low, p.high - p.accuracy] for p in curve]).T
            style = ("o-", "s--", "^:", "d-.")[number % 4]
            axes.errorbar([p.per_class for p in curve], value, yerr=spans, fmt=style, capsize=3, label=start)
        axes.set(xscale="log", xlabel="labels per class", ylabel="accuracy")
        axes.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with verdict, picture and table."""
        write_page(path, "Label curve", str(self), self.plot(), self.table().to_pylist())

    def _repr_html_(self) -> str:
        return report_html("Label curve", str(self), self.plot(), self.table().to_pylist())


def label_curve(
    dataset: ArrayDataset,
    prepare: Prepare,
    starts: Mapping[str, Callable[[], nn.Module]],
    *,
    per_class: Sequence[int] = PER_CLASS,
    draws: int = 3,
    rule: Backprop | None = None,
    batch: int = 50,
    views: Any = None,
    seed: int = 0,
) -> LabelCurve:
    """Classes in the targets, splits `train` and `test`, and starts by name -> the report.

    Each start gives an encoder that may be trained in place: `lambda: copy.deepcopy(trained)`, or a constructor, whose
    weights are then drawn by the seed. Numbers of labels that a class does not have are left out.
    """
    y = np.asarray(dataset.targets["labels"])
    train, test = dataset.splits["train"], dataset.splits["test"]
    train, test = train[y[train] >= 0], test[y[test] >= 0]
    classes, counts = np.unique(y[train], return_counts=True)
    if not len(classes) or not len(test):
        raise SemblanceError("a label curve needs labelled units in both splits, train and test: give some labels")
    asked = sorted({n for n in per_class if n <= counts.min()})
    if not asked:
        raise SemblanceError(
            f"no number of labels in {tuple(per_class)} is at most the {counts.min()} of the smallest class: ask for fewer"
        )
    right: dict[tuple[str, int], list[np.ndarray]] = {(start, n): [] for start in starts for n in asked}
    for draw in range(draws):
        rng = chance(seed, draw)
        order = [rng.permutation(train[y[train] == k]) for k in classes]
        for start, make in starts.items():
            for n in asked:  # the first n of each class: more labels hold the fewer
                rows = np.sort(np.concatenate([of[:n] for of in order]))
                encoder = drawn_module(make, seed + draw)
                head = _head(encoder, int(classes.max()) + 1)
                network = fine_tuned(
                    encoder, head, dataset, rows, prepare, rule=rule, batch=batch, views=views, seed=seed + draw
                )
                right[start, n].append(logits_of(network, dataset, test, prepare).argmax(1) == y[test])
    points = [Point(start, n, *bootstrap_mean(np.array(scores, float), seed)) for (start, n), scores in right.items()]
    return LabelCurve(tuple(points))


def _head(encoder: Any, classes: int) -> Callable[[], nn.Module]:
    return lambda: Linear(encoder.dim, classes)
