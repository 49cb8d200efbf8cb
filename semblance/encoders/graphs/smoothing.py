"""Smoothing that stops at every node by itself: where propagation ends, and how near to that end each step has come.

    stationary(S, x)     lim_k S^k x, in closed form. Of an undirected component with degrees d~ of A + I and D = sum d~
                             symmetric-loops   (S^inf)_ij = sqrt(d~_i d~_j) / D
                             row-loops         (S^inf)_ij = d~_j / D
    levels               alpha_v(k) = cos(x_v^k, x_v^0),  beta_v(k) = cos(x_v^k, x_v^inf)
                         node smoothing level  NSL_v(k) = alpha (1 - beta)
    NodeAdaptive         the basis whose term k is w_v(k) x_v^k,  w_v = softmax over k of (1 - beta) / T, or of NSL / T

Whether alpha enters the weight is not clear from the paper's text: both are here. Its limit divides by the edges of the
whole graph; the powers themselves converge component by component, and so does this.

Reference: Zhang et al. 2022, Evaluating Deep Graph Neural Networks, arXiv:2108.00955.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from semblance.encoders.graphs.bases import Monomial
from semblance.encoders.graphs.operators import Operator
from semblance.errors import SemblanceError, unknown
from semblance.geometry.products import spread

BY = ("distance", "level")
STEPS = 200  # of a directed graph, whose powers have a limit without this closed form


def stationary(operator: Operator, x: Tensor) -> Tensor:
    """[V, C] -> lim_k S^k x [V, C]. Needs self-loops, without which powers need not converge. Of a directed graph, whose
    limit has no closed form, the 200th power."""
    if operator.own is None:
        raise SemblanceError(
            "powers of an operator without self-loops need not converge: take symmetric-loops or row-loops"
        )
    if not _mutual(operator):
        for _ in range(STEPS):
            x = operator(x)
        return x
    out, into, component, total = operator.once("limit", lambda: _limit(operator))
    out, into = (torch.from_numpy(v).to(x.dtype)[:, None] for v in (out, into / total[component]))
    sums = x.new_zeros(len(total), x.shape[1]).index_add(0, torch.from_numpy(component), into * x)
    return out * sums[torch.from_numpy(component)]


def _mutual(operator: Operator) -> bool:
    """Whether the edges that the operator is made of go both ways with equal weights."""
    rows, columns, weight = operator.rows, operator.columns, operator.weight
    same = np.array_equal(rows.start, columns.start) and np.array_equal(rows.index, columns.index)
    return same and (weight is None or np.array_equal(weight[rows.order], weight[columns.order]))


def _limit(operator: Operator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """out [V], into [V], component [V], total [components]: S^inf_ij = out_i into_j / total within a component."""
    weight, _, _, own = operator.tensors(torch.float64)
    ones = torch.ones(operator.num_nodes, 1, dtype=torch.float64)
    degree = spread(operator.rows, operator.columns, ones, weight, own=own)[:, 0].numpy()
    count, component = connected_components(operator.matrix(), directed=False)
    total = np.bincount(component, weights=degree, minlength=count)
    sides = [degree if factor is None else degree * factor for factor in (operator.left, operator.right)]
    return sides[0], sides[1], component.astype(np.int64), total


def levels(operator: Operator, x: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """alpha and beta, [V, depth + 1] each. A node whose features or limit are zero has cosine 0."""
    end = stationary(operator, x)
    cosines = [
        (F.cosine_similarity(term, x, dim=1), F.cosine_similarity(term, end, dim=1))
        for term in Monomial().terms(operator, x, depth)
    ]
    alpha, beta = (torch.stack(list(each), 1) for each in zip(*cosines, strict=True))
    return alpha, beta


class NodeAdaptive(nn.Module):
    """Powers of the operator, each weighted by how far the node still is from where propagation ends. Runs through the
    powers twice, so that no more than two of them are held."""

    parameter_free = True

    def __init__(self, temperature: float = 1.0, by: str = "distance"):
        super().__init__()
        if temperature <= 0:
            raise SemblanceError(
                f"temperature is {temperature}, but distances are divided by it: give a positive number"
            )
        if by not in BY:
            raise unknown("weight of a step", by, BY)
        self.temperature, self.by = temperature, by

    def extra_repr(self) -> str:
        return f"{self.by}, temperature={self.temperature}"

    def weights(self, operator: Operator, x: Tensor, depth: int) -> Tensor:
        """[V, depth + 1], rows sum to 1."""
        alpha, beta = levels(operator, x, depth)
        far = 1 - beta if self.by == "distance" else alpha * (1 - beta)
        return torch.softmax(far / self.temperature, 1)

    def terms(self, operator: Operator, x: Tensor, depth: int) -> Iterator[Tensor]:
        """[V, C] -> depth + 1 times [V, C], whose sum is what the node ends with."""
        weights = self.weights(operator, x, depth)
        for k, term in enumerate(Monomial().terms(operator, x, depth)):
            yield weights[:, k : k + 1] * term
