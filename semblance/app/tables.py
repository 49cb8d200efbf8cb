"""Tables on stdout, as a person reads them; programs ask for --json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semblance.space.show import METRICS


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[int] = ()) -> None:
    """A table. `right` are the columns that hold numbers. A pipe gets wide lines rather than broken ones."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=180)
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def evaluation(metrics: Mapping[str, Mapping[str, float | None] | None], title: str) -> None:
    """The evaluation of a space: value, 95% interval, and the raw input beside it. What the data gives no answer to (it
    needs labels, or a second view) is left out."""
    rows = []
    for name, found in metrics.items():
        if found is None or found.get("value") is None:
            continue
        low, high = found.get("low"), found.get("high")
        span = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        rows.append([name, METRICS.get(name, ""), number(found["value"]), span, number(found.get("baseline"))])
    show(title, ["metric", "", "value", "95% interval", "raw input"], rows, right=(2, 3, 4))


def ranking(rows: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, Any]]) -> None:
    """Methods, best first, with the paired test of each against the best."""
    against = {test["b"]: test for test in tests if test["a"] == rows[0]["recipe"]}
    listed = []
    for row in rows:
        test = against.get(row["recipe"])
        worse = "" if test is None else f"{test['difference']:+.3f}, p = {test['p_holm']:.3g}"
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        listed.append([row["recipe"], number(row["value"]), span, worse, row["seeds"], f"{row['seconds']:.1f}"])
    metric = rows[0]["metric"] if rows else "value"
    columns = ["recipe", metric, "95% interval", "best minus this, Holm", "seeds", "seconds a run"]
    show("", columns, listed, right=(1, 2, 3, 4, 5))


def neighbours(query: str, answer: Mapping[str, Any]) -> None:
    """The answer to one query: ids with distances and attributes."""
    columns = list(dict.fromkeys(name for found in answer["results"] for name in found["attributes"]))
    shards = ["space"] if any("space" in found for found in answer["results"]) else []
    rows = [
        [
            found["id"],
            number(found["distance"], 4),
            *(found[name] for name in shards),
            *(found["attributes"].get(name) for name in columns),
        ]
        for found in answer["results"]
    ]
    title = f"{query}: {answer['plan']}, {answer['matches']:,} match"
    show(title, ["id", "distance", *shards, *columns], rows, right=(1,))


def votes(title: str, decision: Any) -> None:
    """What an item's neighbours voted, one by one, and what that makes."""
    rows = [[v.id, v.label, number(v.distance, 4), f"{100 * v.share:.1f}%"] for v in decision.neighbours]
    show(title, ["neighbour", "label", "distance", "share of the vote"], rows, right=(2, 3))
    print("votes: " + ", ".join(f"{name} {100 * share:.0f}%" for name, share in decision.shares.items()))
