"""How far apart the members of a hyperedge are embedded: small where vectors follow the structure, 0 where they collapsed.

    score = mean over hyperedges e of two members or more of the mean over pairs u != v of e of |z_u - z_v|

A network that smooths over structure pulls members together; features alone leave them where they are. Near 0 beside the
mean distance of all nodes is over-smoothing. Feng et al. 2024 (topology score of LightHGNN).
"""

from __future__ import annotations

import numpy as np

from semblance.geometry.hypergraph import Hypergraph

MOST = 200_000
"""Pairs whose distance is taken; hyperedges are drawn above."""


def hyperedge_spread(z: np.ndarray, hypergraph: Hypergraph, seed: int = 0) -> float:
    """z [V, d] -> the mean distance within a hyperedge; nan where none has two members."""
    rows = hypergraph.by_edge()
    several = np.flatnonzero(rows.degree > 1)
    pairs = rows.degree[several].astype(np.int64) ** 2
    if pairs.sum() > MOST:
        order = np.random.default_rng(seed).permutation(len(several))
        taken = order[: max(1, int(np.searchsorted(np.cumsum(pairs[order]), MOST)))]
        several, pairs = several[taken], pairs[taken]
    if not len(several):
        return float("nan")
    size = rows.degree[several].astype(np.int64)
    owner = np.repeat(np.arange(len(several)), pairs)
    within = np.arange(pairs.sum()) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    first, second = (rows.start[several][owner] + part for part in np.divmod(within, size[owner]))
    distance = np.linalg.norm(z[rows.index[first]] - z[rows.index[second]], axis=1)
    total = np.bincount(owner, distance, len(several))
    return float((total / (size * (size - 1))).mean())
