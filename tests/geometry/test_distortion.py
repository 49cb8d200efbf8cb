"""Scores of points that stand for distances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from semblance.errors import SemblanceError
from semblance.geometry.distortion import (
    average_distortion,
    best_scale,
    mean_average_precision,
    stretches,
    worst_distortion,
)


def test_distortions_of_three_points_by_hand():
    given = np.array([[0, 1, 2], [1, 0, math.inf], [2, math.inf, 0]])
    embedded = np.array([[0, 2, 2], [2, 0, 9], [2, 9, 0.0]])
    stretch = stretches(embedded, given)
    assert stretch.tolist() == [2, 1]
    assert average_distortion(stretch) == 0.5 and worst_distortion(stretch) == 2
    assert worst_distortion(np.array([0.0, 1])) == math.inf


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=12))
def test_no_other_scale_has_less_average_distortion(values):
    stretch = np.array(values)
    least = average_distortion(stretch * best_scale(stretch))
    assert all(average_distortion(stretch * s) >= least - 1e-12 for s in np.geomspace(0.02, 50, 200))


def test_map_counts_strangers_among_the_neighbours_as_plain_loops_do():
    rng = np.random.default_rng(0)
    embedded = rng.integers(1, 9, (7, 7)).astype(float)
    embedded = embedded + embedded.T
    linked = np.triu(rng.random((7, 7)) < 0.4, 1)
    linked = linked | linked.T
    each = []
    for i in range(7):
        near = np.flatnonzero(linked[i])
        shares = []
        for n in near:
            within = [j for j in range(7) if j != i and embedded[i, j] <= embedded[i, n]]
            shares.append(np.isin(within, near).mean())
        if shares:
            each.append(np.mean(shares))
    graph = sparse.csr_array(linked)
    assert mean_average_precision(embedded, graph) == pytest.approx(np.mean(each))
    rows = np.array([4, 2])
    asked = mean_average_precision(embedded[rows], sparse.csr_array(graph[rows]), rows)
    assert asked == pytest.approx(np.mean([each[4], each[2]]))


def test_without_a_known_distance_or_a_neighbour_there_is_no_score():
    with pytest.raises(SemblanceError, match="no distance is known"):
        stretches(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(SemblanceError, match="no node has a neighbour"):
        mean_average_precision(np.zeros((2, 2)), sparse.csr_array((2, 2)))
