"""Intrinsic dimension: in how many random directions a network has to be trained to do what it does in all of them.

    d_int90 = least d at which training within d random directions reaches 90 percent of the full network's score

A solution of d numbers says that those that solve form a set of D - d dimensions, and is a network of d numbers and a seed.
Between the widths that were tried the score is taken as linear; where a curve dips again, the last crossing counts. Axes:
projection; grid or bisection; share of the baseline; score (accuracy, return). Networks, or pole balancing by evolution
strategies: whatever gives a score for a number of directions and a seed.
Reference: Li et al. 2018 "Measuring the Intrinsic Dimension of Objective Landscapes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from semblance.analysis.fine_tuning import drawn_module
from semblance.analysis.fitted import fitted
from semblance.analysis.subspace import Loss, Make, Subspace, train_within
from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

SHARE = 0.9
Scores = Callable[[Sequence[int], int], Sequence[float]]
"""(numbers of directions, seed) -> the score of each."""


def crossing(dims: Sequence[int], scores: Sequence[float], wanted: float) -> float:
    """Where a curve through (d, score) comes to the wanted score for good; nan where its end is below."""
    order = np.argsort(dims)
    d, s = np.asarray(dims, float)[order], np.asarray(scores, float)[order]
    below = np.flatnonzero(s < wanted)
    if not len(below):
        return float(d[0])
    at = int(below[-1])
    if at == len(d) - 1:
        return float("nan")
    return float(d[at] + (wanted - s[at]) / (s[at + 1] - s[at]) * (d[at + 1] - d[at]))


@dataclass(frozen=True)
class IntrinsicDimension:
    """The report. scores [seeds, dims]; baseline [seeds], of the full network or the score that counts as solved; size D;
    value: d at which the mean over seeds reaches the share, low and high: least and largest of the seeds alone."""

    dims: tuple[int, ...]
    scores: np.ndarray
    baseline: np.ndarray
    size: int
    share: float
    value: float
    low: float
    high: float

    @property
    def compression(self) -> float:
        """D / d."""
        return self.size / self.value

    def __str__(self) -> str:
        wanted = f"{self.share:.0%} of the full score {self.baseline.mean():.3g}"
        if np.isnan(self.value):
            return f"{self.dims[-1]} of {self.size:,} directions are too few for {wanted}: try more"
        beyond = "" if self.value > self.dims[0] else "at most "
        return (
            f"{beyond}{self.value:.0f} [{self.low:.0f}, {self.high:.0f}] of {self.size:,} directions reach {wanted}: "
            f"{self.compression:,.0f} times fewer"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a number of directions."""
        relative = self.scores / self.baseline[:, None]
        return [
            {"directions": d, "score": float(s.mean()), "relative": float(r.mean()), "seeds": len(s)}
            for d, s, r in zip(self.dims, self.scores.T, relative.T, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """{sentence, value, low, high, size, share, baseline, rows}."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        ends = {name: None if np.isnan(end) else end for name, end in ends.items()}
        known = {"size": self.size, "share": self.share, "baseline": float(self.baseline.mean())}
        return {"sentence": str(self), **ends, **known, "rows": self.rows()}

    def table(self) -> Any:
        """Columns directions, score, relative, seeds."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: the relative score of each seed and their mean, the share asked, and where it is met."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        relative = self.scores / self.baseline[:, None]
        for row in relative:
            axes.plot(self.dims, row, "o", color="#0072b2", alpha=0.35, markersize=4)
        axes.plot(self.dims, relative.mean(0), "-", color="#0072b2", label="mean over seeds")
        axes.axhline(self.share, color="0.5", linewidth=0.8, label=f"{self.share:.0%} of the full network")
        if not np.isnan(self.value):
            axes.axvline(self.value, color="#d55e00", linestyle="--", label=f"{self.value:.0f} directions")
        axes.set(xlabel="random directions", ylabel="score over the full network's")
        axes.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Intrinsic dimension", str(self), self.plot(), self.rows())

    def _repr_html_(self) -> str:
        return report_html("Intrinsic dimension", str(self), self.plot(), self.rows())


def searched(
    scores: Scores,
    baseline: Mapping[int, float],
    dims: Sequence[int],
    size: int,
    share: float = SHARE,
    bisection: bool = False,
) -> IntrinsicDimension:
    """The report of any score. baseline: seed -> the full score. bisection: between the ends of dims, to a tenth of d, on
    the mean over seeds; else every one of dims is tried."""
    tried, seeds = sorted({int(d) for d in dims}), list(baseline)
    if not seeds or not tried or tried[0] < 1:
        raise SemblanceError(
            f"{len(seeds)} seeds and directions {tried[:3]}: give one seed or more, one direction or more"
        )
    full = np.array([baseline[seed] for seed in seeds])
    found: dict[int, np.ndarray] = {}

    def look(asked: Sequence[int]) -> None:
        columns = np.array([scores(asked, seed) for seed in seeds], float).T
        found.update(zip(asked, columns, strict=True))

    def solved(d: int) -> bool:
        return float((found[d] / full).mean()) >= share

    look((tried[0], tried[-1]) if bisection and len(tried) > 1 else tried)
    low, high = tried[0], tried[-1]
    while bisection and solved(high) and not solved(low) and high - low > max(1, high // 10):
        middle = (low + high) // 2
        look((middle,))
        low, high = (low, middle) if solved(middle) else (middle, high)
    each = tuple(sorted(found))
    table = np.stack([found[d] for d in each], 1)  # [seeds, dims]
    relative = table / full[:, None]
    alone = np.array([crossing(each, row, share) for row in relative])
    ends = (np.nan, np.nan) if np.isnan(alone).any() else (alone.min(), alone.max())
    value = crossing(each, relative.mean(0), share)
    return IntrinsicDimension(each, table, full, size, share, value, float(ends[0]), float(ends[1]))


def intrinsic_dimension(
    make: Make,
    loss: Loss,
    score: Callable[[nn.Module], float],
    items: int,
    dims: Sequence[int],
    steps: int = 600,
    seeds: Sequence[int] = (0, 1),
    kind: str = "dense",
    share: float = SHARE,
    bisection: bool = False,
    batch: int = 128,
    lr: float = 0.03,
    full_lr: float = 1e-3,
) -> IntrinsicDimension:
    """The report of a network: `make` builds it, `loss(network, rows)` is what training makes small, `score(network)` what
    counts (higher is better), items the number of training items that rows are drawn from."""

    def full(seed: int) -> float:
        net = drawn_module(make, seed)
        return score(fitted(net, lambda rows: loss(net, rows), items, steps, seed, batch, full_lr))

    def within(asked: Sequence[int], seed: int) -> list[float]:
        space = Subspace(make, max(asked), kind, seed)
        t = train_within(space, loss, items, steps, asked, batch, lr)
        return [score(space.at(column)) for column in t.unbind(1)]

    size = sum(p.numel() for p in drawn_module(make, 0).parameters())
    too_many = [d for d in dims if d > size]
    if too_many:
        raise SemblanceError(f"{too_many[0]} directions, and the network has {size} parameters: ask for fewer")
    return searched(within, {seed: full(seed) for seed in seeds}, dims, size, share, bisection)
