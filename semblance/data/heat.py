"""Heat on a ring of sensors: what is warm warms its neighbours, and at random places and times something heats up.

    u_v(t + 1) = (1 - loss) ( (1 - flow) u_v(t) + flow * mean of both neighbours ) + what heats v at t

A unit is a window of the ring: x [sensors, history] what every sensor has measured, `node_labels` [sensors] what it will
measure `ahead` steps later. Nothing is heated after the window, so that its future follows from what the sensors around
measure, and not from what one has measured. The label of a window is whether its warmest sensor lies in the first half.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from semblance.data.graph_generators import NodeTargets, both_ways, consecutive, related, ring

WARM = 20  # steps before the window, after which it no longer matters that all began cold


def heat_on_a_ring(
    counts: Mapping[str, int],
    sensors: int = 20,
    history: int = 12,
    ahead: int = 3,
    sources: float = 0.05,
    flow: float = 0.8,
    loss: float = 0.05,
    seed: int = 0,
) -> NodeTargets:
    """counts: windows of every split, no two of which share a measurement. sources: the chance of a sensor to be heated
    in a step, by 0.5 to 1.5."""
    rng = np.random.default_rng([67, 1, seed])
    total = sum(counts.values())
    state, seen = np.zeros((total, sensors)), []
    for step in range(WARM + history + ahead):
        beside = (np.roll(state, 1, 1) + np.roll(state, -1, 1)) / 2
        state = (1 - loss) * ((1 - flow) * state + flow * beside)
        if step < WARM + history:
            state = state + (rng.random(state.shape) < sources) * rng.uniform(0.5, 1.5, state.shape)
        seen.append(state)
    every = np.stack(seen[WARM:], 2)  # [windows, sensors, history + ahead]
    x, target = every[..., :history], every[..., -1]
    one = both_ways(np.array(ring(range(sensors))).T, sensors)
    made: NodeTargets = related(
        [one] * total,
        x.reshape(-1, history).astype(np.float32),
        consecutive(counts),
        "heat on a ring",
        target.reshape(-1).astype(np.float32),
        (target.argmax(1) < sensors // 2).astype(np.int64),
    )
    return made
