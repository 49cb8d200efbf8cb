"""A report of rows: its sentence, its table, its picture, its file, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from semblance.contracts import Report
from semblance.errors import SemblanceError
from semblance.reports import TableReport

ROWS = (
    {"k": 1, "recall": 0.5, "who": "<a>"},
    {"k": 2, "recall": 0.75, "who": "<a>"},
    {"k": 1, "recall": 0.25, "who": "b"},
)


def test_a_report_holds_its_rows_and_draws_a_line_for_every_group(tmp_path: Path) -> None:
    report = TableReport("Found", "half & more", ROWS, "k", ("recall",), "who")
    assert isinstance(report, Report) and str(report) == "half & more"
    assert report.table().to_pylist() == list(ROWS)
    lines = report.plot().axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [[0.5, 0.75], [0.25]]
    report.save(tmp_path / "found.html")
    page = (tmp_path / "found.html").read_text()
    assert "half &amp; more" in page and "&lt;a&gt;" in page and "<a>" not in page and "http" not in page


@pytest.mark.parametrize(
    ("rows", "x", "words"), [((), "k", "no rows"), (ROWS, "depth", "lacks: depth")], ids=["empty", "column"]
)
def test_a_report_that_cannot_be_drawn_is_refused(rows, x: str, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SemblanceError, match=words):
        TableReport("Found", "", rows, x, ("recall",))
