"""What a Frechet distance looks at: how far it falls when made items are only weighted, in its own space and in others.

    as they are       equal weights
    top-N classes     the made items' top-N classes come as often as those of the real ones
    shuffled          the top-1 weights given to other items: what weighting alone does
    the distance      weights that lower the distance itself

A distance that falls far by classes alone, while independent spaces see no change, measures class shares and not how items
look. Reference: Kynkaanniemi et al. 2022, arXiv:2203.06026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semblance.analysis.frechet import class_weights, effective_size, extrapolated, frechet, lowering_weights
from semblance.errors import SemblanceError, unknown
from semblance.reports import TableReport

EXPLAINED = 0.3
"""A fall by top-1 classes alone, from which on the distance is said to look at classes."""
SHUFFLED, DIRECT = "top-1 classes, shuffled", "the distance itself"


@dataclass(frozen=True)
class Weighted:
    """Weights of the made items by how they were found; distances: [weightings, spaces], in every space under each."""

    spaces: tuple[str, ...]
    weights: Mapping[str, np.ndarray]
    distances: np.ndarray

    def fall(self, how: str, space: str) -> float:
        """The share of the unweighted distance that is gone."""
        row, column = list(self.weights).index(how), self.spaces.index(space)
        return float(1 - self.distances[row, column] / self.distances[0, column])


def weighted(
    real: Mapping[str, np.ndarray],
    made: Mapping[str, np.ndarray],
    space: str,
    scores: tuple[np.ndarray, np.ndarray],
    tops: Sequence[int] = (1,),
    steps: int = 200,
    seed: int = 0,
) -> Weighted:
    """Features by space of real and of made items, the space whose distance is audited, and a classifier's scores [n, K] of
    both -> weights and what they do."""
    if list(real) != list(made) or len(real) < 1:
        raise SemblanceError(
            f"real items have the spaces {list(real)} and made ones {list(made)}: give the same of both"
        )
    if space not in real:
        raise unknown("space", space, real)
    for which, side, of in (("real", real, scores[0]), ("made", made, scores[1])):
        lengths = {name: len(x) for name, x in side.items()} | {"the classifier": len(of)}
        if len(set(lengths.values())) > 1:
            raise SemblanceError(f"{which} items are {lengths}: give features of the same items in every space")
    n, rng = len(made[space]), np.random.default_rng(seed)
    weights = {"as they are": np.full(n, 1 / n)}
    for top in tops:
        weights[f"top-{top} classes"] = class_weights(*scores, top, steps)
    weights[SHUFFLED] = rng.permutation(class_weights(*scores))
    weights[DIRECT] = lowering_weights(real[space], made[space], steps)
    found = np.array([[frechet(real[s], made[s], None, w) for s in real] for w in weights.values()])
    return Weighted(tuple(real), weights, found)


def frechet_audit(
    real: Mapping[str, np.ndarray],
    made: Mapping[str, np.ndarray],
    space: str,
    scores: tuple[np.ndarray, np.ndarray],
    tops: Sequence[int] = (1,),
    steps: int = 200,
    seed: int = 0,
) -> TableReport:
    """The same as a report: a row a weighting and space, with the fall and the effective number of items."""
    found = weighted(real, made, space, scores, tops, steps, seed)
    endless, bias = extrapolated(real[space], made[space], seed=seed)
    rows = tuple(
        {
            "weights": how,
            "space": name,
            "distance": float(found.distances[i, j]),
            "fall": found.fall(how, name),
            "items": effective_size(weight),
        }
        for i, (how, weight) in enumerate(found.weights.items())
        for j, name in enumerate(found.spaces)
    )
    by_class, others = found.fall("top-1 classes", space), [name for name in found.spaces if name != space]
    told = [f"{found.fall(DIRECT, space):.0%} in {space}", *(f"{found.fall(DIRECT, o):.0%} in {o}" for o in others)]
    warning = "; it looks at classes: do not choose a generator by it" if by_class >= EXPLAINED else ""
    verdict = (
        f"the distance in {space} is {found.distances[0, found.spaces.index(space)]:.3g}, {endless:.3g} for endless sets "
        f"({bias:.2g} is bias); weighting made items by class lowers it by {by_class:.0%}, weighting them for it by "
        f"{', '.join(told)}{warning}"
    )
    return TableReport("What a Frechet distance looks at", verdict, rows, "weights", ("fall",), "space")
