"""The report on zero-shot models: a row for every combination of model, switches, setting and measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import report_html, write_page

SWITCHES = ("direction", "neighbours", "transductive")
MAIN = {
    "zero-shot": "unseen",
    "generalised": "harmonic mean calibrated",
    "one-shot": "unseen",
    "open-set": "novelty AUC",
    "compositional": "unseen",
}
"""The measure by which a setting compares models."""


@dataclass(frozen=True)
class ZeroShot:
    """rows {model, direction, neighbours, transductive, setting, measure, value, low, high, chance, skewness}, how many
    classes were seen and unseen, and notes."""

    rows: tuple[Mapping[str, Any], ...]
    seen: int
    unseen: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The best way in the first setting."""
        setting = self.rows[0]["setting"]
        ways = self.main(setting)
        best = max(ways, key=lambda row: row["value"])
        interval = "" if best["low"] is None else f" [{best['low']:.2f}, {best['high']:.2f}]"
        return (
            f"{self.name(best)} answers {self.unseen} classes it has seen no item of best of {len(ways)} ways, after "
            f"{self.seen} seen ones: {setting} {best['measure']} {best['value']:.2f}{interval}, "
            f"{best['chance']:.2f} by chance"
        )

    def main(self, setting: str) -> list[Mapping[str, Any]]:
        """One row a way."""
        return [row for row in self.rows if row["setting"] == setting and row["measure"] == MAIN[setting]]

    @staticmethod
    def name(row: Mapping[str, Any]) -> str:
        """The model, with the switches that are on."""
        on = [row[switch] for switch in SWITCHES if row[switch] not in (None, "nearest", "none")]
        return " ".join([row["model"], *on])

    def value(self, model: str, setting: str = "zero-shot", measure: str | None = None, **switches: str) -> float:
        """The first figure of a model that these switches fit."""
        measure = MAIN.get(setting, "") if measure is None else measure
        asked = {"model": model, "setting": setting, "measure": measure, **switches}
        found = [row["value"] for row in self.rows if all(row.get(key) == want for key, want in asked.items())]
        if not found:
            raise SemblanceError(f"the report has no row of {', '.join(f'{k} {v}' for k, v in asked.items())}")
        return float(found[0])

    def to_dict(self) -> dict[str, Any]:
        """{sentence, seen, unseen, notes, rows}."""
        return {
            "sentence": str(self),
            "seen": self.seen,
            "unseen": self.unseen,
            "notes": list(self.notes),
            "rows": [dict(row) for row in self.rows],
        }

    def table(self) -> Any:
        """An Arrow table of the rows."""
        import pyarrow as pa

        return pa.Table.from_pylist([dict(row) for row in self.rows])

    def plot(self) -> Any:
        """A matplotlib figure: a panel for each setting, a bar for each way, a dashed line for chance."""
        from semblance.figures import Drawn

        settings = list(dict.fromkeys(row["setting"] for row in self.rows))
        most = max(len(self.main(setting)) for setting in settings)
        figure = Drawn(figsize=(1 + 3.4 * len(settings), 1.2 + 0.26 * most), layout="constrained")
        for axes, setting in zip(figure.subplots(1, len(settings), squeeze=False)[0], settings, strict=True):
            ways = sorted(self.main(setting), key=lambda row: row["value"])
            value = np.array([row["value"] for row in ways])
            ends = [(row["low"], row["high"]) if row["low"] is not None else (row["value"],) * 2 for row in ways]
            axes.barh(range(len(ways)), value, xerr=np.abs(np.array(ends).T - value), color="#0072b2", ecolor="#555555")
            axes.axvline(ways[0]["chance"], color="#d55e00", linestyle="--", label="chance")
            axes.set_yticks(range(len(ways)), [self.name(row) for row in ways])
            axes.set(title=setting, xlabel=MAIN[setting], xlim=(0, 1))
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Zero-shot", str(self), self.plot(), list(self.rows))

    def _repr_html_(self) -> str:
        return report_html("Zero-shot", str(self), self.plot(), list(self.rows))
