"""Tables of `semblance rank`, a set each, and their picture: what graphs/ranks.py and objectives/ranks.py share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import semblance as sb
from bench.harness import RESULTS, ROOT, machine
from semblance.figures import Drawn
from semblance.space.rank import BASELINES

WORDS = {
    "knn5": "share that 5 neighbours label rightly",
    "fewshot1_all": "share named rightly from one example a class",
    "auc": "AUC beside pairs without an edge",
}
PLAIN = (*BASELINES, "untrained")  # what is not learned


@dataclass(frozen=True)
class Asked:
    """A set's task, the methods, and its budget: `rank`'s own without `seconds`. `read` gives the data, which is the known
    set of this name without it; `settings` are those of methods that do not take their recipe's."""

    task: str
    recipes: tuple[str, ...]
    seconds: float | None = None
    read: Callable[[], Any] | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def rankings(said: str | None, sets: Mapping[str, Asked], *, result: str, picture: str, grid: tuple[int, int]) -> None:
    """The command line: tables of the sets named; result and picture are written when all are asked for."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(sets), help=f"of {', '.join(sets)}; all: the result is written")
    parser.add_argument("--out", type=Path, default=Path("ranks"), help="finished runs are kept here and not run again")
    parser.add_argument("--seconds", type=float, help="a run, instead of the set's own budget: to try it out")
    given = parser.parse_args()
    tables = [table(name, sets[name], given.out, given.seconds) for name in given.sets]
    if list(given.sets) == list(sets) and given.seconds is None:
        (RESULTS / result).write_text(json.dumps({"machine": machine(1), "tables": tables}, indent=1) + "\n")
        drawn(tables, ROOT / "docs" / picture, grid)


def table(name: str, asked: Asked, folder: Path, seconds: float | None = None) -> dict[str, Any]:
    """One table, with what every method took."""
    data = name if asked.read is None else asked.read()
    budget = {"seconds": asked.seconds if seconds is None else seconds}
    kept = {"out": folder / f"{name}.rank", "settings": asked.settings, "say": print}
    found = sb.rank(data, asked.recipes, task=asked.task, seeds=3, **budget, **kept)
    print(f"{name}: {found}", flush=True)
    return {"set": name, "task": asked.task, **found.to_dict(), "sentence": str(found)}


def drawn(tables: list[dict[str, Any]], path: Path, grid: tuple[int, int]) -> None:
    """A panel a table, the best on top, what is not learned in grey."""
    figure = Drawn(figsize=(5 * grid[1], 3.17 * grid[0]), layout="constrained")
    for axes, each in zip(figure.subplots(*grid, squeeze=False).flat, tables, strict=False):
        rows = each["rows"][::-1]
        for place, row in enumerate(rows):
            plain = row["recipe"] in PLAIN
            axes.errorbar(
                row["value"],
                place,
                xerr=[[row["value"] - row["low"]], [row["high"] - row["value"]]],
                fmt="s" if plain else "o",
                color="0.5" if plain else "#0072b2",
                capsize=2,
                markersize=4,
            )
        axes.set_yticks(range(len(rows)), [row["recipe"] for row in rows], fontsize=8)
        axes.set_title(f"{each['set']}, {each['task']}", fontsize=10)
        axes.set_xlabel(WORDS.get(rows[0]["metric"], rows[0]["metric"]), fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
