"""How far two representations of the same items agree: every measure with an interval, beside what chance gives.

    value      on all items, or on as many as a measure can take (`Measure.most`), drawn by seed; the row says how many
    interval   from subsamples of m of n items without replacement: their spread times sqrt( m / (n - m) ), since a
               subsample of a finite set differs from the whole as the whole does from all that could have been drawn
    chance     the same items in random order on one side: for CKA the mean of all orders, and p by their closed law; for
               the others over draws, whose number is the least p that can be said

Where a side has as many directions as there are items in a subsample, canonical correlations are 1 whatever the data: no
interval is given then, and a note says so. References: Politis & Romano 1994 (subsampling); `permutation_law`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.permutation_law import Law
from semblance.analysis.similarity import MEASURES, Measure
from semblance.errors import SemblanceError, unknown
from semblance.reports import report_html, write_page

DRAWN = 24  # subsamples
SUBSAMPLE = 500  # items of one, at most
ORDERS = 199  # random orders, fewer where a side has very many features
WORK = 2e9  # features cubed, over all orders
LAW = 1_000  # items whose law of CKA is computed
CANONICAL = ("svcca", "pwcca")
WIDE = 1.96


@dataclass(frozen=True)
class Agreement:
    """One measure: its value with the 95% interval (None where there is none), its mean by chance and the p value of
    being as large by chance, on how many items."""

    value: float
    low: float | None
    high: float | None
    null: float
    p: float
    items: int


@dataclass(frozen=True)
class Comparison:
    """The report on two representations."""

    names: tuple[str, str]
    measures: Mapping[str, Agreement]
    items: int
    features: tuple[int, int]
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """How far they agree, by the first measure above chance, and by neighbours where they were compared."""
        name, first = next(iter(self.measures.items()))
        a, b = self.names
        if first.p > 0.05:
            by_chance = f"{name} {first.value:.2f}, {first.null:.2f} by chance"
            return f"{a} and {b} agree no more than chance would have it: {by_chance}"
        degree = next(word for least, word in DEGREES if first.value >= least)
        interval = "" if first.low is None else f" [{first.low:.2f}, {first.high:.2f}]"
        near = self.measures.get("neighbours")
        tail = "" if near is None or near is first else f"; {near.value:.0%} of an item's nearest are the same"
        return f"{a} and {b} {degree}: {name} {first.value:.2f}{interval}, {first.null:.2f} by chance{tail}"

    def to_dict(self) -> dict[str, Any]:
        """{measures: {name: {value, low, high, null, p, items}}, sentence, items, notes}."""
        return {
            "measures": {name: vars(one) for name, one in self.measures.items()},
            "sentence": str(self),
            "items": self.items,
            "notes": list(self.notes),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a measure."""
        return [{"measure": name, **vars(one), "about": MEASURES[name].about} for name, one in self.measures.items()]

    def table(self) -> Any:
        """The same as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: every measure with its interval, and a mark at chance."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6.5, 0.9 + 0.42 * len(self.measures)), layout="constrained")
        axes = figure.subplots()
        for at, one in enumerate(self.measures.values()):
            low, high = (one.value, one.value) if one.low is None else (one.low, one.high)
            axes.plot([low, high], [at, at], "-", color="#0072b2", linewidth=3, alpha=0.5, solid_capstyle="round")
            axes.plot(one.value, at, "o", color="#0072b2", label="measured, 95%" if not at else None)
            axes.plot(
                one.null,
                at,
                "|",
                color="#d55e00",
                markersize=14,
                markeredgewidth=2,
                label="by chance" if not at else None,
            )
        axes.set_yticks(range(len(self.measures)), list(self.measures))
        axes.set(xlim=(min(-0.02, *(one.null for one in self.measures.values())), 1.02), title=" and ".join(self.names))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, " and ".join(self.names), self._said(), self.plot(), self.rows())

    def _said(self) -> str:
        return ". ".join([str(self), *self.notes]) + "."

    def _repr_html_(self) -> str:
        return report_html(" and ".join(self.names), self._said(), self.plot(), self.rows())


DEGREES = ((0.9, "hold nearly the same"), (0.6, "share most"), (0.3, "share some"), (-np.inf, "share little"))


def comparison(
    x: np.ndarray,
    y: np.ndarray,
    names: tuple[str, str] = ("x", "y"),
    measures: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """[n, p], [n, q] of the same items in the same order -> the report. measures: names from MEASURES, all of them where
    None; progress is called with a measure's name before it is taken."""
    chosen = list(MEASURES) if measures is None else list(measures)
    for name in chosen:
        if name not in MEASURES:
            raise unknown("measure", name, MEASURES)
    if len(x) != len(y):
        raise SemblanceError(
            f"{names[0]} has {len(x)} items and {names[1]} {len(y)}: give the same items in the same order on both sides"
        )
    if len(x) < 16:
        raise SemblanceError(f"{len(x)} items are too few for a comparison with an interval: give at least 16")
    notes = _notes(x, y, names)
    found: dict[str, Agreement] = {}
    pair = _Pair(x, y, seed)
    for name in chosen:
        progress(name)
        found[name] = pair.agreement(name)
        if found[name].low is None:
            notes.append(f"{name} has no interval: a subsample has fewer items than both sides have features")
        if found[name].items < len(x):
            notes.append(f"{name} is of {found[name].items:,} of the {len(x):,} items")
    return Comparison(names, found, len(x), (x.shape[1], y.shape[1]), tuple(notes))


