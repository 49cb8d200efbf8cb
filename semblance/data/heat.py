"""Heat on a ring of sensors: what is warm warms its neighbours, and a few sensors, each from some moment on, are heated.

    u_v(t + 1) = (1 - loss) ( (1 - flow) u_v(t) + flow * mean of both neighbours ) + heating of v at t

A unit is a window of the ring: x [sensors, history] what every sensor has measured, `node_labels` [sensors] what it will
measure `ahead` steps later. No heating begins after the window, so that its future follows from what all sensors measured,
and not from what one did. The label of a window is whether the ring will have warmed by more than half of the windows do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from semblance.data.graph_generators import NodeTargets, both_ways, consecutive, related, ring


def heat_on_a_ring(
    counts: Mapping[str, int],
    sensors: int = 20,
    history: int = 12,
    ahead: int = 3,
    sources: int = 4,
    flow: float = 0.8,
    loss: float = 0.05,
    seed: int = 0,
) -> NodeTargets:
    """counts: windows of every split, each of sources, strengths (0.2 to 1) and beginnings of its own; a source begins up
    to `history` steps before the window, or within it."""
    rng = np.random.default_rng([67, 1, seed])
    total, before = sum(counts.values()), history
    heat, begin = np.zeros((total, sensors)), np.zeros((total, sensors), int)
    for window in range(total):
        at = rng.permutation(sensors)[:sources]
        heat[window, at], begin[window, at] = rng.uniform(0.2, 1, sources), rng.integers(0, before + history, sources)
    state, seen = np.zeros((total, sensors)), []
    for step in range(before + history + ahead):
        beside = (np.roll(state, 1, 1) + np.roll(state, -1, 1)) / 2
        state = (1 - loss) * ((1 - flow) * state + flow * beside) + heat * (begin <= step)
        seen.append(state)
    every = np.stack(seen[before:], 2)  # [windows, sensors, history + ahead]
    x, target = every[..., :history], every[..., -1]
    warmed = (target - x[..., -1]).mean(1)
    one = both_ways(np.array(ring(range(sensors))).T, sensors)
    made: NodeTargets = related(
        [one] * total,
        x.reshape(-1, history).astype(np.float32),
        consecutive(counts),
        "heat on a ring",
        target.reshape(-1).astype(np.float32),
        (warmed > np.median(warmed)).astype(np.int64),
    )
    return made
