from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.graph_splits import amiss, drawn_or_given, of_folds, of_indices, of_masks, random_split
from semblance.errors import SemblanceError


@given(st.integers(30, 200), st.integers(0, 100))
def test_shares_are_drawn_class_by_class_and_parts_share_nothing(units, seed):
    labels = np.arange(units) % 3
    split = random_split(units, labels, (0.48, 0.32, 0.2), seed)
    every = np.concatenate(list(split.values()))
    assert sorted(every.tolist()) == list(range(units))
    for part, share in (("train", 0.48), ("val", 0.32), ("test", 0.2)):
        assert abs(len(split[part]) - share * units) <= 2
        assert np.ptp(np.bincount(labels[split[part]], minlength=3)) <= 3


def test_unlabelled_units_and_shares_below_one_leave_units_in_no_part():
    labels = np.array([0, 1] * 20 + [-1] * 10)
    split = random_split(50, labels, (0.25, 0.25, 0.25), 0)
    every = np.concatenate(list(split.values()))
    assert (labels[every] >= 0).all() and len(every) == 30 and {len(rows) for rows in split.values()} == {10}


def test_each_fold_is_test_once_with_the_next_one_for_validation():
    fold = np.array([0, 1, 2, 0, 1, 2, -1])
    splits = of_folds(fold)
    assert [split["test"].tolist() for split in splits] == [[0, 3], [1, 4], [2, 5]]
    assert splits[2]["val"].tolist() == [0, 3] and splits[2]["train"].tolist() == [1, 4, 6]
    with pytest.raises(SemblanceError, match="2 folds"):
        of_folds(np.array([0, 1]))


def test_training_sets_that_stand_alone_leave_the_rest_to_test_and_give_a_fifth_to_validation():
    labels = np.arange(40) % 2
    train = np.stack([np.arange(20), np.arange(20, 40)])
    for split, given_ in zip(of_indices({"train": train}, 40, labels, seed=1), train, strict=True):
        assert len(split["val"]) == 4 and set(split["train"]) | set(split["val"]) == set(given_.tolist())
        assert set(split["test"]) == set(range(40)) - set(given_.tolist())


def test_masks_of_several_splits_become_as_many_splits():
    train = np.eye(3, dtype=bool)
    splits = of_masks({"train": train, "test": ~train})
    assert [s["train"].tolist() for s in splits] == [[0], [1], [2]] and splits[1]["test"].tolist() == [0, 2]
    with pytest.raises(SemblanceError, match="give as many for each"):
        of_masks({"train": train, "test": ~train[:2]})


def test_a_split_is_taken_by_number_by_shares_or_by_default():
    labels = np.arange(20) % 2
    given_splits = [
        {"train": np.arange(10), "test": np.arange(10, 20)},
        {"train": np.arange(5, 20), "test": np.arange(5)},
    ]
    first, known, said = drawn_or_given(20, labels, given_splits, None, 0)
    assert first["train"].tolist() == list(range(10)) and len(known) == 2 and "split 0 of 2" in said[0]
    assert len(drawn_or_given(20, labels, given_splits, "1", 0)[0]["test"]) == 5
    drawn = drawn_or_given(20, labels, given_splits, "random:0.5/0.25/0.25", 0)[0]
    assert [len(drawn[part]) for part in ("train", "val", "test")] == [10, 5, 5] or len(drawn["test"]) in (4, 5, 6)
    assert len(drawn_or_given(20, labels, (), None, 0)[0]["test"]) == 4  # 80/20 by the seed
    for wrong in (2, "two", -1):
        with pytest.raises(SemblanceError, match="give 0 to 1, or shares"):
            drawn_or_given(20, labels, given_splits, wrong, 0)
    for wrong in ("random:1/1/1", "random:a", "random:0.5/0.5", "random:0/0.5/0.5"):
        with pytest.raises(SemblanceError, match="shares of train, val and test"):
            drawn_or_given(20, labels, given_splits, wrong, 0)


def test_a_class_that_training_never_sees_and_labels_in_no_part_are_told():
    labels = np.array([0, 0, 1, 2, 2, -1])
    told = amiss({"train": np.array([0, 2]), "test": np.array([3])}, labels)
    assert told == [
        "1 of 3 classes stand in test and not in train: they cannot be learned",
        "2 of 5 labels stand in no part of the split and are not used",
    ]
    assert amiss({"train": np.array([0, 1, 2]), "test": np.array([3, 4])}, np.array([0, 1, 0, 1, 0])) == []
