"""Exact 20 nearest by cosine of 10,000 queries among 50,000 x 512: ours, scikit-learn's brute force, faiss, plain torch.

`equal` is the share of neighbours that the first 2,000 queries have in common with a float64 product; normalising is part
of every arm.

    python bench/analysis/knn.py --rounds 3
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.analysis.features import features
from bench.harness import bench, times

K, CHECKED = 20, 2000
Search = Callable[[torch.Tensor, torch.Tensor], np.ndarray]


def arm(search: Search) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        items, _, queries, _ = features()
        found: list[np.ndarray] = []
        measured = times(lambda: found.append(search(queries, items)), 1, warmup=0)
        unit = torch.nn.functional.normalize
        exact = (unit(queries[:CHECKED].double()) @ unit(items.double()).T).topk(K).indices.numpy()
        common = [len(np.intersect1d(a, b)) for a, b in zip(found[0][:CHECKED], exact, strict=True)]
        return {**measured, "equal": float(np.mean(common)) / K}

    return run


def ours(queries: torch.Tensor, items: torch.Tensor, precision: str = "auto") -> np.ndarray:
    from semblance.geometry.nearest import nearest

    return nearest(queries, items, K, precision=precision)[0]


def ours_float32(queries: torch.Tensor, items: torch.Tensor) -> np.ndarray:
    return ours(queries, items, "float32")


def scikit_learn(queries: torch.Tensor, items: torch.Tensor) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="cosine").fit(items.numpy())
    return index.kneighbors(queries.numpy(), return_distance=False)


def faiss_knn(queries: torch.Tensor, items: torch.Tensor) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    unit = torch.nn.functional.normalize
    return faiss.knn(unit(queries).numpy(), unit(items).numpy(), K, metric=faiss.METRIC_INNER_PRODUCT)[1]


def plain_torch(queries: torch.Tensor, items: torch.Tensor) -> np.ndarray:
    unit = torch.nn.functional.normalize
    q, x = unit(queries), unit(items)
    return torch.cat([(q[i : i + 256] @ x.T).topk(K).indices for i in range(0, len(q), 256)]).numpy()


if __name__ == "__main__":
    arms = {
        "scikit-learn": scikit_learn,
        "faiss": faiss_knn,
        "plain torch": plain_torch,
        "float32": ours_float32,
        "ours": ours,
    }
    bench(
        __file__,
        {name: arm(search) for name, search in arms.items()},
        baseline="scikit-learn",
        targets={
            "at least 5 times scikit-learn": ("ours / scikit-learn", 5.0),
            "at least 1.3 times faiss": ("ours / faiss", 1.3),
        },
        rounds=3,
        notes="50,000 x 512 random ReLU features of MNIST, 10,000 queries, k 20, exact cosine; wanted: equal >= 0.9999",
    )
