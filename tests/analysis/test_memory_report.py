"""The curves of a memory: a power law found again, and confidences that say what they mean."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.memory_report import calibration, memory_report, power_law
from semblance.errors import SemblanceError


def test_a_power_law_is_found_again() -> None:
    sizes = [10, 100, 1000]
    assert power_law(sizes, [0.7 * n**-0.3 for n in sizes]) == pytest.approx((0.7, -0.3))
    with pytest.raises(SemblanceError, match="two sizes"):
        power_law([10], [0.1])
    with pytest.raises(SemblanceError, match="errors above 0"):
        power_law([10, 20], [0.1, 0.0])


def test_honest_confidences_have_no_gap_and_boasting_ones_have_theirs() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 40_000)
    honest = calibration(p, rng.random(40_000) < p)
    boasting = calibration(np.ones(40_000), rng.random(40_000) < 0.7)
    assert honest.gap < 0.01 and boasting.gap == pytest.approx(0.3, abs=0.01)
    assert honest.items.sum() == 40_000
    assert np.isnan(boasting.accuracy[:-1]).all()
    with pytest.raises(SemblanceError, match="share"):
        calibration(np.array([1.5]), np.array([True]))
    with pytest.raises(SemblanceError, match="one of each"):
        calibration(np.zeros(2), np.zeros(3))


def test_the_report_counts_as_one_memory_after_the_other_does(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=600)
    x = (np.eye(5)[y] + rng.normal(0, 0.6, (600, 5))).astype(np.float32)
    labels = [str(c) for c in y]
    found = memory_report(x[:400], labels[:400], x[400:], labels[400:], sizes=(20, 90, 400), counts=(1, 10, 5000))
    rows = found.table().to_pylist()
    assert [(row["kind"], row["at"]) for row in rows] == [
        ("size", 20),
        ("size", 90),
        ("size", 400),
        ("k", 1),
        ("k", 10),
    ]
    assert rows[-1]["accuracy"] == rows[2]["accuracy"]
    assert found.slope < 0 and "400 items" in str(found)
    found.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert str(found).split(",")[0] in page and "base64" in page
    with pytest.raises(SemblanceError, match="sizes"):
        memory_report(x[:4], labels[:4], x[4:8], labels[4:8])
