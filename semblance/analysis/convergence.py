"""Convergence: whether several networks learned the same units, layer by layer, and if not the units, the subspaces.

    matched, best   mean correlation of units with their partners: one to one, and whoever is nearest (repeats allowed)
    null            that of units matched where one side's inputs are in random order
    lonely          share of live units whose best partner correlates less than a half
    one, few        share of a unit's held-out variance that the best single unit of the other network explains, and a
                    sparse map of at most `most` of its units
    mixed           share of spectral clusters of both networks' units that hold units of both

Rows of activations are inputs, or inputs times positions; intervals draw inputs again. Reference: Li et al. 2015
"Convergent Learning: Do different neural networks learn the same representations?" (arXiv:1511.07543).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from semblance.analysis.matching import LONELY, alive, clusters, match_units, scores_of
from semblance.analysis.sparse_maps import sparse_map
from semblance.errors import SemblanceError
from semblance.reports import TableReport

MEANS = ("matched", "low", "high", "null", "best", "lonely", "one", "few", "mixed")


def agreement_of(
    x: np.ndarray, y: np.ndarray, positions: int = 1, most: int = 16, draws: int = 100, seed: int = 0
) -> dict[str, float]:
    """Activations [n, p], [n, q] of one layer of two networks -> the figures above, of the first network's units matched
    and the second's explained; `low` and `high` are the interval of `matched`."""
    found = match_units(x, y, draws, seed, positions)
    live = alive(x)
    best = scores_of(found.scores, found.semi)[live]
    maps = sparse_map(x, y, seed=seed, positions=positions, draws=draws)
    spoken = alive(y)
    groups = clusters(x, y, max(2, int(live.sum() + spoken.sum()) // 4), seed=seed)
    of_both = np.intersect1d(*(np.unique(side[side >= 0]) for side in groups))
    return {
        "matched": found.mean,
        "low": found.low,
        "high": found.high,
        "null": found.null,
        "best": float(best.mean()),
        "lonely": float((best < LONELY).mean()),
        "dead": float(len(found.dead[0])),
        "one": float(1 - maps.single[spoken].mean()),
        "few": float(1 - maps.within(most)[spoken].mean()),
        "mixed": len(of_both) / (max(side.max() for side in groups) + 1),
    }


def convergence(
    networks: Mapping[str, Mapping[str, np.ndarray]],
    inputs: int,
    most: int = 16,
    draws: int = 100,
    seed: int = 0,
) -> TableReport:
    """Networks by name, each with the activations [inputs * positions, units] of the same layers -> the report: a line a
    layer, means over all pairs of networks."""
    layers = _layers_of(networks)
    rows: list[dict[str, Any]] = []
    for layer in layers:
        sides = [network[layer] for network in networks.values()]
        wrong = [len(side) for side in sides if not len(side) or len(side) % inputs]
        if wrong:
            raise SemblanceError(f"layer {layer} has {wrong[0]} rows for {inputs} inputs: give rows input by input")
        pairs = [agreement_of(a, b, len(a) // inputs, most, draws, seed) for a, b in combinations(sides, 2)]
        means = {name: float(np.mean([pair[name] for pair in pairs])) for name in MEANS}
        rows.append({"layer": layer, "units": sides[0].shape[1], **means})
    first, last = rows[0], rows[-1]
    verdict = (
        f"of {len(networks)} networks, matched units correlate {first['matched']:.2f} in {first['layer']} and "
        f"{last['matched']:.2f} in {last['layer']}, where {last['lonely']:.0%} of the units have no partner above "
        f"{LONELY}; "
        f"{most} units explain {last['few']:.2f} of one there, the best single one {last['one']:.2f}"
    )
    return TableReport("Convergent learning", verdict, tuple(rows), "layer", ("matched", "best", "one", "few"))


def _layers_of(networks: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    if len(networks) < 2:
        raise SemblanceError(f"there are {len(networks)} networks: convergence needs two or more")
    sides = {name: list(layers) for name, layers in networks.items()}
    (first, layers), *others = sides.items()
    for name, other in others:
        if other != layers or not layers:
            raise SemblanceError(
                f"{first} has the layers {', '.join(layers) or 'none'} and {name} {', '.join(other) or 'none'}: give "
                "the same layers of every network"
            )
    return layers
