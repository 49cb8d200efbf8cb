"""Survey of tasks: what nets are worth that learned different tasks in equal steps, beside one that learned nothing.

Every task has a score for each seed and test unit, so that a mean has an interval, and so has the difference of two tasks:
the bootstrap draws seeds and units anew, for both alike (intervals.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.intervals import bootstrap_mean, compare_rows, paired
from semblance.errors import SemblanceError, unknown
from semblance.reports import report_html, write_page

UNTRAINED, SUPERVISED = "untrained", "supervised"
BESIDE = (UNTRAINED, SUPERVISED)


@dataclass(frozen=True)
class Survey:
    """rows: one a task, best first: {task, family, kind, measure, value, low, high, gain, gain_low, gain_high (over the
    untrained net), start and end (of the loss: its first step, the mean of its last five), steps, seconds}; tests: every
    pair, {a, b, difference, low, high, p, p_holm, differs}; scores: task -> [seeds, test units]."""

    data: str
    measure: str
    seeds: int
    rows: tuple[Mapping[str, Any], ...]
    tests: tuple[Mapping[str, Any], ...]
    scores: Mapping[str, np.ndarray] = field(repr=False)

    def __str__(self) -> str:
        """The best task, and what is not clearly worse."""
        asked = [row for row in self.rows if row["task"] not in BESIDE]
        best = asked[0]
        level = [t["b"] for t in self.tests if t["a"] == best["task"] and not t["differs"] and t["b"] not in BESIDE]
        worse = [row["task"] for row in asked if row["gain_high"] < 0]
        tail = f"; not clearly worse: {', '.join(level)}" if level else ""
        tail += f"; worse than no training: {', '.join(worse)}" if worse else ""
        said = f"{best['task']} is the best of {len(asked)} tasks on {self.data} after {best['steps']} steps"
        return f"{said} ({self.measure} {best['value']:.3f}, {best['gain']:+.3f} over the untrained net){tail}"

    def of(self, task: str) -> Mapping[str, Any]:
        """The row of a task."""
        found = {row["task"]: row for row in self.rows}
        if task not in found:
            raise unknown("surveyed task", task, found)
        return found[task]

    def itself(self, task: str) -> dict[str, float]:
        """The first seed against the second: {difference, low, high, p}. What lies within it is what seeds do."""
        scores = self.scores[self.of(task)["task"]]
        if len(scores) < 2:
            raise SemblanceError(f"{task} was surveyed with one seed: take seeds=2 to compare it with itself")
        return paired(scores[0], scores[1])

    def to_dict(self) -> dict[str, Any]:
        """{data, measure, seeds, sentence, rows, tests}."""
        plain = {"data": self.data, "measure": self.measure, "seeds": self.seeds, "sentence": str(self)}
        return {**plain, "rows": [dict(row) for row in self.rows], "tests": [dict(test) for test in self.tests]}

    def table(self) -> Any:
        """The rows as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist([dict(row) for row in self.rows])

    def plot(self) -> Any:
        """A matplotlib figure: every task with its interval, coloured by family, best on top."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6.5, 1.0 + 0.36 * len(self.rows)), layout="constrained")
        axes = figure.subplots()
        families = list(dict.fromkeys(row["family"] for row in self.rows))
        shown: set[str] = set()
        for place, row in enumerate(self.rows):
            colour = COLOURS[families.index(row["family"]) % len(COLOURS)]
            label = None if row["family"] in shown else row["family"]
            shown.add(row["family"])
            span = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
            axes.errorbar(row["value"], place, xerr=span, fmt="o", color=colour, capsize=3, label=label)
        axes.set_yticks(range(len(self.rows)), [row["task"] for row in self.rows])
        axes.invert_yaxis()
        axes.set_xlabel(f"{self.measure} on the test part, 95% interval")
        axes.grid(axis="x", alpha=0.3)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, f"Pretexts on {self.data}", str(self), self.plot(), self.rows)

    def _repr_html_(self) -> str:
        return report_html(f"Pretexts on {self.data}", str(self), self.plot(), self.rows)


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666", "#e69f00")  # told apart by most eyes (Okabe & Ito)


def surveyed(
    data: str,
    measure: str,
    scores: Mapping[str, np.ndarray],
    facts: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, tuple[str, str]],
    seed: int = 0,
) -> Survey:
    """Scores [seeds, test units] of every task and of the untrained net, facts of their runs, family and kind of the tasks
    -> the report: rows with intervals, best first, and the paired tests."""
    rows = []
    for task, found in scores.items():
        value, low, high = bootstrap_mean(found, seed)
        gain = paired(found, scores[UNTRAINED], seed)
        family, kind = kinds.get(task, ("beside", task))
        row = {
            "task": task,
            "family": family,
            "kind": kind,
            "measure": measure,
            "value": value,
            "low": low,
            "high": high,
        }
        row |= {"gain": gain["difference"], "gain_low": gain["low"], "gain_high": gain["high"]}
        rows.append({**row, **facts[task]})
    rows.sort(key=lambda row: -row["value"])
    seeds = len(scores[UNTRAINED])
    return Survey(data, measure, seeds, tuple(rows), tuple(compare_rows(scores, seed)), dict(scores))
