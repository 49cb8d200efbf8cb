"""Groups of an affinity, and the number of them that takes fewest bits."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.coding import bits, groups, number
from semblance.errors import SemblanceError


def blocks(sizes=(20, 30, 25), noise=0.02):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(sizes)), sizes)
    affinity = (y[:, None] == y) + noise * rng.random((len(y), len(y)))
    return affinity, y


def test_the_blocks_of_an_affinity_are_its_groups():
    affinity, y = blocks()
    found = groups(affinity, 3)
    assert len({(a, b) for a, b in zip(found, y, strict=True)}) == 3
    assert (groups(affinity, 1) == 0).all()


def test_as_many_groups_as_subspaces_take_fewest_bits():
    rng = np.random.default_rng(1)
    affinity, y = blocks()
    z = np.concatenate([rng.normal(size=((y == k).sum(), 2)) @ rng.normal(size=(2, 12)) for k in range(3)])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    lengths = bits(z, affinity, [1, 2, 3, 4, 5, 3])
    assert list(lengths) == [1, 2, 3, 4, 5] and number(lengths) == 3


@pytest.mark.parametrize("k", [0, 76])
def test_impossible_numbers_are_refused(k):
    with pytest.raises(SemblanceError, match=f"k is {k}"):
        groups(blocks()[0], k)
    with pytest.raises(SemblanceError, match="give a range"):
        number({})
