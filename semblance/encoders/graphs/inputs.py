"""The first linear map of a network on nodes: of dense features, or of bags of words as compressed sparse rows.

    y = dropout(x) W^T + b

Sparse x is never made dense: the product and its gradient run over what is not zero, and dropout strikes those values only,
which is the same, since it leaves zeros zero. Where the data has no features, a node is told by its degree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape


class InputLinear(nn.Module):
    """[V, f] -> [V, out], x dense or torch.sparse_csr. `weight` is [out, f], drawn after Glorot."""

    def __init__(self, width: int, out: int, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, width))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.dropout = dropout
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[V, f] -> [V, out]."""
        return linear_of(x, self.weight, self.bias, self.dropout if self.training else 0.0)


def linear_of(x: Tensor, weight: Tensor, bias: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """dropout(x) W^T + b with weight [out, f]: [V, f], dense or torch.sparse_csr, -> [V, out]."""
    if x.layout != torch.sparse_csr:
        return F.linear(F.dropout(x, dropout), weight, bias)
    y: Tensor = _SparseLinear.apply(x, F.dropout(x.values(), dropout), weight)
    return y if bias is None else y + bias


class _SparseLinear(torch.autograd.Function):
    """x W^T for x as compressed sparse rows, which itself needs no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        ctx.x, ctx.values = x, values
        if weight.device.type != "cpu":
            return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape) @ weight.T
        start, index, value = _arrays(x, values)
        across = weight.detach().T.contiguous()  # a word's weights lie together
        y = torch.zeros(len(start) - 1, len(weight), dtype=weight.dtype)
        _gather(start, index, value, across.numpy(), y.numpy())
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor]:  # type: ignore[override]
        x, values = ctx.x, ctx.values
        if grad.device.type != "cpu":
            turned = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape).t()
            return None, None, (turned @ grad).T
        start, index, value = _arrays(x, values)
        across = torch.zeros(x.shape[1], grad.shape[1], dtype=grad.dtype)
        _scatter(start, index, value, grad.contiguous().numpy(), across.numpy())
        return None, None, across.T


def _arrays(x: Tensor, values: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return x.crow_indices().numpy(), x.col_indices().numpy(), values.detach().numpy()


@njit(cache=True, nogil=True)
def _gather(start, index, value, weight, y):  # type: ignore[no-untyped-def]
    for v in range(len(start) - 1):
        for p in range(start[v], start[v + 1]):
            w, word = value[p], index[p]
            if w != 0:
                for c in range(y.shape[1]):
                    y[v, c] += w * weight[word, c]


@njit(cache=True, nogil=True)
def _scatter(start, index, value, grad, weight):  # type: ignore[no-untyped-def]
    for v in range(len(start) - 1):
        for p in range(start[v], start[v + 1]):
            w, word = value[p], index[p]
            if w != 0:
                for c in range(grad.shape[1]):
                    weight[word, c] += w * grad[v, c]


def read_rows(x: Tensor, nodes: Tensor | None) -> Tensor:
    """Rows of [V, C], dense or torch.sparse_csr, as a dense [n, C]; None: all."""
    if x.layout != torch.sparse_csr:
        return x if nodes is None else x[nodes]
    if nodes is None or x.device.type != "cpu":
        return x.to_dense() if nodes is None else x.to_dense()[nodes]
    start, index, value = _arrays(x, x.values())
    out = torch.zeros(len(nodes), x.shape[1], dtype=x.dtype)
    _read(start, index, value, nodes.numpy(), out.numpy())
    return out


@njit(cache=True, nogil=True)
def _read(start, index, value, nodes, out):  # type: ignore[no-untyped-def]
    for i in range(len(nodes)):
        for p in range(start[nodes[i]], start[nodes[i] + 1]):
            out[i, index[p]] = value[p]


DEGREE_FEATURES = 2


def features_of(batch: Batch) -> Tensor:
    """x of the batch, or, where the data has none, 1 and log(degree + 1) of every node: [V, 2]."""
    x = batch.get("x")
    if x is not None:
        return x
    graph = batch["graph"]

    def tell() -> Tensor:
        degree = torch.from_numpy(np.log1p(graph.rows().degree)).float()
        return torch.stack([torch.ones_like(degree), degree], 1)

    found: Tensor = graph.once("degree features", tell)
    return found


def width_of_features(shape: Shape) -> int:
    """Columns of `features_of`."""
    return shape.item[0] or DEGREE_FEATURES
