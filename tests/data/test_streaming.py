"""Streaming: every unit once, mixed, and never far from where it was read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.streaming import Streaming
from semblance.errors import SemblanceError


@given(st.integers(0, 300), st.integers(1, 50), st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_every_unit_comes_once(units, batch, stretch, held, seed):
    sampler = Streaming(batch, stretch, held)
    assert sorted(sampler.order(units, np.random.default_rng(seed)).tolist()) == list(range(units))
    batches = sampler.epoch(units, None, np.random.default_rng(seed))
    drawn = np.concatenate(batches) if batches else np.empty(0)
    assert len(drawn) == (units - units % batch if units >= batch else units)


def test_what_is_held_is_what_is_open():
    """The unit at place i was read at most a window before and none later than a window after."""
    sampler = Streaming(64, stretch=32, open=4)
    rng = np.random.default_rng(0)
    order = sampler.order(4096, rng)
    starts = np.random.default_rng(0).permutation(128) * 32
    read = {unit: place for place, unit in enumerate((starts[:, None] + np.arange(32)).ravel())}
    late = np.array([place - read[unit] for place, unit in enumerate(order)])
    assert np.abs(late).max() <= 128 and late.std() > 20


def test_batches_touch_few_stretches_and_a_shuffle_touches_most():
    order = Streaming(64, stretch=64, open=4).epoch(6400, None, np.random.default_rng(0))
    touched = np.mean([len(np.unique(batch // 64)) for batch in order])
    shuffled = np.random.default_rng(0).permutation(6400).reshape(-1, 64)
    assert touched < 8 and np.mean([len(np.unique(batch // 64)) for batch in shuffled]) > 40
    assert np.mean([(np.diff(batch) == 1).mean() for batch in order]) < 0.2, (
        "units of a stretch do not follow each other"
    )


def test_the_same_chance_gives_the_same_batches():
    one, two, other = (Streaming(8, 16, 2).order(100, np.random.default_rng(s)) for s in (0, 0, 1))
    assert (one == two).all() and (one != other).any()


@pytest.mark.parametrize("name", ["batch", "stretch", "open"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(SemblanceError, match=f"{name} is 0"):
        Streaming(**{name: 0})
