"""What samplers promise: who stands with whom in a batch, each item's share, and plain errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.data.samplers import Balanced, Episodes, Pairs, Shuffled, Triples
from semblance.errors import SemblanceError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_labels(seed: int = 0, units: int = 300, classes: int = 7, unlabelled: float = 0.2) -> np.ndarray:
    generator = rng(seed)
    labels = generator.integers(0, classes, units)
    labels[: 20 * classes] = np.repeat(np.arange(classes), 20)
    unknown = generator.random(units) < unlabelled
    unknown[: 20 * classes] = False
    return np.where(unknown, -1, labels)


BY_LABEL = [Balanced(3, 5), Episodes(3, 2, 4, 10), Triples(30), Pairs(24)]


@settings(deadline=None)
@given(units=st.integers(1, 200), batch=st.integers(1, 80), drop=st.booleans(), seed=st.integers(0, 99))
def test_shuffled_gives_every_unit_at_most_once_and_never_nothing(units, batch, drop, seed):
    batches = Shuffled(batch, drop_last=drop).epoch(units, None, rng(seed))
    seen = np.concatenate(batches)
    assert len(seen) == len(set(seen.tolist())) and seen.max() < units
    dropped = units % batch if drop and units >= batch else 0
    assert len(seen) == units - dropped
    assert all(len(b) == batch for b in batches[:-1])


@pytest.mark.parametrize("sampler", [Shuffled(32), *BY_LABEL], ids=str)
def test_the_same_generator_gives_the_same_epoch_and_another_one_another(sampler):
    labels = some_labels()
    first, second, third = (sampler.epoch(300, labels, rng(s)) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.parametrize("sampler", BY_LABEL, ids=str)
def test_unlabelled_units_are_left_out(sampler):
    labels = some_labels(unlabelled=0.5)
    assert all((labels[batch] >= 0).all() for batch in sampler.epoch(300, labels, rng()))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), ways=st.integers(2, 7), items=st.integers(1, 20))
def test_balanced_batches_hold_the_same_number_of_distinct_items_of_each_label(seed, ways, items):
    labels = some_labels(seed)
    for batch in Balanced(ways, items).epoch(300, labels, rng(seed)):
        values, counts = np.unique(labels[batch], return_counts=True)
        assert len(values) == ways and (counts == items).all()
        assert len(set(batch.tolist())) == ways * items


def test_balanced_batches_cover_the_data_about_once():
    labels = some_labels(units=2000, unlabelled=0.0)
    batches = Balanced(7, 8).epoch(2000, labels, rng())
    assert len(batches) == 2000 // 56
    times = np.bincount(np.concatenate(batches), minlength=2000)
    assert times.max() <= 2 and (times > 0).mean() > 0.9


def test_balanced_takes_what_there_is_of_few_labels_and_rare_items():
    labels = np.array([0] * 50 + [1] * 3 + [-1] * 5)
    for batch in Balanced(8, 10).epoch(58, labels, rng()):
        assert np.bincount(labels[batch]).tolist() == [10, 3]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), ways=st.integers(2, 7), shots=st.integers(1, 5), queries=st.integers(1, 15))
def test_episodes_hold_support_then_queries_of_each_way_without_repetition(seed, ways, shots, queries):
    labels = some_labels(seed)
    batches = Episodes(ways, shots, queries, 4).epoch(300, labels, rng(seed))
    assert len(batches) == 4
    for batch in batches:
        assert len(set(batch.tolist())) == ways * (shots + queries)
        support, asked = labels[batch[: ways * shots]], labels[batch[ways * shots :]]
        assert np.unique(support, return_counts=True)[1].tolist() == [shots] * ways
        assert np.unique(asked, return_counts=True)[1].tolist() == [queries] * ways
        assert set(support.tolist()) == set(asked.tolist())


def test_episodes_draw_every_item_of_a_label_equally_often():
    labels = np.repeat([0, 1, 2], [30, 60, 90])
    seen = np.bincount(np.concatenate(Episodes(2, 1, 4, 3000).epoch(180, labels, rng())), minlength=180)
    for label, count in enumerate((30, 60, 90)):
        expected = 3000 * (2 / 3) * 5 / count
        assert np.abs(seen[labels == label] / expected - 1).max() < 0.4


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999))
def test_triples_agree_with_their_positive_and_differ_from_their_negative(seed):
    labels = some_labels(seed)
    for batch in Triples(60, 5).epoch(300, labels, rng(seed)):
        anchor, positive, negative = np.split(batch, 3)
        assert (labels[anchor] == labels[positive]).all() and (anchor != positive).all()
        assert (labels[anchor] != labels[negative]).all()


def test_triples_draw_every_other_item_of_the_label_and_every_item_of_others():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, -1])
    batches = np.stack(Triples(3000, 3).epoch(8, labels, rng()))  # [3, anchors | positives | negatives]
    anchor, positive, negative = np.split(batches, 3, axis=1)
    assert set(zip(anchor.ravel().tolist(), positive.ravel().tolist(), strict=True)) == {
        (i, j) for i in range(7) for j in range(7) if i != j and labels[i] == labels[j]
    }
    assert set(zip(anchor.ravel().tolist(), negative.ravel().tolist(), strict=True)) == {
        (i, j) for i in range(7) for j in range(7) if labels[i] != labels[j]
    }
    shares = np.bincount(anchor.ravel(), minlength=7)[:7] / anchor.size
    assert np.abs(shares * 7 - 1).max() < 0.15


def test_half_of_the_pairs_agree():
    labels = some_labels()
    batches = Pairs(40).epoch(300, labels, rng())
    assert len(batches) == (labels >= 0).sum() // 20
    for batch in batches:
        first, second = np.split(batch, 2)
        assert (labels[first[:10]] == labels[second[:10]]).all() and (first != second).all()
        assert (labels[first[10:]] != labels[second[10:]]).all()


@pytest.mark.parametrize("sampler", BY_LABEL, ids=str)
def test_missing_labels_and_a_single_one_are_refused(sampler):
    with pytest.raises(SemblanceError, match="none of the 9 units"):
        sampler.epoch(9, None, rng())
    with pytest.raises(SemblanceError, match="none of the 9 units"):
        sampler.epoch(9, np.full(9, -1), rng())
    with pytest.raises(SemblanceError, match="all 8 labelled units have label 3"):
        sampler.epoch(9, np.array([3] * 8 + [-1]), rng())
    with pytest.raises(SemblanceError, match="float64"):
        sampler.epoch(9, np.linspace(0, 1, 9), rng())


@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        (Episodes(2, 2, 3, 1), "label 1 has 1 items, but shots . queries is 5"),
        (Triples(6), "label 1 has 1 items"),
        (Pairs(8), "label 1 has 1 items"),
    ],
    ids=str,
)
def test_a_label_with_too_few_items_is_named(sampler, said):
    with pytest.raises(SemblanceError, match=said):
        sampler.epoch(9, np.array([0] * 8 + [1]), rng())


def test_more_ways_than_labels_are_refused():
    with pytest.raises(SemblanceError, match="ways is 9, but the data has 7 labels"):
        Episodes(9, 1, 1).epoch(300, some_labels(), rng())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Shuffled(0),
        lambda: Balanced(0, 1),
        lambda: Episodes(1, 1, 1),
        lambda: Episodes(5, 0),
        lambda: Triples(32),
        lambda: Pairs(6),
    ],
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(SemblanceError, match="give"):
        wrong()
