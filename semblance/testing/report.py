"""What every report promises."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from semblance.contracts import Report
from semblance.testing.promises import Excused, keep, that


def check_report(report: Any, excused: Excused = None) -> None:
    """Holds a report to the Report contract."""
    kind = type(report).__name__
    that(isinstance(report, Report), f"a {kind} is no Report: it lacks table, plot or save")
    keep(f"the report {kind}", PROMISES, excused, report)


def _verdict(report: Any) -> None:
    """`str` is the verdict in one sentence"""
    text = str(report)
    that(bool(text.strip()) and "\n" not in text, f"{text!r}")
    that(not text.startswith(("<", f"{type(report).__name__}(")), f"{text!r} is no sentence")


def _numbers(report: Any) -> None:
    """`table()` is an Arrow table with rows"""
    import pyarrow as pa

    table = report.table()
    that(isinstance(table, pa.Table), f"it is a {type(table).__name__}")
    that(table.num_rows > 0 and table.num_columns > 0, f"it has {table.num_rows} rows and {table.num_columns} columns")


def _picture(report: Any) -> None:
    """`plot()` is a picture with something on it"""
    figure = report.plot()
    that(hasattr(figure, "savefig") or hasattr(figure, "save"), f"a {type(figure).__name__} cannot be saved")
    drawn = getattr(figure, "axes", None)
    that(drawn is None or any(axes.has_data() for axes in drawn), "nothing is drawn on it")


def _page(report: Any) -> None:
    """`save(path)` writes one HTML file, which holds the verdict and fetches nothing"""
    with tempfile.TemporaryDirectory() as folder:
        report.save(Path(folder) / "report.html")
        files = [file.name for file in Path(folder).iterdir()]
        that(files == ["report.html"], f"it wrote {files}")
        page = (Path(folder) / "report.html").read_text(encoding="utf-8")
    that("<" in page and len(page) > 100, "the file is no page")
    outside = re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+|@import|url\(\s*["']?https?:""", page)
    that(outside is None, f"the page fetches {outside.group(0) if outside else ''}")


PROMISES = {"verdict": _verdict, "numbers": _numbers, "picture": _picture, "page": _page}
