"""Groups matched with labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from semblance.analysis.agreement import matched


@pytest.mark.parametrize("seed", range(10))
def test_groups_are_matched_with_labels_as_brute_force_matches_them(seed):
    rng = np.random.default_rng(seed)
    found, y = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    best = max(float((np.array(order)[found] == y).mean()) for order in itertools.permutations(range(4)))
    assert matched(found, y) == pytest.approx(best)


def test_names_of_groups_do_not_count_and_numbers_of_them_may_differ():
    y = np.repeat([7, 3, 5], 20)
    assert matched(np.repeat([0, 9, 4], 20), y) == 1.0
    assert matched(np.zeros(60, int), y) == pytest.approx(1 / 3)
    assert matched(np.arange(60), y) == pytest.approx(3 / 60)
