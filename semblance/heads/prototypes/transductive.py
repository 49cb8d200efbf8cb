"""Transductive answers: the items to be answered are known together, and what they look like corrects where codes had put
their classes.

    retrained    means of the items that are surest of a class replace the class's foretold place; again, a few rounds
    propagated   answers pass between near items: F = (1 - a) (I - a S)^-1 P, S the normalised graph of the k nearest,
                 P the softmax of the scores                       (Zhou et al. 2004; Fu et al. 2015, arXiv:1501.04560)
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.nearest import nearest
from semblance.heads.prototypes.class_means import squared_euclidean


def chances(scores: Tensor) -> Tensor:
    """[N, K] of any unit -> rows that sum to 1; the spread of a row's scores is brought to 1 in the mean first."""
    spread = scores.std(1).mean() if scores.shape[1] > 1 else torch.ones(())
    return (scores / spread.clamp_min(1e-12)).softmax(1)


def retrained(x: Tensor, scores: Tensor, share: float = 0.5, rounds: int = 5) -> Tensor:
    """Items [N, d] with scores [N, K] -> scores [N, K]; a class's mean is of its best `share` N / K items."""
    if not 0 < share <= 1:
        raise SemblanceError(f"share is {share}, but this part of the items is taken as sure: give above 0 up to 1")
    taken = max(1, round(share * len(x) / scores.shape[1]))
    for _ in range(rounds):
        means = x[chances(scores).topk(min(taken, len(x)), 0).indices].mean(0)  # [K, d]
        scores = -squared_euclidean(x, means) / x.shape[1]
    return scores


def propagated(x: Tensor, scores: Tensor, k: int = 10, alpha: float = 0.9, rounds: int = 50) -> Tensor:
    """Items [N, d] with scores [N, K] -> [N, K], by `rounds` of F <- alpha S F + (1 - alpha) P."""
    if not 0 <= alpha < 1:
        raise SemblanceError(f"alpha is {alpha}, but this share comes from neighbours: give 0 up to below 1")
    given = chances(scores)
    k = min(k, len(x) - 1)
    if k < 1:
        return given
    position, near = nearest(x.cpu().float(), x.cpu().float(), k, "cosine", "self", "float32")
    rows = np.repeat(np.arange(len(x)), k)
    graph = sp.csr_matrix((np.maximum(near, 0).ravel().astype(np.float64), (rows, position.ravel())), (len(x),) * 2)
    graph = graph.maximum(graph.T)
    degree = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12))
    graph = sp.diags(degree) @ graph @ sp.diags(degree)
    start = given.cpu().numpy()
    passed = start
    for _ in range(rounds):
        passed = alpha * (graph @ passed) + (1 - alpha) * start
    return torch.from_numpy(passed).to(scores)
