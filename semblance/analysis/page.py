"""Page: a report as one HTML file, with its verdict, picture and table, and nothing to fetch."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import pyarrow as pa


def write_page(path: str | Path, title: str, verdict: str, figure: Any, table: pa.Table) -> None:
    """Write it; numbers are shown to four digits."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    image = base64.b64encode(picture.getvalue()).decode()
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in table.column_names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_text(v))}</td>" for v in row.values()) + "</tr>"
        for row in table.to_pylist()
    )
    Path(path).write_text(
        f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title><p>{html.escape(verdict)}</p>'
        f'<img alt="{html.escape(title)}" src="data:image/png;base64,{image}">'
        f"<table><tr>{heads}</tr>{rows}</table>",
        encoding="utf-8",
    )


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
