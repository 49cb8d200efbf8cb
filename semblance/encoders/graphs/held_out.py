"""How well embeddings tell labels, in a moment: a ridge regression onto the classes, scored where it did not look.

    W = (X^T X + ridge I)^-1 X^T Y        score: the share of a node's classes among its best ranked, as many as it has

For solvers that choose among a few settings by labels. One in `HELD_OUT` labelled nodes is scored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semblance.errors import SemblanceError

HELD_OUT = 5
RIDGE = 1.0


def held_out_score(z: NDArray[Any], labels: NDArray[Any], seed: int) -> float:
    """z [n, d]; labels int64 [n], -1 for unlabelled: accuracy; or bool [n, K]: micro-F1 of the top k."""
    if labels.ndim == 2:
        wanted = labels > 0
    else:
        wanted = (np.arange(int(labels.max(initial=0)) + 1) == labels[:, None]) & (labels >= 0)[:, None]
    known = np.random.default_rng(seed).permutation(np.flatnonzero(wanted.any(1)))
    held, kept = known[::HELD_OUT], np.delete(known, slice(None, None, HELD_OUT))
    if not len(kept):
        raise SemblanceError(f"{len(known)} labelled nodes are too few to choose settings by: label more, or set them")
    x = np.concatenate([z, np.ones((len(z), 1))], 1).astype(np.float64)
    gram = x[kept].T @ x[kept] + RIDGE * np.eye(x.shape[1])
    told = x[held] @ np.linalg.solve(gram, x[kept].T @ wanted[kept].astype(np.float64))
    asked = wanted[held].sum(1)
    rank = (-told).argsort(1, kind="stable").argsort(1, kind="stable")
    return float(((rank < asked[:, None]) & wanted[held]).sum() / asked.sum())
