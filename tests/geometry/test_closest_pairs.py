from __future__ import annotations

import numpy as np
import pytest

from semblance.errors import SemblanceError
from semblance.geometry.closest_pairs import closest_pairs


@pytest.mark.parametrize("block", [3, 7, 1000])
@pytest.mark.parametrize("k", [1, 5, 10_000])
def test_the_closest_pairs_are_those_of_all_pairs_sorted(k, block):
    z = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    every = sorted(((i, j) for i in range(30) for j in range(i)), key=lambda p: -float(unit[p[0]] @ unit[p[1]]))
    pairs, cosines = closest_pairs(z, k, block)
    assert [tuple(p) for p in pairs] == [(j, i) for i, j in every[:k]]
    np.testing.assert_allclose(cosines, [unit[i] @ unit[j] for i, j in every[:k]], atol=1e-6)


def test_one_item_has_no_pair_and_zero_vectors_are_answered():
    assert closest_pairs(np.ones((1, 3)))[0].shape == (0, 2)
    assert closest_pairs(np.zeros((3, 2)), 2)[1].tolist() == [0, 0]
    with pytest.raises(SemblanceError, match="ask for one pair or more"):
        closest_pairs(np.ones((3, 2)), 0)
