"""Retrieval: whether units of one label stand first when all others are ranked by similarity.

    average precision   mean over the relevant items of (relevant so far / items so far) at each one's rank
    recall at k         1 where at least one of the k nearest is relevant

Equal scores are ranked by position.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semblance.geometry.nearest import GEOMETRIES, nearest
from semblance.geometry.spaces import space_named
from semblance.memory.exact import scan

BLOCK = 2**23  # scores held at a time


def neighbours(queries: np.ndarray, items: np.ndarray, k: int, geometry: str) -> tuple[np.ndarray, np.ndarray]:
    """[Q, d], [N, d] -> positions [Q, k] and similarities [Q, k], the most similar first: by products where the geometry
    has them, else by looking at all distances."""
    if geometry in GEOMETRIES:
        return nearest(queries, items, k, geometry)
    position, distance = scan(np.asarray(items), None, np.asarray(queries), k, geometry)
    return position, -distance


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Scores [Q, N] and relevance [Q, N] bool -> [Q]; nan where nothing is relevant."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    hit = relevant.gather(1, order).float()
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1)
    return (precision * hit).sum(1) / hit.sum(1)


def label_precision(
    gallery: np.ndarray, gallery_y: np.ndarray, queries: np.ndarray, queries_y: np.ndarray, geometry: str = "cosine"
) -> np.ndarray:
    """Average precision of each query [Q], gallery items of its label being relevant; 0 where the gallery has none."""
    space = space_named(geometry)
    x, q = (torch.from_numpy(space.prepare(z)) for z in (gallery, queries))
    flat = geometry in GEOMETRIES
    y, asked = torch.as_tensor(gallery_y), torch.as_tensor(queries_y)
    half = (x * x).sum(1) / 2 if geometry == "euclidean" else torch.zeros(())
    found = torch.empty(len(q))
    for row in range(0, len(q), step := max(1, BLOCK // max(len(x), 1))):
        rows = slice(row, row + step)
        near = q[rows] @ x.T - half if flat else -torch.from_numpy(space.distance(q[rows].numpy(), x.numpy()))
        found[rows] = average_precision(near, asked[rows, None] == y)
    return found.nan_to_num(0.0).double().numpy()
