"""Reports: what an analysis found, as a table, a picture, one HTML file and a sentence; and tables as notebooks show them.

Whatever a user named (ids, labels, columns) is escaped on its way into HTML. Only `Html` passes as it is.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
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
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6, 3.6), layout="constrained")
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
        write_page(path, self.title, self.verdict, self.plot(), self.rows)

    def _repr_html_(self) -> str:
        return report_html(self.title, self.verdict, self.plot(), self.rows)


class Html(str):
    """Text that is HTML already."""


def write_page(path: str | Path, title: str, verdict: str, figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One HTML file with a report's verdict, table and picture, and nothing to fetch; numbers are shown to four digits."""
    head = f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>'
    Path(path).write_text(
        f"{head}<h1>{html.escape(title)}</h1>{_content(title, verdict, figure, rows)}", encoding="utf-8"
    )


def report_html(title: str, verdict: str, figure: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    """The same as a piece of a page."""
    return f"<div><strong>{html.escape(title)}</strong>{_content(title, verdict, figure, rows)}</div>"


def _content(title: str, verdict: str, figure: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    table = table_html(list(rows[0]), (row.values() for row in rows))
    image = image_html(picture.getvalue(), title, "max-width:100%;background:white")
    return f"<p>{html.escape(verdict)}</p>{table}{image}"


def table_html(columns: Sequence[str], rows: Iterable[Iterable[Any]], title: str = "") -> Html:
    """A table. Numbers stand to the right with four digits, what is None is a dash; colours are the page's own."""
    heads = "".join(f"<th>{_cell(name)}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{"right" if _is_number(v) else "left"}">{_cell(v)}</td>' for v in row)
        + "</tr>"
        for row in rows
    )
    caption = f'<caption style="text-align:left">{_cell(title)}</caption>' if title else ""
    head = f"<thead><tr>{heads}</tr></thead>" if any(columns) else ""
    return Html(f"<table>{caption}{head}<tbody>{body}</tbody></table>")


def image_html(content: bytes, alt: str, style: str = "") -> Html:
    """A picture within the page: PNG, JPEG, GIF or WebP by its first bytes."""
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), "png")
    coded = base64.b64encode(content).decode()
    return Html(f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/{kind};base64,{coded}">')


_KINDS = {b"\x89PNG": "png", b"\xff\xd8": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return value
    if value is None:
        return "\u2013"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
