"""Groups of an affinity, and the number of them that takes fewest bits."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.coding import bits, groups, named, number
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


@pytest.mark.parametrize("by", ["spectral", "merging"])
def test_as_many_groups_as_subspaces_take_fewest_bits(by):
    rng = np.random.default_rng(1)
    affinity, y = blocks()
    z = np.concatenate([rng.normal(size=((y == k).sum(), 2)) @ rng.normal(size=(2, 12)) for k in range(3)])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    lengths = bits(z, affinity, [1, 2, 3, 4, 5, 3], by=by)
    assert list(lengths) == [1, 2, 3, 4, 5] and number(lengths) == 3


@pytest.mark.parametrize("k", [0, 76])
def test_impossible_numbers_are_refused(k):
    with pytest.raises(SemblanceError, match=f"k is {k}"):
        groups(blocks()[0], k)
    with pytest.raises(SemblanceError, match="give a range"):
        number({})


def test_bits_of_one_group_are_the_same_however_groups_are_made():
    affinity, y = blocks()
    z = np.random.default_rng(0).normal(size=(len(y), 4))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    lengths = [bits(z, affinity, [1], by=by)[1] for by in ("spectral", "kmeans", "merging")]
    assert lengths == pytest.approx([lengths[0]] * 3)


def test_spectral_groups_need_an_affinity_and_ways_are_known():
    z = np.eye(4)
    with pytest.raises(SemblanceError, match="give one"):
        bits(z, None, [2])
    with pytest.raises(SemblanceError, match="way to make groups"):
        bits(z, None, [2], by="guessing")


def test_a_group_is_named_by_the_vote_of_its_items():
    texts = np.eye(3)
    items = np.eye(3)[[0, 0, 1, 2, 2, 1]] * 5 + 0.01
    assert named(np.array([0, 0, 0, 1, 1, 1]), items, texts, ["cat", "dog", "cow"]) == ["cat", "cow"]
    with pytest.raises(SemblanceError, match="a word for each"):
        named(np.array([0]), items[:1], texts, ["cat"])