def _notes(x: np.ndarray, y: np.ndarray, names: tuple[str, str]) -> list[str]:
    notes = []
    for side, name in zip((x, y), names, strict=True):
        broken = int((~np.isfinite(side).all(1)).sum())
        if broken:
            raise SemblanceError(
                f"{name} holds NaN or infinity in {broken} of {len(side)} items: leave these out of both"
            )
        still = int((side == side[0]).all(0).sum())
        if still:
            notes.append(f"{name} has {still} constant of {side.shape[1]} features, which say nothing")
        if len(side) <= side.shape[1]:
            notes.append(
                f"{name} has {side.shape[1]} features for {len(side)} items: svcca and pwcca are near 1 for any data then"
            )
    return notes


class _Pair:
    """Two sides and what was prepared of them, since measures share it."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int):
        self.both, self.seed = (x, y), seed
        self.held: dict[Any, tuple[Any, Any]] = {}

    def sides(self, measure: Measure, rows: np.ndarray) -> tuple[Any, Any]:
        """What the measure reads of these items, on either side."""
        key = (measure.prepare, rows.tobytes())
        if key not in self.held:
            self.held[key] = (measure.prepare(self.both[0][rows]), measure.prepare(self.both[1][rows]))
        return self.held[key]

    def agreement(self, name: str) -> Agreement:
        """Value, interval and chance of one measure."""
        measure, everyone = MEASURES[name], len(self.both[0])
        n = min(everyone, measure.most or everyone)
        rng = np.random.default_rng([self.seed, n])  # the same items for all measures that take so many
        rows = np.sort(rng.choice(everyone, n, replace=False))
        a, b = self.sides(measure, rows)
        value = measure.between(a, b)
        low, high = self.interval(name, rows, value, rng)
        null, p = self.law(rows, rng) if name == "cka" else self.chance(measure, a, b, value, n, rng)
        return Agreement(value, low, high, null, p, n)

    def interval(
        self, name: str, rows: np.ndarray, value: float, rng: np.random.Generator
    ) -> tuple[float | None, float | None]:
        """The 95% interval around the value."""
        size, measure = min(len(rows) // 2, SUBSAMPLE), MEASURES[name]
        some = [np.sort(rng.choice(rows, size, replace=False)) for _ in range(DRAWN)]
        if name in CANONICAL and sum(side.shape[1] for side in self.both) > size:
            return None, None
        spread = np.std([measure.between(*self.sides(measure, part)) for part in some], ddof=1)
        half = float(WIDE * spread * np.sqrt(size / (len(rows) - size)))
        return max(value - half, -1.0), min(value + half, 1.0)

    def chance(
        self, measure: Measure, a: Any, b: Any, value: float, n: int, rng: np.random.Generator
    ) -> tuple[float, float]:
        """The mean over random orders of one side, and p."""
        widest = max(side.shape[1] for side in self.both)
        orders = int(np.clip(WORK / widest**3, 9, ORDERS))
        drawn = np.array([measure.between(a, measure.reorder(b, rng.permutation(n))) for _ in range(orders)])
        return float(drawn.mean()), float((1 + (drawn >= value).sum()) / (1 + orders))

    def law(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
        """Of unbiased CKA: its mean over all orders is 0, and p by the closed law."""
        some = np.sort(rng.choice(rows, min(len(rows), LAW), replace=False))
        left, right = (u_centred(side[some]) for side in self.both)
        return 0.0, Law(left, right).p(float(np.vdot(left, right)))


def u_centred(x: np.ndarray) -> np.ndarray:
    """[n, p] -> float64 [n, n], the Gram matrix with an empty diagonal and rows that sum to 0: <K, L> of two is the
    unbiased HSIC. Szekely & Rizzo 2014 "Partial distance correlation with methods for dissimilarities"."""
    x = np.asarray(x, np.float64)
    x, n = x - x.mean(0), len(x)
    k = x @ x.T
    np.fill_diagonal(k, 0)
    rows = k.sum(0)
    k += rows.sum() / ((n - 1) * (n - 2)) - (rows[:, None] + rows) / (n - 2)
    np.fill_diagonal(k, 0)
    return np.asarray(k)
