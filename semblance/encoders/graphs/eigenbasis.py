"""Eigenbasis: a filter that is learned over the spectrum itself, as smooth bumps along the eigenvalues.

    p_q(S) = U diag( b_q(rank of the eigenvalue) ) U^T,     S = U diag(lambda) U^T, the K smoothest eigenvectors

b_0 .. b_depth are hat functions over the ranks that add up to 1, so that a filter between two maps is a matrix for every
knot (`Matrices` of propagate.py) and its number of weights does not grow with the graph. It takes a decomposition, and what
is learned belongs to that graph. Reference: Bruna et al. 2014, arXiv:1312.6203."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn

from semblance.encoders.graphs.operators import Operator
from semblance.errors import SemblanceError

DENSE = 500  # nodes up to which all eigenvectors are computed at once
SAME = 1e-8  # a difference below which two eigenvalues count as equal


class Bumps(nn.Module):
    """The basis: `count` eigenvectors of a symmetric operator, fewer where it has fewer."""

    parameter_free = True

    def __init__(self, count: int = 128):
        super().__init__()
        if count < 1:
            raise SemblanceError(f"{count} eigenvectors: give 1 or more")
        self.count = count

    def extra_repr(self) -> str:
        """What tells one basis from another."""
        return f"count={self.count}"

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C]."""
        vectors, rank = (torch.from_numpy(v).to(x) for v in smoothest(operator, self.count))  # [V, K], [K]
        inside = vectors.T @ x
        place = rank * (depth / max(len(rank) - 1, 1))
        for knot in range(depth + 1):
            bump = (1 - (place - knot).abs()).clamp(min=0)
            yield vectors @ (bump[:, None] * inside)


def smoothest(operator: Operator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors [V, K] of the largest eigenvalues, those first, and the rank of each [K], equal eigenvalues having the
    mean of theirs; float64, kept with the operator. Of a directed graph those of the operator's symmetric part."""
    size = operator.num_nodes

    def solve() -> tuple[np.ndarray, np.ndarray]:
        matrix = operator.matrix()
        matrix = matrix if operator.symmetric else (matrix + matrix.T) / 2
        if size <= max(DENSE, count + 1):
            values, vectors = np.linalg.eigh(matrix.toarray())
        else:
            values, vectors = eigsh(matrix, k=count, which="LA", v0=np.ones(size))
        order = np.argsort(-values)[:count]
        values = values[order]
        # Of equal eigenvalues any orthogonal basis may come: what treats them alike does not depend on which.
        group = np.concatenate([[0], np.cumsum(np.diff(values) < -SAME)]) if len(values) else np.zeros(0, int)
        rank = np.bincount(group, np.arange(len(values))) / np.maximum(np.bincount(group), 1)
        return vectors[:, order].copy(), rank[group]

    return operator.once(("smoothest", count), solve)
