"""Gromov's tree: any distances as those of a tree whose hidden (Steiner) nodes stand where paths from the root part.

    (x | y) = (d(x, r) + d(y, r) - d(x, y)) / 2        how far paths from r to x and to y run together
    (x | y)_T = max over chains x = z_0, z_1, .., y of the least (z_i | z_(i + 1))

The second is the single linkage of the first, so d_T <= d, distances from r stay, and distances of a tree come back
exactly, its branching points found though nobody named them. In general d - d_T <= 2 delta log2 V, delta the
hyperbolicity of d. Reference: Gromov 1987, Hyperbolic groups; Ghys & de la Harpe 1990.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from semblance.errors import SemblanceError
from semblance.geometry.trees import Tree

SHORT = 1e-9
"""Edges up to this share of the greatest distance are none: their ends are one node."""


def gromov_tree(distances: NDArray[np.float64], root: int = 0) -> Tree:
    """[V, V], symmetric, all known, above 0 between different nodes -> a tree whose first V nodes are those."""
    count = len(distances)
    if not np.isfinite(distances).all():
        raise SemblanceError("Gromov's tree is of all distances, and some are missing: give the largest component")
    if count == 1:
        return Tree(np.array([-1]), np.zeros(1))
    far = distances[root]
    product = np.maximum((far[:, None] + far - distances) / 2, 0)
    most = float(product.max())
    merged = linkage(squareform(most - product, checks=False), "single")
    parent = np.full(2 * count - 1, -1)
    parent[merged[:, :2].astype(np.int64)] = (count + np.arange(count - 1))[:, None]
    depth = np.append(far, most - merged[:, 2])
    # Chains of short edges, read from the top, end in one node: the named one, where there is one.
    stands = np.arange(2 * count - 1)
    for node in range(2 * count - 3, -1, -1):
        above = stands[parent[node]]
        if depth[node] - depth[above] <= SHORT * max(float(far.max()), 1e-300):
            if node < count and above < count:
                raise SemblanceError(f"nodes {above} and {node} are at no distance: leave one of them out")
            if node < count:  # the hidden ones that stood there stand here now
                stands[stands == above] = node
                depth[node] = depth[above]
            else:
                stands[node] = above
    kept = np.unique(stands)
    number = np.full(2 * count - 1, -1)
    number[kept] = np.arange(len(kept))
    above = np.full(len(kept), -1)
    for place, node in enumerate(kept):
        up = int(parent[node])
        while up >= 0 and stands[up] == node:
            up = int(parent[up])
        above[place] = -1 if up < 0 else number[stands[up]]
    length = np.where(above >= 0, depth[kept] - depth[kept][above], 0.0)
    return Tree(above, length, count)
