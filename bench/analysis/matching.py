"""Units matched with units, and layers with layers, one thread.

2,048 units of either of two nets, correlated over 3,000 items, matched one to one. 12 layers of 512 features against as
many, over 2,000 items: every layer read once, beside every pair on its own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

UNITS, ITEMS, LAYERS, FEATURES, SHOWN = 2_048, 3_000, 12, 512, 2_000


def representations(count, items, features):
    import numpy as np

    rng = np.random.default_rng(0)
    common = rng.normal(size=(items, 64)).astype(np.float32)

    def one():
        signal = common @ rng.normal(size=(64, features)).astype(np.float32) / 8
        return np.maximum(signal + 0.7 * rng.normal(size=(items, features)).astype(np.float32), 0)

    return [one() for _ in range(count)]


def assignment():
    from semblance.analysis.matching import correlations, matching

    scores = correlations(*representations(2, ITEMS, UNITS))
    return times(lambda: matching(scores), 3)


def report():
    from semblance.analysis.matching import match_units

    x, y = representations(2, ITEMS, UNITS)
    return times(lambda: match_units(x, y), 1)


def layers():
    parts = representations(2 * LAYERS, SHOWN, FEATURES)
    return [{str(i): x for i, x in enumerate(side)} for side in (parts[:LAYERS], parts[LAYERS:])]


def heat_map():
    from semblance.analysis.layers import layer_comparison

    xs, ys = layers()
    return times(lambda: layer_comparison(xs, ys), 2)


def pairs():
    from semblance.analysis.hsic import cka

    xs, ys = layers()
    return times(lambda: [[cka(x, y, True) for y in ys.values()] for x in xs.values()], 2)


if __name__ == "__main__":
    bench(
        __file__,
        {"assignment": assignment, "report": report, "heat map": heat_map, "pairs": pairs},
        baseline="pairs",
        targets={
            "2,048 units matched with 2,048 in 2 s": ("assignment", 2.0),
            "layers against layers at least twice as fast as pairs": ("heat map / pairs", 2.0),
        },
        rounds=3,
    )
