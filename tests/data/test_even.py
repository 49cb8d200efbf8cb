"""Every label equally often."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.even import Even
from semblance.errors import SemblanceError


def test_small_labels_are_shown_as_often_as_large_ones_and_their_items_in_turn():
    labels = np.repeat([0, 1, 2, -1], [300, 80, 20, 50])
    shown = np.concatenate(Even(50).epoch(len(labels), labels, np.random.default_rng(0)))
    assert len(shown) == 400
    counts = np.bincount(labels[shown], minlength=3)
    assert counts.max() - counts.min() <= 3
    each = np.bincount(shown, minlength=len(labels))
    for k in range(3):
        of_label = each[labels == k]
        assert of_label.max() - of_label.min() <= 2
    assert (each[labels < 0] == 0).all() and each[labels == 0].max() == 1


def test_one_label_is_a_shuffle():
    shown = Even(16).epoch(64, np.zeros(64, int), np.random.default_rng(1))
    assert sorted(np.concatenate(shown)) == list(range(64)) and not (np.concatenate(shown) == np.arange(64)).all()


def test_what_has_no_labels_is_refused():
    with pytest.raises(SemblanceError, match="none of the 5 units"):
        Even(2).epoch(5, None, np.random.default_rng(0))
    with pytest.raises(SemblanceError, match="count"):
        Even(0)
