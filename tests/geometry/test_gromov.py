"""Gromov's tree of any distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from semblance.errors import SemblanceError
from semblance.geometry.gromov import gromov_tree
from tests.geometry.test_trees import random_tree


@settings(max_examples=40)
@given(nodes=st.integers(1, 25), seed=st.integers(0, 99), root=st.integers(0, 24))
def test_distances_of_a_tree_come_back_without_a_hidden_node(nodes, seed, root):
    far = random_tree(nodes, seed).distances()
    tree = gromov_tree(far, root % nodes)
    np.testing.assert_allclose(tree.distances(), far, atol=1e-9)
    assert len(tree.parent) == nodes


@settings(max_examples=20)
@given(seed=st.integers(0, 99))
def test_branching_points_that_nobody_named_are_found(seed):
    whole = random_tree(20, seed)
    leaves = np.flatnonzero(whole.degree() == 1)
    far = whole.distances()[np.ix_(leaves, leaves)]
    tree = gromov_tree(far)
    np.testing.assert_allclose(tree.distances(), far, atol=1e-9)
    assert tree.nodes == len(leaves)
    if len(leaves) > 2:
        assert len(tree.parent) > tree.nodes


def test_no_distance_grows_and_those_from_the_root_stay():
    x = np.random.default_rng(0).normal(size=(30, 3))
    far = cdist(x, x)
    found = gromov_tree(far, 4).distances()
    assert (found <= far + 1e-9).all()
    np.testing.assert_allclose(found[4], far[4])


def test_missing_distances_and_nodes_at_one_place_are_refused():
    with pytest.raises(SemblanceError, match="largest component"):
        gromov_tree(np.array([[0, np.inf], [np.inf, 0]]))
    with pytest.raises(SemblanceError, match="at no distance"):
        gromov_tree(np.array([[0, 1.0, 1], [1, 0, 0], [1, 0, 0]]))
