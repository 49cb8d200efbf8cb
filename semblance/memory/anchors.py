"""Relative codes: an item is said by its similarities to anchors, and no longer by where it lies.

    r(x) = ( s(e(x), e(a_1)), ..., s(e(x), e(a_A)) ),        s = cos unless another is chosen

Rotations, reflections and rescalings of the latent space leave cosines as they are, so two encoders that differ by no more
give the same code. PARALLEL anchors, the same items (or their counterparts: a picture and its caption) encoded by either
side, make codes of different encoders comparable; what is trained on the codes of one reads those of another.

What varies: the anchors (drawn, farthest points, members nearest to k-means); the similarity; whether the anchors' mean is
taken off first, which makes codes indifferent to a shift of the space too; whether codes are rounded to steps.
Reference: Moschella et al. 2023 "Relative representations enable zero-shot latent space communication", arXiv:2209.15430.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.errors import SemblanceError, unknown
from semblance.geometry.nearest import nearest

Similarity = Callable[[Tensor, Tensor], Tensor]


def cosine(z: Tensor, anchors: Tensor) -> Tensor:
    """[N, d], [A, d] -> [N, A]; indifferent to rotation, reflection and any rescaling."""
    return F.normalize(z, dim=1) @ F.normalize(anchors, dim=1).T


def inner(z: Tensor, anchors: Tensor) -> Tensor:
    """[N, d], [A, d] -> [N, A]; indifferent to rotation and reflection."""
    return z @ anchors.T


def closeness(z: Tensor, anchors: Tensor) -> Tensor:
    """[N, d], [A, d] -> [N, A], the negative Euclidean distance; indifferent to rotation, reflection and shift."""
    return -torch.cdist(z, anchors)


SIMILARITIES: dict[str, Similarity] = {"cosine": cosine, "inner": inner, "closeness": closeness}


class Relative(nn.Module):
    """A layer: vectors [N, d] -> codes [N, A] relative to anchors [A, d], which are kept with it."""

    anchors: Tensor

    def __init__(self, anchors: Tensor, similarity: str = "cosine", centred: bool = False, steps: int = 0):
        """steps: codes are rounded to multiples of 1 / steps; 0 leaves them."""
        super().__init__()
        if similarity not in SIMILARITIES:
            raise unknown("similarity", similarity, SIMILARITIES)
        if anchors.ndim != 2 or not len(anchors):
            raise SemblanceError(
                f"the anchors have the shape {list(anchors.shape)}: give vectors [A, d] of one or more"
            )
        if steps < 0:
            raise SemblanceError(f"codes cannot be rounded to {steps} steps: give 1 or more, or 0 to leave them")
        self.register_buffer("anchors", anchors)
        self.similarity, self.centred, self.steps = similarity, centred, steps

    def forward(self, z: Tensor, anchors: Tensor | None = None) -> Tensor:
        """anchors: the same items encoded just now [A, d], where they learn along; else those that are kept."""
        known = self.anchors if anchors is None else anchors
        if self.centred:
            middle = known.mean(0)
            z, known = z - middle, known - middle
        code = SIMILARITIES[self.similarity](z, known)
        if not self.steps:
            return code
        # The rounded value goes on, with the gradient of the unrounded.
        return code + ((code * self.steps).round() / self.steps - code).detach()


def choose_anchors(z: np.ndarray, count: int, rng: np.random.Generator, how: str = "drawn") -> np.ndarray:
    """[N, d] -> positions [count], different and rising. how: drawn; farthest, each the farthest (by angle) from those
    before it; kmeans, the members nearest to the centres of so many clusters."""
    if how not in WAYS:
        raise unknown("way to choose anchors", how, WAYS)
    if not 1 <= count <= len(z):
        raise SemblanceError(f"{count} anchors of {len(z)} items: give 1 to {len(z)}")
    return np.sort(WAYS[how](np.asarray(z, np.float32), count, rng))


def _drawn(z: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(len(z), count, replace=False)


def _farthest(z: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    chosen = np.empty(count, np.int64)
    chosen[0] = rng.integers(len(z))
    near = z @ z[chosen[0]]  # of every item, the cosine with the anchor next to it
    for at in range(1, count):
        near[chosen[at - 1]] = np.inf  # copies of an anchor come last, an anchor never twice
        chosen[at] = near.argmin()
        np.maximum(near, z @ z[chosen[at]], out=near)
    return chosen


def _members(z: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, n_init=1, random_state=int(rng.integers(2**31))).fit(z)
    member = np.unique(nearest(found.cluster_centers_, z, 1, "euclidean")[0][:, 0])
    spare = rng.permutation(np.setdiff1d(np.arange(len(z)), member))  # where two centres share their nearest member
    return np.concatenate([member, spare[: count - len(member)]])


WAYS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "drawn": _drawn,
    "farthest": _farthest,
    "kmeans": _members,
}
