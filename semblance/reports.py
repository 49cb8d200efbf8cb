"""Reports: what an analysis found, as a table, a picture, one HTML file and a sentence."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semblance.errors import SemblanceError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableReport:
    """Rows of equal columns; the picture shows `lines` (columns of numbers) over the column `x`, one line for every value
    of the column `by` where there is one."""

    title: str
    verdict: str
    rows: tuple[Mapping[str, Any], ...]
    x: str
    lines: tuple[str, ...]
    by: str | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise SemblanceError(f"the report {self.title!r} has no rows: give one or more")
        lost = {self.x, *self.lines, *([self.by] if self.by else [])} - set(self.rows[0])
        if lost:
            raise SemblanceError(f"the report {self.title!r} draws columns that it lacks: {', '.join(sorted(lost))}")

    def __str__(self) -> str:
        return self.verdict

    def table(self) -> pa.Table:
        """One row a line."""
        import pyarrow as pa

        return pa.Table.from_pylist([dict(row) for row in self.rows])

    def plot(self) -> Any:
        """A matplotlib figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        groups = list(dict.fromkeys(row[self.by] for row in self.rows)) if self.by else [None]
        for group in groups:
            some = [row for row in self.rows if self.by is None or row[self.by] == group]
            for line in self.lines:
                label = " ".join(str(part) for part in (line, group) if part is not None)
                axes.plot([row[self.x] for row in some], [row[line] for row in some], "o-", label=label)
        axes.set_xlabel(self.x)
        axes.legend()
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with verdict, table and picture."""
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=120)
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in self.rows[0])
        body = "".join("<tr>" + "".join(f"<td>{_cell(v)}</td>" for v in row.values()) + "</tr>" for row in self.rows)
        image = base64.b64encode(picture.getvalue()).decode()
        title, said = html.escape(self.title), html.escape(self.verdict)
        Path(path).write_text(
            f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><p>{said}</p>'
            f'<table><tr>{heads}</tr>{body}</table><img alt="{title}" src="data:image/png;base64,{image}">',
            encoding="utf-8",
        )


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
