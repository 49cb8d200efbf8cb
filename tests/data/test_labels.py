from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.labels import labels_of
from semblance.errors import SemblanceError

WORDS = st.one_of(st.none(), st.text("abcd 1", max_size=4))


@given(st.lists(WORDS, min_size=1, max_size=30))
def test_words_come_back_from_their_codes_and_nothing_is_minus_one(words):
    found = labels_of(pa.array(words, pa.string()))
    assert found.values.dtype == np.int64
    back = [None if c < 0 else found.classes[c] for c in found.values]
    assert back == [w.strip() if w and w.strip() else None for w in words]


@given(st.lists(st.one_of(st.none(), st.integers(-3, 5)), min_size=1, max_size=30))
def test_integers_come_back_from_their_codes(numbers):
    found = labels_of(pa.array(numbers, pa.int64()))
    known = {n for n in numbers if n is not None}
    minus_one_is_missing = min(known, default=0) == -1 and known != {-1, 1}
    back = [None if c < 0 else int(found.classes[c]) for c in found.values]
    assert back == [None if n == -1 and minus_one_is_missing else n for n in numbers]


@given(st.lists(st.lists(st.sampled_from("pqrs"), max_size=4), min_size=1, max_size=20))
def test_words_between_semicolons_say_the_same_as_lists(rows):
    listed = labels_of(pa.array(rows, pa.list_(pa.string())))
    joined = labels_of(pa.array([" ; ".join(row) + ";" for row in rows], pa.string()))
    np.testing.assert_array_equal(listed.values, joined.values)
    assert listed.classes == joined.classes
    assert [set(np.array(listed.classes)[row]) for row in listed.values] == [set(row) for row in rows]


def test_classes_that_are_numbers_stand_in_the_order_of_numbers():
    assert labels_of(["10", "9", "2"]).classes == ("2", "9", "10")
    assert labels_of(["10", "9", "x"]).classes == ("10", "9", "x")


def test_two_classes_called_minus_one_and_one_are_two_classes():
    assert labels_of(np.array([-1, 1, 1])).values.tolist() == [0, 1, 1]
    assert labels_of(np.array([-1, 0, 1])).values.tolist() == [-1, 0, 1]


def test_floats_are_numbers_and_nan_stays_unknown():
    found = labels_of(np.array([1.0, np.nan, 2.5]))
    assert found.classes == () and found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, [1.0, np.nan, 2.5])


def test_flags_and_categories_are_classes():
    assert labels_of(pa.array([True, None, False])).values.tolist() == [1, -1, 0]
    assert labels_of(pa.array(["b", "a", None]).dictionary_encode()).values.tolist() == [1, 0, -1]


def test_a_column_of_nothing_has_no_label_at_all():
    assert labels_of([None, None]).values.tolist() == [-1, -1]


def test_a_matrix_of_flags_is_several_classes():
    assert labels_of(np.array([[1, 0], [1, 1]])).values.dtype == bool


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (np.array([[0.5, 1.0]]), "two dimensions"),
        (["a", 3], "mix"),
        (np.array([1.0, np.inf]), "row 1"),
        (pa.array([[1.5]]), "lists of float"),
        (pa.array([None], pa.date32()), "date32"),
    ],
)
def test_what_is_no_label_is_refused_by_name(column, told):
    with pytest.raises(SemblanceError, match=told) as error:
        labels_of(column, "colour")
    assert "colour" in str(error.value) and "\n" not in str(error.value)
