"""Clusters by coding: groups of a doubly stochastic affinity, the number of them that takes fewest bits, and their names.

    groups(A, k)     spectral clustering of A [n, n]: k-means on its first k eigenvectors
    bits(Z, A, ks)   coding length of k groups for every k (`objectives.coding_rate.coding_length`); least: the number.
                     Groups of A, of Z by k-means, or of Z merged pair by pair, always the pair that saves most bits
    named(...)       every group's name, the label text that most of its items are nearest to under an image-text model

Chu et al. 2023, arXiv:2306.05272; coding length and merging by it: Ma et al. 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from semblance.errors import SemblanceError, unknown
from semblance.objectives.coding_rate import DISTORTION, coding_length

WAYS = ("spectral", "kmeans", "merging")
SPARE = 3  # merging begins with so many times as many groups as it may end with


def groups(affinity: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """[n, n] of non-negative numbers -> [n], 0 to k-1."""
    return _spectral(affinity, k)(k, seed)


def bits(
    z: np.ndarray,
    affinity: np.ndarray | None,
    ks: Iterable[int],
    distortion: float = DISTORTION,
    seed: int = 0,
    by: str = "spectral",
) -> dict[int, float]:
    """Unit features [n, d] and, where groups are spectral, their affinity [n, n] -> k -> bits to write the features so, one
    group after another."""
    features, numbers = torch.from_numpy(np.asarray(z, np.float64)), list(dict.fromkeys(ks))
    most = max(numbers, default=1)
    if by not in WAYS:
        raise unknown("way to make groups", by, WAYS)
    if by == "spectral":
        if affinity is None:
            raise SemblanceError("spectral groups are those of an affinity: give one, or by='kmeans' or 'merging'")
        make = _spectral(affinity, most)
    elif by == "kmeans":
        make = _kmeans(np.asarray(z))
    else:
        merged = _merged(features, min(len(features), SPARE * most), distortion, seed)
        make = lambda k, seed: merged[k]  # noqa: E731
    return {k: coding_length(features, torch.from_numpy(make(k, seed)), distortion) for k in numbers}


def number(lengths: dict[int, float]) -> int:
    """The number of groups that takes fewest bits."""
    if not lengths:
        raise SemblanceError("no number of groups was tried: give a range")
    return min(lengths, key=lambda k: lengths[k])


def named(found: np.ndarray, items: np.ndarray, texts: np.ndarray, words: Sequence[str]) -> list[str]:
    """Groups [n], items [n, d] and label texts [m, d] embedded by one image-text model, the texts' words [m] -> a name for
    every group, by vote of its items' nearest text."""
    if len(words) != len(texts) or not len(words):
        raise SemblanceError(f"there are {len(texts)} text vectors and {len(words)} words: give a word for each vector")
    items, texts = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (items, texts))
    nearest = (items @ texts.T).argmax(1)
    return [
        words[int(np.bincount(nearest[found == k], minlength=len(words)).argmax())] for k in range(int(found.max()) + 1)
    ]


Make = Callable[[int, int], np.ndarray]  # a number of groups and a seed -> whose every item is, [n]


def _spectral(affinity: np.ndarray, most: int) -> Make:
    """Up to `most` groups of an affinity, whose eigenvectors are found once."""
    from sklearn.manifold import spectral_embedding

    n = len(affinity)
    if not 1 <= most <= n:
        raise SemblanceError(f"k is {most}, but {n} items make 1 to {n} groups")
    even = (affinity + affinity.T) / 2
    maps = spectral_embedding(even, n_components=most, drop_first=False, random_state=0) if most > 1 else None

    def make(k: int, seed: int) -> np.ndarray:
        return np.zeros(n, np.int64) if maps is None or k == 1 else _kmeans(maps[:, :k])(k, seed)

    return make


def _kmeans(points: np.ndarray) -> Make:
    from sklearn.cluster import KMeans

    return lambda k, seed: np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(points), np.int64)


def _merged(z: torch.Tensor, start: int, distortion: float, seed: int) -> dict[int, np.ndarray]:
    """k -> k groups, for every k from `start` (k-means) down to 1."""
    found = _kmeans(z.numpy())(start, seed)
    held = {start: found}

    def cost(*these: int) -> float:
        part = z[torch.from_numpy(np.isin(held[min(held)], these))]
        return coding_length(part, torch.zeros(len(part)), distortion) + len(part) * np.log2(len(z) / len(part))

    own = {k: cost(k) for k in range(start)}
    saved = {(a, b): own[a] + own[b] - cost(a, b) for a in own for b in own if a < b}
    while len(own) > 1:
        a, b = max(saved, key=saved.__getitem__)
        found = np.where(found == b, a, found)
        held[len(own) - 1] = found
        saved = {pair: gain for pair, gain in saved.items() if a not in pair and b not in pair}
        del own[b]
        own[a] = cost(a)
        saved |= {(min(a, c), max(a, c)): own[a] + own[c] - cost(a, c) for c in own if c != a}
    return {k: np.unique(labels, return_inverse=True)[1] for k, labels in held.items()}
