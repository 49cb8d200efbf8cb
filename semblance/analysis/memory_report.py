"""Memory report: what a memory of labelled items is worth, against its size, against k, and how far to trust its votes.

    error(n) = a n^slope, by least squares of the logarithms; slope below 0: more items, fewer errors
    accuracy(k) for each k with the same items
    calibration: mean over bins of |share of the votes - share of right answers|, weighed by the bins' sizes

Subsets of growing size hold one another, so that the curve is of one draw.

Reference: Geirhos et al. 2024, arXiv:2408.08172.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError
from semblance.memory.classifier import VoteMemory

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Answers in bins of rising confidence: `confidence` and `accuracy` [bins] (nan where nobody is), `items` [bins], and
    the expected error `gap`."""

    confidence: np.ndarray
    accuracy: np.ndarray
    items: np.ndarray
    gap: float


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Confidences [N] in [0, 1] and whether the answers were right [N] -> bins of equal width."""
    p, ok = np.asarray(confidence, float), np.asarray(right, float)
    if p.shape != ok.shape or p.ndim != 1 or not len(p):
        raise SemblanceError(f"{p.shape} confidences came with {ok.shape} answers: give one of each per question")
    if not ((p >= -1e-6) & (p <= 1 + 1e-6)).all():
        raise SemblanceError(f"a confidence is {p[np.argmax(np.abs(p - 0.5))]}, but it is a share: give 0 to 1")
    place = np.minimum((p.clip(0, 1) * bins).astype(int), bins - 1)
    items = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, hits = (np.bincount(place, weights=v, minlength=bins) / items for v in (p, ok))
    some = items > 0
    return Calibration(mean, hits, items, float((items[some] * np.abs(mean - hits)[some]).sum() / len(p)))


def power_law(sizes: Sequence[int], errors: Sequence[float]) -> tuple[float, float]:
    """(a, slope) of error = a n^slope."""
    n, e = np.asarray(sizes, float), np.asarray(errors, float)
    if len(n) < 2 or len(np.unique(n)) < 2 or (n <= 0).any() or (e <= 0).any():
        raise SemblanceError("a power law needs two sizes or more, and errors above 0: ask more or harder questions")
    slope, height = np.polyfit(np.log(n), np.log(e), 1)
    return float(np.exp(height)), float(slope)


@dataclass(frozen=True)
class MemoryReport:
    """Rows {kind: size or k, at, accuracy}, the power law of the error, and the calibration at the full size."""

    rows: tuple[dict[str, Any], ...]
    scale: float
    slope: float
    calibration: Calibration

    def __str__(self) -> str:
        full = [row for row in self.rows if row["kind"] == "size"][-1]
        return (
            f"accuracy {full['accuracy']:.3f} with {full['at']:,} items, error falling as n^{self.slope:.2f}; "
            f"confidences are off by {self.calibration.gap:.3f}"
        )

    def table(self) -> pa.Table:
        """Columns kind, at, accuracy."""
        return pa.Table.from_pylist(list(self.rows))

    def plot(self) -> Any:
        """A matplotlib figure of three panels."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.2), layout="constrained")
        size, k, trust = figure.subplots(1, 3)
        for axes, kind in ((size, "size"), (k, "k")):
            at = [row["at"] for row in self.rows if row["kind"] == kind]
            errors = [1 - row["accuracy"] for row in self.rows if row["kind"] == kind]
            axes.plot(at, errors, "o-")
            axes.set(
                xscale="log", xlabel={"size": "items in memory", "k": "neighbours that vote"}[kind], ylabel="error"
            )
            if kind == "size":
                axes.plot(at, self.scale * np.asarray(at, float) ** self.slope, "--", label=f"n^{self.slope:.2f}")
                axes.set_yscale("log")
                axes.legend()
        trust.plot([0, 1], [0, 1], ":", color="grey")
        trust.plot(self.calibration.confidence, self.calibration.accuracy, "o-")
        trust.set(xlabel="share of the votes", ylabel="share of right answers")
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with verdict, picture and table."""
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=120)
        body = "".join(
            f"<tr><td>{r['kind']}</td><td>{r['at']}</td><td>{r['accuracy']:.4f}</td></tr>" for r in self.rows
        )
        Path(path).write_text(
            f'<!doctype html><meta charset="utf-8"><title>Memory</title><p>{html.escape(str(self))}</p>'
            f'<img alt="error by size and k" src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">'
            f"<table><tr><th>kind</th><th>at</th><th>accuracy</th></tr>{body}</table>",
            encoding="utf-8",
        )


def memory_report(
    vectors: np.ndarray,
    labels: Sequence[str],
    queries: np.ndarray,
    truth: Sequence[str],
    sizes: Sequence[int] = (),
    counts: Sequence[int] = (1, 5, 10, 50, 100, 500),
    k: int = 10,
    votes: str = "rank",
    seed: int = 0,
) -> MemoryReport:
    """Stored items [N, d] with labels, questions [Q, d] with the true ones -> the report. Sizes default to a tenth of a
    tenth, a tenth, ... of all; those and the counts that exceed the items are left out."""
    n = len(vectors)
    asked = sorted({s for s in (sizes or (n // 100, n // 31, n // 10, n // 3, n)) if k <= s <= n})
    if not asked:
        raise SemblanceError(f"no size from k = {k} to the {n} items is asked for: give sizes between them")
    order = np.random.default_rng(seed).permutation(n)
    y, answers = np.asarray(labels, dtype=object), np.asarray(truth, dtype=object)
    rows: list[dict[str, Any]] = []
    for size in asked:
        kept = order[:size]
        memory = VoteMemory.exact(np.shape(vectors)[1], votes)
        memory.add([str(row) for row in kept], vectors[kept], pa.table({"label": y[kept].tolist()}))
        right = np.array(memory.classify(queries, k), dtype=object) == answers
        rows.append({"kind": "size", "at": size, "accuracy": float(right.mean())})
    trust = calibration(memory.probabilities(queries, k).max(1), right)
    for count in sorted(c for c in counts if c <= asked[-1]):
        found = np.array(memory.classify(queries, count), dtype=object) == answers
        rows.append({"kind": "k", "at": count, "accuracy": float(found.mean())})
    errors = [1 - row["accuracy"] for row in rows if row["kind"] == "size"]
    scale, slope = power_law(asked, errors) if len(asked) > 1 and min(errors) > 0 else (float("nan"), float("nan"))
    return MemoryReport(tuple(rows), scale, slope, trust)
