"""Pole balancing, for many policies at once, and evolution strategies that learn it.

    a cart of 1 kg on a track carries a pole of 0.1 kg and half length 0.5 m; a push of 10 N left or right every 0.02 s
    an episode lasts until the pole leans 12 degrees, the cart leaves 2.4 m, or 200 steps are over; its return is its steps

    theta <- mean of the best quarter of theta + sigma e_i,   e_i normal;   sigma <- shrink sigma      (mu / mu, lambda)

Wide steps at first, since most policies fall at once and tell nothing of the way. References: Barto, Sutton & Anderson 1983
(the task); Beyer & Schwefel 2002 "Evolution strategies: a comprehensive introduction".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semblance.errors import SemblanceError

Array = np.ndarray
Policy = Callable[[Array, Array], Array]
"""(parameters [n, D], states [n, episodes, 4]) -> pushes, above 0 to the right, [n, episodes]."""

GRAVITY, CART, POLE, HALF, PUSH, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
LEAN, TRACK, STEPS = np.radians(12), 2.4, 200
HIDDEN = 16
SIZE = 4 * HIDDEN + HIDDEN + HIDDEN + 1
"""Parameters of the policy: one hidden layer of 16 tanh units."""


def moved(state: Array, right: Array) -> Array:
    """States [..., 4] (place, speed, lean, turning) and pushes, bool [...] -> the states a tick later (Euler)."""
    place, speed, lean, turning = np.moveaxis(state, -1, 0)
    force = np.where(right, PUSH, -PUSH)
    mass, length = CART + POLE, POLE * HALF
    pull = (force + length * turning**2 * np.sin(lean)) / mass
    bend = (GRAVITY * np.sin(lean) - np.cos(lean) * pull) / (HALF * (4 / 3 - POLE * np.cos(lean) ** 2 / mass))
    along = pull - length * bend * np.cos(lean) / mass
    return np.stack([place + TICK * speed, speed + TICK * along, lean + TICK * turning, turning + TICK * bend], -1)


def perceptron_policy(theta: Array, state: Array) -> Array:
    """Parameters [n, 97], states [n, episodes, 4] -> [n, episodes]."""
    first, bias, last, offset = np.split(theta, np.cumsum([4 * HIDDEN, HIDDEN, HIDDEN]), 1)
    hidden = np.tanh(state @ first.reshape(-1, 4, HIDDEN) + bias[:, None])
    return np.asarray((hidden @ last[:, :, None])[..., 0] + offset)


def returns(theta: Array, start: Array, policy: Policy = perceptron_policy) -> Array:
    """Policies [n, D], starts [n or 1, episodes, 4] -> [n], the mean number of steps before the fall."""
    state = np.broadcast_to(start, (len(theta), *start.shape[1:])).copy()
    up, steps = np.ones(state.shape[:2], bool), np.zeros(state.shape[:2])
    for _ in range(STEPS):
        state = moved(state, policy(theta, state) > 0)
        steps += up  # the step that ends in a fall was made
        up &= (np.abs(state[..., 2]) <= LEAN) & (np.abs(state[..., 0]) <= TRACK)
        if not up.any():
            break
    return np.asarray(steps.mean(1))


def starts(episodes: int, chance: np.random.Generator) -> Array:
    """[1, episodes, 4], nearly upright and at rest."""
    return chance.uniform(-0.05, 0.05, (1, episodes, 4))


def evolved(
    reward: Callable[[Array, np.random.Generator], Array],
    dim: int,
    runs: int,
    generations: int,
    chance: np.random.Generator,
    population: int = 40,
    sigma: float = 5.0,
    shrink: float = 0.94,
) -> Array:
    """Several runs side by side from 0: reward of points [runs, population, dim] -> the points they come to [runs, dim]."""
    best = population // 4
    if best < 1:
        raise SemblanceError(f"a population of {population} has no best quarter: give 4 or more")
    t = np.zeros((runs, dim))
    for _ in range(generations):
        points = t[:, None] + sigma * chance.normal(size=(runs, population, dim))
        first = np.argsort(-reward(points, chance), 1, kind="stable")[:, :best]
        t = np.take_along_axis(points, first[:, :, None], 1).mean(1)
        sigma *= shrink
    return t
