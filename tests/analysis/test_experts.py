"""The report on experts: every unit in one row, and the shares of right answers in it."""

import numpy as np
import pytest

from semblance.analysis.experts import expert_report


def test_units_stand_in_the_row_of_their_confidence_with_the_shares_of_right_answers():
    sure = np.array([0.05, 0.07, 0.95, 1.0, 0.5, 0.3])
    y = np.array([0, 1, 0, 1, 1, -1])
    weak, strong, both = np.array([0, 0, 0, 1, 0, 0]), np.array([0, 1, 1, 1, 1, 0]), np.array([0, 1, 0, 1, 1, 0])
    rows = expert_report(sure, weak, strong, both, y).table().to_pylist()
    assert [(row["confidence"], row["units"]) for row in rows] == [(0.05, 2), (0.55, 1), (0.95, 2)]
    assert [row["weak"] for row in rows] == [0.5, 0.0, 1.0]
    assert [row["strong"] for row in rows] == [1.0, 1.0, 0.5]
    assert [row["mixture"] for row in rows] == [pytest.approx(1.0)] * 3
