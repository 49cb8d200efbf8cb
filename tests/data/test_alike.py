"""Batches of places that look alike: every place once, companions the nearest that are left."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.alike import Alike, groups
from semblance.errors import SemblanceError


def on_a_ring(count: int = 40):
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


@pytest.mark.parametrize("vectors", [None, on_a_ring(41)])
@pytest.mark.parametrize("size", [2, 5, 8, 41])
def test_every_place_stands_in_exactly_one_group(vectors, size):
    found = groups(41, size, vectors, np.random.default_rng(0))
    assert sorted(np.concatenate(found).tolist()) == list(range(41))
    assert min(map(len, found)) > 1 or len(found) == 1


def test_a_group_is_its_first_place_and_the_nearest_that_were_left():
    vectors = np.random.default_rng(1).normal(size=(49, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rng, unused = np.random.default_rng(2), set(range(49))
    order = np.random.default_rng(2).permutation(49)
    for group in groups(49, 7, vectors, rng):
        first = next(k for k in order if k in unused)
        nearest = sorted(unused, key=lambda k: (k != first, -float(vectors[k] @ vectors[first])))[:7]
        assert set(group.tolist()) == set(nearest)
        unused -= set(group.tolist())


def test_batches_hold_some_items_of_each_place_and_no_item_twice():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(9), 6), [9, -1, -1]])
    rng.shuffle(labels)
    batches = Alike(places=3, items=4).epoch(len(labels), labels, np.random.default_rng(1))
    assert [len(batch) for batch in batches] == [12, 12, 12]
    together = np.concatenate(batches)
    assert len(set(together)) == len(together) and set(labels[together]) == set(range(9))
    for batch in batches:
        assert (np.unique(labels[batch], return_counts=True)[1] == 4).all()


def test_proxies_bring_look_alikes_together_once_there_are_some():
    labels = np.repeat(np.arange(40), 3)
    far = Alike(4, 2, lambda: None).epoch(120, labels, np.random.default_rng(0))
    near = Alike(4, 2, lambda: (np.arange(40)[::-1], on_a_ring()[::-1])).epoch(120, labels, np.random.default_rng(0))

    def apart(batches):
        steps = [np.abs(np.subtract.outer(np.unique(labels[b]), np.unique(labels[b]))) for b in batches]
        return np.mean([np.minimum(s, 40 - s).mean() for s in steps])

    assert apart(near) < 0.4 * apart(far)
    some = Alike(4, 2, lambda: (np.arange(39), on_a_ring(39))).epoch(120, labels, np.random.default_rng(0))
    assert [b.tolist() for b in some] == [b.tolist() for b in far], (
        "while a proxy is missing places are drawn at random"
    )


@pytest.mark.parametrize(
    ("labels", "words"), [(None, "give --label"), (np.arange(6), "0 labels have two"), (np.full(6, -1), "0 labels")]
)
def test_data_without_places_is_refused(labels, words):
    with pytest.raises(SemblanceError, match=words):
        Alike().epoch(6, labels, np.random.default_rng(0))


def test_one_place_a_batch_is_refused():
    with pytest.raises(SemblanceError, match="places is 1"):
        Alike(places=1)
