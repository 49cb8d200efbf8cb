"""Trees built into hyperbolic space."""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semblance.errors import SemblanceError
from semblance.geometry.distortion import mean_average_precision, stretches, worst_distortion
from semblance.geometry.scaling import between_all
from semblance.geometry.tree_embedding import bits_for, directions, least_angle, place, place_floats, tau_for
from semblance.geometry.trees import Tree
from tests.geometry.test_trees import random_tree


def unit(tree):
    return replace(tree, length=(tree.parent >= 0).astype(float), kept={})


@settings(max_examples=25)
@given(
    nodes=st.integers(2, 25),
    seed=st.integers(0, 99),
    dim=st.sampled_from([2, 5]),
    eps=st.sampled_from([0.05, 0.5, 2.0]),
)
def test_every_weighted_tree_keeps_its_distances_up_to_one_plus_eps(nodes, seed, dim, eps):
    tree = random_tree(nodes, seed)
    tau = tau_for(tree, dim, eps)
    stretch = stretches(place(tree, dim, tau).distances() / tau, tree.distances())
    assert worst_distortion(stretch) <= 1 + eps
    assert stretch.max() <= 1 + 1e-9  # no path is longer than its edges


@settings(max_examples=10)
@given(nodes=st.integers(2, 40), seed=st.integers(0, 99))
def test_neighbours_are_nearest_of_all_in_two_dimensions(nodes, seed):
    tree = unit(random_tree(nodes, seed))
    found = place(tree, 2, tau_for(tree, 2, 0.1)).distances()
    assert mean_average_precision(found, sparse.csr_array(tree.distances() == 1)) == 1


def test_a_tenth_of_that_scale_breaks_the_bound():
    tree = unit(random_tree(40, 0))
    found = place(tree, 2, tau_for(tree, 2, 0.1) / 10).distances()
    assert worst_distortion(stretches(found, tree.distances())) > 1.1


def test_more_dimensions_need_a_smaller_scale_for_a_star():
    star = Tree(np.array([-1] + [0] * 32), np.array([0.0] + [1] * 32))
    assert tau_for(star, 10, 0.1) < tau_for(star, 5, 0.1) < tau_for(star, 2, 0.1)


def test_floats_and_long_numbers_agree_where_both_have_room():
    tree = random_tree(15, 3)
    for dim in (2, 4):
        points = place_floats(tree, dim, 0.8)
        long = place(tree, dim, 0.8)
        np.testing.assert_allclose(long.floats(), points, atol=1e-10)
        np.testing.assert_allclose(long.distances(), between_all(points), atol=1e-8)


def test_distances_of_whole_numbers_are_those_of_the_formula():
    tree = random_tree(8, 1)
    points = place(tree, 2, 30.0)
    found = points.distances()
    with mpmath.workprec(2000):
        x = [[mpmath.mpf(int(v)) / mpmath.mpf(2) ** points.bits for v in row] for row in points.whole]
        for i in range(8):
            for j in range(8):
                gap = mpmath.sqrt(sum((a - b) ** 2 for a, b in zip(x[i], x[j], strict=True)))
                edge = (1 - sum(a * a for a in x[i])) * (1 - sum(b * b for b in x[j]))
                assert found[i, j] == pytest.approx(float(2 * mpmath.asinh(gap / mpmath.sqrt(edge))), abs=1e-9)


def test_points_lie_as_far_out_as_their_depth_and_need_that_many_bits():
    tree = unit(random_tree(20, 5))
    tau = 25.0
    points, root = place(tree, 2, tau), int(np.flatnonzero(tree.parent < 0)[0])
    np.testing.assert_allclose(points.distances()[root], tau * tree.reach(), rtol=0.03)
    assert points.bits == bits_for(tree, tau) >= tau * tree.reach().max() / math.log(2)
    # With half of the bits the outermost points fall onto one another or on the edge.
    assert worst_distortion(stretches(points.rounded(points.bits // 2).distances(), tree.distances())) > 10
    with pytest.raises(SemblanceError, match="place them with more"):
        points.rounded(points.bits + 1)


def test_a_point_that_rounding_brought_to_the_edge_is_infinitely_far():
    found = place(Tree(np.array([-1, 0, 0]), np.array([0.0, 1, 1])), 2, 60.0).rounded(10).distances()
    assert found[0, 1] == found[1, 2] == math.inf and not np.isnan(found).any()


@pytest.mark.parametrize(
    ("count", "dim", "least"), [(5, 2, 2 * math.pi / 5), (2, 6, math.pi), (8, 3, 1.2), (64, 20, 1.1)]
)
def test_directions_have_length_one_and_keep_apart(count, dim, least):
    u = directions(count, dim)
    assert u.shape == (count, dim)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1)
    assert least_angle(u) >= least - 1e-9


def test_a_hub_beyond_the_code_is_answered_with_the_dimensions_it_needs():
    with pytest.raises(SemblanceError, match=r"9 neighbours and the code in 3 dimensions 8 words: give 4, or 2"):
        directions(9, 3)
    with pytest.raises(SemblanceError, match="give 2 or more"):
        directions(3, 1)
    with pytest.raises(SemblanceError, match="more than 0"):
        tau_for(random_tree(3, 0), 2, 0.0)


def test_one_node_and_one_edge_have_a_place():
    alone = Tree(np.array([-1]), np.zeros(1))
    assert place(alone, 2, tau_for(alone, 2, 0.1)).floats().tolist() == [[0, 0]]
    pair = Tree(np.array([-1, 0]), np.array([0.0, 2.0]))
    assert place(pair, 2, tau_for(pair, 2, 0.1)).distances()[0, 1] == pytest.approx(2)
