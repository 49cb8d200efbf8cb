from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.splits import checked, drawn, from_words, plain, stratified
from semblance.errors import SemblanceError

LABELS = st.lists(st.integers(-1, 4), min_size=1, max_size=60).map(np.array)
SHARES = st.floats(0.05, 0.9)


@given(LABELS, SHARES, st.integers(0, 9))
def test_every_unit_is_in_train_or_test_and_none_in_both(labels, share, seed):
    train, test = stratified(labels, share, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert train.dtype == test.dtype == np.int64
    assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()


@given(LABELS, SHARES, st.integers(0, 9))
def test_every_class_keeps_a_unit_to_learn_from_and_gives_its_share_but_for_rounding(labels, share, seed):
    _, test = stratified(labels, share, seed)
    for label in np.unique(labels):
        count, taken = (labels == label).sum(), (labels[test] == label).sum()
        assert taken <= max(count - 1, 0)
        assert abs(taken - (share * count if count > 1 else 0)) <= 1 or taken == count - 1


def test_the_total_is_rounded_and_not_each_class():
    labels = np.repeat(np.arange(10), 7)  # each class alone would give 1.4, so 1; together they give 14
    _, test = stratified(labels, 0.2)
    assert len(test) == 14


def test_the_seed_decides_and_nothing_else():
    labels = np.arange(200) % 7
    np.random.seed(5)
    first = stratified(labels, 0.2, 3)[1]
    np.random.seed(6)
    np.testing.assert_array_equal(first, stratified(labels, 0.2, 3)[1])
    assert not np.array_equal(first, stratified(labels, 0.2, 4)[1])


def test_two_units_without_labels_give_one_to_judge_with_and_one_alone_is_learned_from():
    assert [len(part) for part in plain(2)] == [1, 1]
    assert [len(part) for part in plain(1)] == [1, 0]


def test_numbers_and_several_classes_are_split_plainly():
    flags = np.zeros((10, 3), bool)
    for labels in (np.linspace(0, 1, 10), flags, None):
        assert len(drawn(10, labels)["test"]) == 2


def test_words_of_parts_are_understood_and_other_words_are_not():
    found = from_words(["Train", "valid", "testing", "", None, "training"])
    assert {name: rows.tolist() for name, rows in found.items()} == {"train": [0, 5], "val": [1], "test": [2]}
    assert from_words(["train", "holdout"]) is None
    assert from_words(["train", "train"]) is None
    assert from_words(["train", "dev"])["test"].tolist() == [1]


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"test": [0]}, "train"),
        ({"train": [0, 1], "test": [1]}, "share units"),
        ({"train": [0, 9]}, "unit 9"),
    ],
)
def test_given_splits_that_cannot_be_are_refused(splits, told):
    with pytest.raises(SemblanceError, match=told):
        checked(splits, 3)


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(SemblanceError, match=r"1\.5"):
        plain(10, 1.5)
