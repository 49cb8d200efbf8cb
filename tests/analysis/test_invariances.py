"""What every measure says that it does not see, over the whole family: maps of the features, orders of the items."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from semblance.analysis.comparison import comparison
from semblance.analysis.similarity import MEASURES, svcca

RNG = np.random.default_rng(9)
COMMON = RNG.normal(size=(90, 5))
X = np.maximum(COMMON @ RNG.normal(size=(5, 11)), 0) + 0.2 * RNG.normal(size=(90, 11))
Y = np.tanh(COMMON @ RNG.normal(size=(5, 7))) + 0.2 * RNG.normal(size=(90, 7))
FAMILY = {**MEASURES, "svcca of 4": svcca(directions=4), "cca": svcca(1.0)}


def rotation(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return y @ stats.ortho_group.rvs(y.shape[1], random_state=rng)


def permutation(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return y[:, rng.permutation(y.shape[1])]


def scale(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.01, 100) * y


def shift(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return y + rng.normal(size=y.shape[1])


def linear(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    d = y.shape[1]
    return y @ (stats.ortho_group.rvs(d, random_state=rng) * rng.uniform(0.2, 5, d))


def of_items(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return y * rng.uniform(0.5, 2, (len(y), 1))


def shift_of_items(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return y + rng.normal(size=(len(y), 1))


MAPS = (rotation, permutation, scale, shift, linear, of_items, shift_of_items)
BLIND = {
    "cka": (rotation, permutation, scale, shift),
    "svcca": (rotation, permutation, scale, shift),
    "svcca of 4": (rotation, permutation, scale, shift),
    "cca": (rotation, permutation, scale, shift, linear),
    "pwcca": (rotation, permutation, scale, shift, linear),  # of the second side
    "procrustes": (rotation, permutation, scale, shift),
    "rsa": (permutation, scale, of_items, shift_of_items),
    "neighbours": (rotation, permutation, scale, of_items),
}
"""Which maps of the second side's features leave a measure as it is; all others change it."""


@pytest.mark.parametrize("name", FAMILY)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_a_measure_is_blind_to_what_it_says_and_to_nothing_else(name: str, seed: int) -> None:
    rng, measure = np.random.default_rng(seed), FAMILY[name]
    plain = measure(X, Y)
    for map_ in MAPS:
        changed = abs(measure(X, map_(Y, rng)) - plain)
        if map_ in BLIND[name]:
            assert changed < 1e-6, f"{name} sees a {map_.__name__}"
    for map_ in set(MAPS) - set(BLIND[name]):  # some draws change little: one of several must not
        most = max(abs(measure(X, map_(Y, np.random.default_rng(i))) - plain) for i in range(3))
        assert most > 1e-6, f"{name} is blind to a {map_.__name__}"


@pytest.mark.parametrize("name", FAMILY)
def test_items_in_another_order_on_both_sides_change_nothing_and_on_one_side_nearly_all(name: str) -> None:
    order, measure = RNG.permutation(90), FAMILY[name]
    assert measure(X[order], Y[order]) == pytest.approx(measure(X, Y), abs=1e-6)
    assert measure(X, Y[order]) < measure(X, Y) - 0.1


@pytest.mark.parametrize("name", FAMILY)
def test_a_representation_and_itself_turned_are_the_same(name: str) -> None:
    measure = FAMILY[name]
    assert measure(X, X) == pytest.approx(1, abs=1e-6)
    turn = partial(permutation, rng=RNG) if name == "rsa" else partial(rotation, rng=RNG)
    assert measure(X, turn(X)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "pwcca"])
def test_the_sides_may_be_exchanged(name: str) -> None:
    assert FAMILY[name](X, Y) == pytest.approx(FAMILY[name](Y, X), abs=1e-9)


def test_independent_representations_are_at_chance_by_every_measure() -> None:
    """Of twelve pairs, p is below 0.05 about once in twenty for each measure."""
    low = dict.fromkeys(MEASURES, 0)
    for seed in range(12):
        rng = np.random.default_rng([5, seed])
        found = comparison(rng.normal(size=(60, 6)), rng.normal(size=(60, 4)), seed=seed)
        for name, one in found.measures.items():
            low[name] += one.p < 0.05
            assert abs(one.value - one.null) < 0.2
    assert max(low.values()) <= 4
