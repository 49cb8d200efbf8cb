"""Projection: a space in two dimensions, computed once and kept beside it.

    pca     the two directions in which a uniform sample of at most `SAMPLE` vectors varies most; everything is projected
    umap    McInnes, Healy and Melville 2018, arXiv:1802.03426, of a uniform sample of at most `LAID_OUT` items; any other
            item lies at the mean of its `FEW` nearest of those, weighted by exp(-(d - d_nearest) / d_mean)

Vectors of two dimensions or fewer are drawn as they are. A map is centred and within [-1, 1], both axes on one scale.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.memory.exact import scan
from semblance.memory.segments import Floats, Ints, Vectors

SAMPLE, LAID_OUT = 20_000, 30_000
NEIGHBOURS, FEW = 15, 5
LEAST = 4
"""Items that UMAP needs."""


def pca(vectors: Vectors, seed: int = 0) -> tuple[Floats, dict[str, Any]]:
    """[N, d] -> [2, N] float32, and how it was come by."""
    count = len(vectors)
    said = {"kind": "pca", "items": count, "fitted": count, "how": "as they are", "seed": seed}
    if vectors.dim <= 2 or not count:
        flat = np.zeros((2, count), np.float32)
        flat[: vectors.dim] = vectors[:].T if count else 0
        return fitted(flat), said
    rows = uniform(count, SAMPLE, seed)
    sample = np.asarray(vectors[rows], np.float64)
    centre = sample.mean(0)
    axes = main_axes(sample - centre).astype(np.float32)
    flat = np.concatenate([(block - centre.astype(np.float32)) @ axes for block in vectors.blocks()]).T
    return fitted(flat), {**said, "fitted": len(rows), "how": "pca"}


def main_axes(centred: np.ndarray) -> np.ndarray:
    """[n, d], mean 0 -> [d, 2]: orthogonal, the most varied first, the same way up everywhere."""
    from scipy.linalg import eigh

    n, d = centred.shape
    wide = d > n  # the smaller of the two products has the same directions
    square = centred @ centred.T if wide else centred.T @ centred
    size = len(square)
    _, found = eigh(square, subset_by_index=[max(0, size - 2), size - 1])
    axes = (centred.T @ found if wide else found)[:, ::-1]
    length = np.linalg.norm(axes, axis=0)
    axes = axes / np.where(length > 0, length, 1)
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] + 0.0)
    return np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))  # one item: everything lies at 0


def umap(vectors: Vectors, geometry: str, seed: int = 0) -> tuple[Floats, dict[str, Any]]:
    """[N, d] -> [2, N] float32, and how it was come by. Takes seconds to minutes."""
    count = len(vectors)
    if count < LEAST:
        raise SemblanceError(f"UMAP needs {LEAST} items or more, and there are {count}: take kind=pca")
    rows = uniform(count, LAID_OUT, seed)
    sample = np.asarray(vectors[rows], np.float32)
    layout = _layout(sample, seed)
    if len(rows) < count:
        layout = placed(vectors, rows, layout, geometry)
    return fitted(layout.T), {"kind": "umap", "items": count, "fitted": len(rows), "how": "umap", "seed": seed}


def _layout(sample: Floats, seed: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed takes one thread; that a graph has several parts
        from umap import UMAP

        # As in space.picture: vectors of a cosine space have length 1, so their Euclidean neighbours are those by angle.
        init = "spectral" if len(sample) > 50 else "random"
        near = min(NEIGHBOURS, len(sample) - 1)
        found = UMAP(n_neighbors=near, min_dist=0.1, init=init, random_state=seed, n_jobs=1).fit_transform(sample)
    return np.asarray(found, np.float32)


def placed(vectors: Vectors, rows: Ints, layout: Floats, geometry: str) -> Floats:
    """Positions [n, 2] of the items at these rows -> [N, 2] of all: others lie among the nearest of those."""
    out = np.empty((len(vectors), 2), np.float32)
    out[rows] = layout
    others = np.setdiff1d(np.arange(len(vectors)), rows)
    ways = space_named(geometry)
    for start in range(0, len(others), 4096):
        some = others[start : start + 4096]
        near, far = scan(vectors, rows, ways.prepare(vectors[some]), FEW, geometry)
        weight = np.exp(-(far - far[:, :1]) / np.maximum(far.mean(1, keepdims=True), 1e-9))
        at = layout[np.searchsorted(rows, near)]  # [n, FEW, 2]
        out[some] = (at * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
    return out


def uniform(count: int, most: int, seed: int) -> Ints:
    """All positions, or a uniform sample of `most`, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def fitted(flat: np.ndarray) -> Floats:
    """[2, N] -> the same picture, centred and within [-1, 1]."""
    if not flat.size:
        return np.asarray(flat, np.float32)
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    half = float((high - low).max()) / 2
    return np.ascontiguousarray((flat - (low + high) / 2) / (half or 1.0), np.float32)
