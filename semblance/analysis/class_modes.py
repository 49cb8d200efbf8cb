"""Class modes: in how many pieces every class lies in an embedding, and how widely.

    spread   1 - |mean of the class's directions|: 0 when all are one, near 1 when they are all over the sphere
    modes    the number of k-means clusters of the class's directions with the largest mean silhouette; one where no number
             reaches LEAST, below which Kaufman & Rousseeuw 1990 find no substantial structure

A loss that draws all of a class to one point leaves one mode; one that asks only near items to agree leaves as many as the
class had. Rousseeuw 1987 (silhouettes).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semblance.errors import SemblanceError
from semblance.reports import TableReport

LEAST, ITEMS = 0.25, 1000


def class_modes(
    z: np.ndarray, labels: np.ndarray, names: Sequence[str] | None = None, most: int = 10, seed: int = 0
) -> TableReport:
    """[n, d], [n] (-1: without a label) -> a row a class: class, items, spread, modes, silhouette. Of a class of more than
    1,000 items as many are drawn."""
    z, labels = np.asarray(z, np.float64), np.asarray(labels)
    if len(z) != len(labels) or not (labels >= 0).any():
        raise SemblanceError(
            f"there are {len(z)} vectors and {len(labels)} labels, -1 for none: give every vector its label"
        )
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    rng, rows = np.random.default_rng(seed), []
    for k in np.unique(labels[labels >= 0]):
        part = z[labels == k]
        spread = 1 - float(np.linalg.norm(part.mean(0)))
        drawn = part if len(part) <= ITEMS else part[rng.permutation(len(part))[:ITEMS]]
        pieces, silhouette = _pieces(drawn, most, seed)
        name = str(k) if names is None else names[int(k)]
        rows.append({"class": name, "items": len(part), "spread": spread, "modes": pieces, "silhouette": silhouette})
    many = sum(row["modes"] > 1 for row in rows)
    verdict = (
        f"{many} of {len(rows)} classes {'lies' if many == 1 else 'lie'} in several pieces, "
        f"{np.mean([row['modes'] for row in rows]):.1f} a class on average; mean spread "
        f"{np.mean([row['spread'] for row in rows]):.3f}"
    )
    return TableReport("modes of classes", verdict, tuple(rows), x="class", lines=("modes", "spread"))


def _pieces(points: np.ndarray, most: int, seed: int) -> tuple[int, float | None]:
    """[n, d] -> how many, and the mean silhouette of that number's clusters (None where no number could be tried)."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    distinct, tried = len(np.unique(points, axis=0)), {}
    for k in range(2, min(most, distinct - 1) + 1):
        found = KMeans(k, n_init=3, random_state=seed).fit_predict(points)
        tried[k] = float(silhouette_score(points, found))
    if not tried:
        return 1, None
    best = max(tried, key=tried.__getitem__)
    return (best if tried[best] >= LEAST else 1), tried[best]
