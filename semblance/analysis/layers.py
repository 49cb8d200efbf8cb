"""Layers against layers: how far every layer of one network agrees with every layer of another, as a heat map.

    value(i, j)   a measure of `similarity` between layer i of the first and layer j of the second, on the same items

Every layer is read once, whatever the number of its partners: of alignment only the cross terms are made for a pair. Two
networks that learned the same by the same steps are bright along the diagonal; a block says that its layers add little to
one another. Reference: Kornblith et al. 2019 (layers of networks of different seeds find each other).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from semblance.analysis.similarity import MEASURES
from semblance.errors import SemblanceError, unknown
from semblance.reports import report_html, write_page

ORDERS = 3
"""Random orders of one side's items, whose mean stands for chance."""
WRITTEN = 144
"""Cells up to which their values are written into them."""


@dataclass(frozen=True)
class LayerComparison:
    """The report. values: [layers of the first, layers of the second]; null: their mean with one side's items in random
    order."""

    names: tuple[str, str]
    layers: tuple[tuple[str, ...], tuple[str, ...]]
    measure: str
    values: np.ndarray
    null: float
    items: int
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """Which layers find each other, and whether in order."""
        a, b = self.names
        i, j = np.unravel_index(self.values.argmax(), self.values.shape)
        best = f"{self.layers[0][i]} and {self.layers[1][j]} are nearest ({self.measure} {self.values[i, j]:.2f}, "
        best += f"{self.null:.2f} by chance)"
        nearest = self.values.argmax(1)
        if self.layers[0] == self.layers[1]:
            same = int((np.diag(self.values) >= self.values.max(1) - 1e-6).sum())  # layers that change nothing tie
            return f"{same} of {len(nearest)} layers of {a} find the same layer of {b} nearest; {best}"
        if len(nearest) < 3 or np.ptp(nearest) == 0:
            return f"of the layers of {a} and {b}, {best}"
        order = stats.spearmanr(np.arange(len(nearest)), nearest).statistic
        return f"layers of {a} find theirs in {b} in an order that agrees with depth by {order:.2f}; {best}"

    def to_dict(self) -> dict[str, Any]:
        """{layers: [[names], [names]], measure, values: [[...]], null, sentence, items, notes}."""
        return {
            "layers": [list(side) for side in self.layers],
            "measure": self.measure,
            "values": self.values.tolist(),
            "null": self.null,
            "sentence": str(self),
            "items": self.items,
            "notes": list(self.notes),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a layer of the first, one column a layer of the second."""
        return [
            {"layer": name, **{other: float(v) for other, v in zip(self.layers[1], row, strict=True)}}
            for name, row in zip(self.layers[0], self.values, strict=True)
        ]

    def table(self) -> Any:
        """Columns layer, other, and the measure's value: a row a pair."""
        import pyarrow as pa

        a, b = self.layers
        pairs = [
            {"layer": x, "other": y, self.measure: float(self.values[i, j])}
            for i, x in enumerate(a)
            for j, y in enumerate(b)
        ]
        return pa.Table.from_pylist(pairs)

    def plot(self) -> Any:
        """A matplotlib figure: the heat map, the first side's layers from the bottom up."""
        from semblance.figures import Drawn

        rows, columns = self.values.shape
        width = float(np.clip(0.5 * columns + 2.8, 4.2, 10))
        figure = Drawn(figsize=(width, float(np.clip(0.38 * rows + 2.2, 3.2, 10))), layout="constrained")
        axes = figure.subplots()
        low = min(0.0, float(self.values.min()))
        image = axes.imshow(self.values, origin="lower", vmin=low, vmax=1, cmap="viridis", aspect="auto")
        axes.set_xticks(range(columns), self.layers[1], rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(rows), self.layers[0])
        axes.set(xlabel=self.names[1], ylabel=self.names[0])
        if self.values.size <= WRITTEN:
            for (i, j), value in np.ndenumerate(self.values):
                axes.text(
                    j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white", size=8
                )
        figure.colorbar(image, ax=axes, label=self.measure)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, self._title(), self._said(), self.plot(), self.rows())

    def _title(self) -> str:
        return f"Layers of {' and '.join(self.names)}"

    def _said(self) -> str:
        return ". ".join([str(self), *self.notes]) + "."

    def _repr_html_(self) -> str:
        return report_html(self._title(), self._said(), self.plot(), self.rows())


def layer_comparison(
    xs: Mapping[str, np.ndarray],
    ys: Mapping[str, np.ndarray],
    names: tuple[str, str] = ("x", "y"),
    measure: str = "cka",
    seed: int = 0,
    progress: Callable[[str], None] = lambda name: None,
) -> LayerComparison:
    """Layers by name, [n, p] each, of the same items in the same order -> the report. progress is called with a layer's
    name before it is read."""
    if measure not in MEASURES:
        raise unknown("measure", measure, MEASURES)
    chosen = MEASURES[measure]
    lengths = {name: len(x) for side in (xs, ys) for name, x in side.items()}
    if not xs or not ys or len(set(lengths.values())) > 1:
        raise SemblanceError(
            f"the layers have {lengths or 'no'} items: give one layer or more a side, of the same items in the same order"
        )
    n, notes = next(iter(lengths.values())), []
    rng = np.random.default_rng([seed, n])
    rows = np.sort(rng.choice(n, min(n, chosen.most or n), replace=False))
    if len(rows) < n:
        notes.append(f"{measure} is of {len(rows):,} of the {n:,} items")
    sides: list[list[Any]] = []
    for which, side in zip(names, (xs, ys), strict=True):
        sides.append([])
        for name, x in side.items():
            progress(name)
            try:
                sides[-1].append(chosen.prepare(np.asarray(x)[rows]))
            except SemblanceError as error:
                raise SemblanceError(f"layer {name} of {which}: {error}") from error
            if x.shape[1] >= len(rows) and measure in ("svcca", "pwcca"):
                wide = f"{name} of {which} has {x.shape[1]} features for {len(rows)} items"
                notes.append(f"{wide}: {measure} is near 1 there for any data")
    values = np.array([[chosen.between(a, b) for b in sides[1]] for a in sides[0]])
    null = 0.0  # the mean of unbiased alignment over all orders
    if measure != "cka":
        mixed = [[chosen.reorder(b, rng.permutation(len(rows))) for b in sides[1]] for _ in range(ORDERS)]
        null = float(np.mean([chosen.between(a, b) for drawn in mixed for b in drawn for a in sides[0]]))
    return LayerComparison(names, (tuple(xs), tuple(ys)), measure, values, null, n, tuple(notes))
