"""What one unit says, said by few units of another network: sparse linear maps from units to units.

    y_j ~ sum_i w_ij x_i,     |y - x w|^2 / 2n + penalty |w|_1,     units standardised, over a path of penalties

Fitted on a share of the inputs, measured on the others beside the best single unit. A low error of few units where a single
one has a high error says that two networks share a subspace and not its axes. Chance explains nothing that is held out: an
error of 1. References: Li et al. 2015
(arXiv:1511.07543); Tibshirani 1996 (lasso).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semblance.analysis.matching import alive, by_input, inputs_of, standardised, weights_drawn
from semblance.errors import SemblanceError

Array = np.ndarray


@dataclass(frozen=True)
class SparseMap:
    """Maps from all units of one network to units of another, one a penalty.

    weight: [penalties, p, q]; error: held-out squared error of every unit, in its variances, [penalties, q], with its 95%
    interval over inputs, low and high; single: the held-out error [q] of the unit of the first that fits best alone.
    """

    penalties: Array
    weight: Array
    error: Array
    low: Array
    high: Array
    single: Array

    def used(self) -> Array:
        """int64 [penalties, q]: how many units of the first say what a unit of the second says."""
        return np.asarray((self.weight != 0).sum(1))

    def within(self, most: int) -> Array:
        """[q]: the least held-out error of a map that uses at most so many units, 1 (the mean) where there is none."""
        return np.asarray(np.where(self.used() <= most, self.error, 1.0).min(0))


def sparse_map(
    x: Array,
    y: Array,
    penalties: Array | None = None,
    held_out: float = 0.3,
    seed: int = 0,
    positions: int = 1,
    draws: int = 100,
) -> SparseMap:
    """Lasso from standardised [n, p] to standardised [n, q], fitted on a share of the inputs and measured on the others.

    penalties: L1 weights for errors in variances, default 5 from 0.5 to 0.01. All units share the Gram matrix of x.
    """
    from sklearn.linear_model import lasso_path

    penalties = np.geomspace(0.5, 0.01, 5) if penalties is None else np.sort(np.asarray(penalties, float))[::-1]
    if not (penalties > 0).all():
        raise SemblanceError(f"the penalties {penalties.tolist()} include 0 or less: give numbers above 0")
    rng, inputs = np.random.default_rng(seed), inputs_of(x, positions)
    order = rng.permutation(inputs)
    test, train = (
        (part[:, None] * positions + np.arange(positions)).ravel()
        for part in np.split(order, [round(held_out * inputs)])
    )
    if min(len(test), len(train)) < 2:
        raise SemblanceError(
            f"{len(x)} rows cannot be split into {held_out:.0%} and the rest: give more, or another share"
        )
    a, b = (standardised(side).astype(np.float64) for side in (x, y))
    seen = a[train]
    gram, cross = seen.T @ seen, seen.T @ b[train]
    weight = np.zeros((len(penalties), a.shape[1], b.shape[1]))
    for unit in np.flatnonzero(alive(y)):
        _, path, _ = lasso_path(
            seen, b[train, unit], alphas=penalties, precompute=gram, Xy=cross[:, unit], max_iter=3000, tol=1e-4
        )
        weight[:, :, unit] = path.T
    each = np.stack([by_input((a[test] @ one - b[test]) ** 2, positions) for one in weight])  # [penalties, inputs, q]
    low, high = np.quantile(weights_drawn(each.shape[1], draws, rng) @ each, [0.025, 0.975], axis=1)
    length = np.diag(gram)
    slope = np.divide(cross, length[:, None], out=np.zeros_like(cross), where=length[:, None] > 0)
    best = (cross * slope).argmax(0)  # what it takes off the squared error
    single = ((a[test][:, best] * slope[best, np.arange(len(best))] - b[test]) ** 2).mean(0)
    return SparseMap(penalties, weight, each.mean(1), low, high, single)
