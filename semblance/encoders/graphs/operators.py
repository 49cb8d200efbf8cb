"""Operators: the sparse matrix by which a graph moves features from node to node.

    y_v = left_v ( own_v right_v x_v  +  sum over edges u -> v of w_uv right_u x_u )

kind              left           right          own
symmetric         d^-1/2         d^-1/2         0            S = D^-1/2 A D^-1/2
symmetric-loops   d~^-1/2        d~^-1/2        1            the same of A + I
row               1 / d          1              0            D^-1 A: the mean of the neighbours
row-loops         1 / d~         1              1            the same of A + I
two-way           d_in^-a        d_out^-b       0            directed; its transpose `.T` is the other way
in-laplacian      -1             1              -d_in        D_in - A
adjacency         1              1              0            A

d is the sum of the weights of the edges that enter a node, d~ that of A + I, where a node that has a self-loop keeps the
one it has; a node without edges gets 0. Reads the weights of a graph; refuses negative ones and signs, under which a
degree has no root.
References: Kipf & Welling 2017 (symmetric-loops); Koke & Cremers 2024 (two-way, in-laplacian).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph, Rows
from semblance.geometry.kept import Keeps
from semblance.geometry.products import spread

KINDS = ("symmetric", "symmetric-loops", "row", "row-loops", "two-way", "in-laplacian", "adjacency")


@dataclass(frozen=True, eq=False)
class Operator(Keeps):
    """The matrix in factors, float64: left, right, own [V] (None: ones, ones, zeros), weight [E] in the order of the
    graph's edges (None: ones). `symmetric`: it is its own transpose."""

    rows: Rows
    columns: Rows
    left: np.ndarray | None
    right: np.ndarray | None
    weight: np.ndarray | None
    own: np.ndarray | None
    symmetric: bool

    @property
    def num_nodes(self) -> int:
        """V."""
        return len(self.rows.start) - 1

    @property
    def T(self) -> Operator:
        """The transpose: features move against the edges."""
        if self.symmetric:
            return self
        turned = {"rows": self.columns, "columns": self.rows, "left": self.right, "right": self.left}
        return self.once("transpose", lambda: replace(self, **turned, kept={"transpose": self}))

    def matrix(self) -> sparse.csr_array:
        """The same as a SciPy matrix, float64 [V, V]."""

        def build() -> sparse.csr_array:
            values = np.ones(len(self.rows.index)) if self.weight is None else self.weight[self.rows.order]
            built = sparse.csr_array((values, self.rows.index, self.rows.start), shape=(self.num_nodes,) * 2)
            if self.own is not None:
                built = built + sparse.diags_array(self.own)
            if self.left is not None:
                built = sparse.diags_array(self.left) @ built
            return sparse.csr_array(built if self.right is None else built @ sparse.diags_array(self.right))

        return self.once("matrix", build)

    def __call__(self, x: Tensor) -> Tensor:
        """[V, C] -> [V, C], one sparse product; differentiable in x."""
        return spread(self.rows, self.columns, x, *self.tensors(x.dtype))

    def solve(self, x: Tensor) -> Tensor:
        """(I + operator)^-1 x for [V, C], by a factorisation that is computed once; differentiable in x."""
        solved: Tensor = _Solve.apply(x, self, False)
        return solved

    def tensors(self, dtype: torch.dtype) -> tuple[Tensor | None, ...]:
        """weight, left, right, own, as `spread` takes them."""
        each = (self.weight, self.left, self.right, self.own)
        return self.once(dtype, lambda: tuple(None if v is None else torch.from_numpy(v).to(dtype) for v in each))

    def factors(self) -> Any:
        """The LU factors of I + operator."""
        return self.once("factors", lambda: splu((self.matrix() + sparse.eye_array(self.num_nodes)).tocsc()))


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: Operator, transposed: bool) -> Tensor:  # type: ignore[override]
        ctx.operator, ctx.transposed = operator, transposed
        solved = operator.factors().solve(x.detach().double().numpy(), "T" if transposed else "N")
        return torch.from_numpy(solved).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _Solve.apply(grad, ctx.operator, not ctx.transposed), None, None


def operator_of(graph: Graph, kind: str = "symmetric-loops", exponents: tuple[float, float] = (0.25, 0.25)) -> Operator:
    """The operator of this kind, computed once and kept with the graph. `exponents` are a and b of `two-way`."""
    if kind not in KINDS:
        raise unknown("graph operator", kind, KINDS)
    return graph.once(("operator", kind, exponents), lambda: _build(graph, kind, exponents))


def _build(graph: Graph, kind: str, exponents: tuple[float, float]) -> Operator:
    weight = None if graph.weight is None else graph.weight.double().numpy()
    for name, values in (("weights", weight), ("signs", None if graph.sign is None else graph.sign.numpy())):
        if values is not None and (values < 0).any():
            raise SemblanceError(
                f"{int((values < 0).sum())} of {graph.num_edges} edges have negative {name}, but propagation averages over "
                "neighbours: drop those edges or take a method for signed graphs"
            )
    looped = kind.endswith("-loops")
    rows, columns = graph.rows(), graph.columns()
    ends = graph.edge_index.numpy()
    loops = np.ones(graph.num_nodes) if looped else None
    if loops is not None:
        loops[ends[1][ends[0] == ends[1]]] = 0
    enters = _degree(ends[1], weight, graph.num_nodes) + (0 if loops is None else loops)
    left = right = None
    own = loops
    if kind.startswith("symmetric"):
        left = right = _power(enters, -0.5)
    elif kind.startswith("row"):
        left = _power(enters, -1.0)
    elif kind == "two-way":
        left, right = _power(enters, -exponents[0]), _power(_degree(ends[0], weight, graph.num_nodes), -exponents[1])
    elif kind == "in-laplacian":
        left, own = -np.ones(graph.num_nodes), -enters
    symmetric = graph.is_symmetric() and (
        left is right or kind == "in-laplacian" or (kind == "two-way" and exponents[0] == exponents[1])
    )
    return Operator(rows, columns, left, right, weight, own, symmetric)


def _degree(ends: np.ndarray, weight: np.ndarray | None, count: int) -> np.ndarray:
    return np.bincount(ends, weights=weight, minlength=count).astype(np.float64)


def _power(degree: np.ndarray, exponent: float) -> np.ndarray:
    """degree ^ exponent, 0 where there are no edges."""
    return np.where(degree > 0, np.where(degree > 0, degree, 1.0) ** exponent, 0.0)
