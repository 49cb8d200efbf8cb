"""Claim of the comparison of mouse cortex with networks: with enough neurons, a population is placed at the layer it comes
from, and sequential areas are told from parallel ones.

Areas are simulated from one digit net and placed among the four layers of another, and the other way round: recordings of
1,000 neurons and 400 test digits, of which each of 20 resamples takes 500 (or 20) neurons and 118 digits.
"""

from __future__ import annotations

import numpy as np

from semblance.analysis.placement import Placement, place, simulated_area
from semblance.analysis.similarity import MEASURES, svcca
from semblance.claims.digit_nets import digit_net, digits_given, said
from semblance.claims.ledger import Run, at_least, at_most, below, claim, exactly, within

NEURONS, SHOWN, IMAGES, MANY, FEW, RESAMPLES = 1_000, 400, 118, 500, 20, 20
SEQUENTIAL, PARALLEL = (0, 1, 2, 3), (0, 2, 2, 2)


@claim(
    "cortex-comparison",
    parts={
        **{f"(a) 500 neurons, area of layer {i}: share of resamples at its layer": at_least(0.85) for i in SEQUENTIAL},
        "(a) 500 neurons: deviation of SSM over resamples, most": below(0.06),
        "(a) 20 neurons: share at their layer, areas together": at_most(0.8),
        "(a) 20 neurons: the tool warns": exactly(1.0),
        "(b) sequential areas: spread of the higher three, in layers": at_least(1.5),
        "(b) parallel areas: spread of the higher three, in layers": at_most(0.5),
        "(b) sequential areas: share of resamples with the first below all others": at_least(0.8),
        "(b) parallel areas: share of resamples with the first below all others": at_least(0.8),
        "(c) SSM of a layer with itself": within(1.0, 1e-9),
        "(c) SVCCA of a layer with itself": within(1.0, 1e-9),
        "(c) SVCCA of all directions, change by an invertible linear map": at_most(1e-6),
    },
    data=("mnist", "synthetic: neuron populations drawn from another network's layers"),
    seeds=(0, 1),
    broken="the neurons of every area are drawn from all layers alike",
    files=("analysis/activations.py", "analysis/placement.py", "analysis/similarity.py", "claims/digit_nets.py"),
    minutes=2.0,
)
def cortex_comparison(run: Run) -> None:
    """The similarity of similarity matrices places a recorded population at the network layer that it resembles, given
    hundreds of neurons, and shows whether areas are in sequence or side by side."""
    rows = np.random.default_rng(2).choice(digits_given().splits["test"], SHOWN, replace=False)
    layers = [list(said(digit_net(seed), rows).values()) for seed in run.seeds]
    found: dict[str, list[float]] = {name: [] for name in run.parts}
    warned = []
    for at, seed in enumerate(run.seeds):
        network = {str(i): x for i, x in enumerate(layers[at])}
        other = layers[1 - at]

        def areas(of: tuple[int, ...], other: list[np.ndarray] = other, seed: int = seed) -> dict[str, np.ndarray]:
            rng = np.random.default_rng([2, seed])
            mixed = np.concatenate([x[:, rng.permutation(x.shape[1])[:NEURONS]] for x in other], 1)
            return {
                f"area {n}": simulated_area(mixed if run.broken else other[i], NEURONS, rng) for n, i in enumerate(of)
            }

        recorded = areas(SEQUENTIAL)
        many = place(recorded, [network], neurons=MANY, images=IMAGES, resamples=RESAMPLES, seed=seed)
        few = place(recorded, [network], neurons=FEW, images=IMAGES, resamples=RESAMPLES, seed=seed)
        side = place(areas(PARALLEL), [network], neurons=MANY, images=IMAGES, resamples=RESAMPLES, seed=seed)
        run.progress(f"{many}")
        run.progress(f"{side}")
        for i in SEQUENTIAL:
            share = float((many.depth[:, i] == i).mean())
            found[f"(a) 500 neurons, area of layer {i}: share of resamples at its layer"].append(share)
        deviation = max(float(many.scores[:, i, i].std(ddof=1)) for i in SEQUENTIAL)
        found["(a) 500 neurons: deviation of SSM over resamples, most"].append(deviation)
        found["(a) 20 neurons: share at their layer, areas together"].append(
            float((few.depth == np.array(SEQUENTIAL)).mean())
        )
        found["(a) 20 neurons: the tool warns"].append(float(bool(few.notes)))
        warned.append(float(bool(many.notes)))
        for name, placed in (("sequential", many), ("parallel", side)):
            found[f"(b) {name} areas: spread of the higher three, in layers"].append(higher_spread(placed))
            first = (placed.depth[:, :1] < placed.depth[:, 1:]).all(1)
            found[f"(b) {name} areas: share of resamples with the first below all others"].append(float(first.mean()))
        exact(found, layers[at], seed)
    for name, values in found.items():
        run.report(name, values)
    run.baseline("500 neurons: the tool warns", warned)


def higher_spread(placed: Placement) -> float:
    """The range of mean pseudo-depth of all areas but the first."""
    return float(np.ptp(placed.depth[:, 1:].mean(0)))


def exact(found: dict[str, list[float]], layers: list[np.ndarray], seed: int) -> None:
    """(c)"""
    rng = np.random.default_rng([3, seed])
    x = layers[2][:IMAGES].astype(np.float64)
    y = layers[3][:, rng.permutation(layers[3].shape[1])[:40]].astype(np.float64)[:IMAGES]
    y += 1e-3 * rng.normal(size=y.shape)  # units that never answered answer a little: 40 directions
    whole = svcca(kept=1.0)
    found["(c) SSM of a layer with itself"].append(MEASURES["rsa"](x, x))
    found["(c) SVCCA of a layer with itself"].append(MEASURES["svcca"](x, x))
    z = x[:, :30] + 1e-3 * rng.normal(size=(IMAGES, 30))
    changed = abs(whole(z, y @ rng.normal(size=(40, 40))) - whole(z, y))
    found["(c) SVCCA of all directions, change by an invertible linear map"].append(changed)
