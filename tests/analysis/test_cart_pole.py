"""Pole balancing: the equations of motion, many policies as each alone, and strategies that learn."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.analysis.cart_pole import SIZE, STEPS, evolved, moved, perceptron_policy, returns, starts
from semblance.errors import SemblanceError


def total_energy(state: np.ndarray) -> np.ndarray:
    """Of cart and rod (half length 0.5, so 1 m long, about its middle)."""
    _, speed, lean, turning = np.moveaxis(state, -1, 0)
    pole = 0.1 * (speed**2 + 2 * speed * turning * 0.5 * np.cos(lean) + 0.25 * turning**2) / 2
    spin = 0.1 * 1.0**2 / 12 * turning**2 / 2
    return speed**2 / 2 + pole + spin + 0.1 * 9.8 * 0.5 * np.cos(lean)


def test_a_push_does_the_work_that_force_times_way_is(monkeypatch):
    """The tick is made small, so that Euler's steps follow the motion."""
    monkeypatch.setattr("semblance.analysis.cart_pole.TICK", 1e-5)
    state = np.random.default_rng(0).uniform(-0.2, 0.2, (30, 4))
    before = state
    for _ in range(200):
        state = moved(state, np.ones(30, bool))
    work = 10.0 * (state[:, 0] - before[:, 0])
    np.testing.assert_allclose(total_energy(state) - total_energy(before), work, rtol=0.02, atol=1e-5)


def test_motion_is_the_same_mirrored():
    state = np.random.default_rng(0).uniform(-0.2, 0.2, (30, 4))
    right = np.arange(30) % 2 == 0
    np.testing.assert_allclose(moved(-state, ~right), -moved(state, right))


def test_who_always_pushes_right_falls_in_about_ten_steps_and_a_good_policy_never():
    start = starts(20, np.random.default_rng(0))
    always = returns(np.zeros((1, 1)), start, lambda theta, state: np.ones(state.shape[:2]))
    good = returns(np.zeros((1, 1)), start, lambda theta, state: state @ np.array([0.1, 0.3, 1.0, 1.0]))
    assert 8 < always[0] < 12 and good[0] == STEPS


def test_policies_at_once_are_policies_one_by_one():
    chance = np.random.default_rng(1)
    theta, start = chance.normal(size=(5, SIZE)), starts(6, chance)
    each = [returns(theta[i : i + 1], start[:, j : j + 1])[0] for i in range(5) for j in range(6)]
    np.testing.assert_allclose(returns(theta, start), np.reshape(each, (5, 6)).mean(1))
    by_hand = np.tanh(start[0, 0] @ theta[2, :64].reshape(4, 16) + theta[2, 64:80]) @ theta[2, 80:96] + theta[2, 96]
    assert perceptron_policy(theta, np.broadcast_to(start, (5, 6, 4)))[2, 0] == pytest.approx(by_hand)


def test_strategies_climb_a_hill():
    top = np.array([1.0, -2, 0.5])

    def reward(t: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        return -((t - top) ** 2).sum(-1)

    found = evolved(reward, 3, runs=4, generations=80, chance=np.random.default_rng(0))
    assert np.abs(found - top).max() < 0.05
    with pytest.raises(SemblanceError, match="best quarter"):
        evolved(reward, 3, 1, 1, np.random.default_rng(0), population=3)


def test_strategies_learn_to_balance():
    def reward(theta: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        return returns(theta.reshape(-1, SIZE), starts(2, chance)).reshape(theta.shape[:2])

    found = evolved(reward, SIZE, 2, 25, np.random.default_rng(0), population=24, sigma=2.0, shrink=0.9)
    assert returns(found, starts(20, np.random.default_rng(1))).min() > 150
