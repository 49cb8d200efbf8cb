"""Every batch holds some units with a label."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.known import Known
from semblance.data.samplers import Shuffled
from semblance.errors import SemblanceError


def test_each_batch_holds_its_share_of_labelled_units_and_the_others_come_once():
    labels = np.full(500, -1)
    labels[::25] = np.arange(20) % 4
    batches = Known(40, 0.25).epoch(500, labels, np.random.default_rng(0))
    assert len(batches) == 480 // 30
    for batch in batches:
        assert len(batch) == 40 and (labels[batch] >= 0).sum() == 10
    shown = np.bincount(np.concatenate(batches), minlength=500)
    assert (shown[labels < 0] == 1).all() and np.ptp(shown[labels >= 0]) <= 1


@pytest.mark.parametrize("labels", [None, np.full(90, -1), np.arange(90), np.random.default_rng(0).random(90)])
def test_where_there_is_nothing_to_choose_units_come_as_they_come(labels):
    one = Known(20, 0.5).epoch(90, labels, np.random.default_rng(3))
    two = Shuffled(20).epoch(90, None, np.random.default_rng(3))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_batch_of_labelled_units_only_is_refused():
    with pytest.raises(SemblanceError, match="share 1"):
        Known(20, 1.0)
