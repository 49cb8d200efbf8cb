"""Items in clusters with attributes, for tests of filtered search."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def items(count: int, dim: int = 32, seed: int = 0, kind: str = "uniform") -> tuple[np.ndarray, pa.Table]:
    """Unit vectors [count, dim] of 40 clusters, and attributes: year (int), score (float, some null), city (text), flag.

    kind: `uniform` draws years at random, `correlated` by cluster.
    """
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 40, count)
    centres = np.random.default_rng(99).normal(size=(40, dim))
    vectors = (centres[cluster] + 0.7 * rng.normal(size=(count, dim))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    year = rng.integers(1900, 2100, count) if kind == "uniform" else 1900 + 5 * cluster + rng.integers(0, 5, count)
    score = rng.random(count)
    table = pa.table(
        {
            "year": year,
            "score": pa.array(score, mask=rng.random(count) < 0.05),
            "city": np.array(["Oslo", "Bergen", "Rome", "Lima"])[rng.choice(4, count, p=[0.6, 0.3, 0.08, 0.02])],
            "flag": rng.random(count) < 0.5,
        }
    )
    return vectors, table
