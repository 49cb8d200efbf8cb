"""Propagation filters: features moved over a graph by a polynomial of one operator, before or after a small network.

    Z = sum_k c_k p_k(S) X,  k = 0 .. K

S: operators.py. p: bases.py. The coefficients c are what the papers differ in:
    Weights    numbers: the last term only (SGC), geometric (APPNP), learned (GPR-GNN), learned per channel (OptBasisGNN)
    Gate       a node's own sigmoid of each of its terms (DAGNN)
    Matrices   a matrix for every order (ChebNet, FaberNet, FE-GNN)
A filter with numbers commutes with a linear map behind it. So the papers that propagate class scores (APPNP, GPR-GNN) stand
here with the filter before the last linear map, which is the head: the space then holds states that have seen the graph.

References: Wu et al. 2019 (SGC); Gasteiger et al. 2019 (APPNP); Chien et al. 2021 (GPR-GNN); Liu et al. 2020 (DAGNN);
Defferrard et al. 2016 (ChebNet); Guo & Wei 2023 (FavardGNN, OptBasisGNN).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.bases import Monomial, Recurrent
from semblance.encoders.graphs.inputs import features_of, linear_of, read_rows
from semblance.encoders.graphs.operators import Operator, operator_of
from semblance.encoders.graphs.readout import pool
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere


def last(depth: int) -> list[float]:
    """Coefficients 0, ..., 0, 1."""
    return [0.0] * depth + [1.0]


def geometric(depth: int, restart: float) -> list[float]:
    """restart (1 - restart)^k, the rest on the last term: what `depth` steps of Z <- (1 - restart) S Z + restart X give."""
    if not 0 <= restart <= 1:
        raise SemblanceError(f"the restart probability is {restart}: give 0 to 1")
    return [restart * (1 - restart) ** k for k in range(depth)] + [(1 - restart) ** depth]


class Weights(nn.Module):
    """One number per order, or, with `channels`, one per order and channel; learned or fixed."""

    def __init__(self, initial: Sequence[float], learned: bool = False, channels: int | None = None):
        super().__init__()
        value = torch.tensor(initial, dtype=torch.float32)
        if channels is not None:
            value = value[:, None].repeat(1, channels)
        self.learned = learned
        if learned:
            self.value = nn.Parameter(value)
        else:
            self.register_buffer("value", value)
            self.given = [float(v) for v in initial]

    def forward(self, terms: Iterable[Tensor]) -> Tensor:
        """Terms [V, C], one per order -> [V, C]."""
        total: Tensor | None = None
        for k, term in enumerate(terms):
            if not self.learned and self.given[k] == 0:
                continue
            part = term * self.value[k] if self.learned else term * self.given[k]
            total = part if total is None else total + part
        if total is None:
            raise SemblanceError("every coefficient of the filter is 0: give one that is not")
        return total


class Gate(nn.Module):
    """sum_k sigmoid(H_k s) H_k with one vector s for all nodes and orders."""

    learned = True

    def __init__(self, channels: int):
        super().__init__()
        self.score = nn.Linear(channels, 1)

    def forward(self, terms: Iterable[Tensor]) -> Tensor:
        """Terms [V, C], one per order -> [V, C]."""
        stacked = torch.stack(list(terms), 1)  # [V, K + 1, C]
        return (torch.sigmoid(self.score(stacked)) * stacked).sum(1)


class Matrices(nn.Module):
    """sum_k H_k W_k + b: `weight` is [K + 1, f, out]."""

    learned = True

    def __init__(self, width: int, out: int, depth: int, bias: bool = True):
        super().__init__()
        self.out = out
        self.weight = nn.Parameter(torch.empty(depth + 1, width, out))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        bound = (6 / (width + out)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, terms: Iterable[Tensor]) -> Tensor:
        """Terms [V, f], one per order -> [V, out]."""
        total = None
        for term, weight in zip(terms, self.weight, strict=True):
            total = term @ weight if total is None else torch.addmm(total, term, weight)
        assert total is not None
        return total if self.bias is None else total + self.bias


class Filter(nn.Module):
    """The layer: x [V, C], graph -> [V, C], or [V, out] with Matrices. `depth` is K, `exponents` are those of `two-way`."""

    def __init__(
        self,
        depth: int,
        mix: nn.Module,
        basis: nn.Module | None = None,
        operator: str = "symmetric-loops",
        exponents: tuple[float, float] = (0.25, 0.25),
    ):
        super().__init__()
        if depth < 0:
            raise SemblanceError(f"depth is {depth}: propagate 0 times or more")
        self.depth, self.mix, self.operator, self.exponents = depth, mix, operator, exponents
        self.dim: int | None = getattr(mix, "out", None)
        self.basis: Any = Monomial() if basis is None else basis

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, C] -> [V, C]."""
        operator = operator_of(graph, self.operator, self.exponents)
        matrices = isinstance(self.mix, Matrices) and isinstance(self.basis, Recurrent)
        if matrices and (x.layout == torch.sparse_csr or self.mix.out < x.shape[1]):
            return self._mapped_first(operator, x)
        z: Tensor = self.mix(self.basis.terms(operator, x, self.depth))
        return z

    def _mapped_first(self, operator: Operator, x: Tensor) -> Tensor:
        """Where the matrices make x narrower: all of them in one product, then what comes out is propagated."""
        mix = self.mix
        assert isinstance(mix, Matrices)
        mapped = linear_of(x, mix.weight.permute(0, 2, 1).flatten(0, 1)).split(mix.out, 1)
        y: Tensor = self.basis.summed(operator, mapped)
        return y if mix.bias is None else y + mix.bias

    def blocks(self, x: Tensor, graph: Graph) -> list[Tensor]:
        """What can be had of features before anything is learned, computed once and kept with the graph: all terms where
        the coefficients are learned, else the sum alone. Only of a basis without parameters."""
        assert self.basis.parameter_free, "a learned basis has no terms that stay"
        fixed = None if self.mix.learned else tuple(self.mix.given)
        key = ("blocks", repr(self.basis), self.operator, self.exponents, self.depth, fixed)
        held = graph.kept.get(key)
        if held is None or not _same(held[0], x):
            with torch.inference_mode(False), torch.no_grad():
                held = graph.kept[key] = (x, self._blocks(x, graph))
        blocks: list[Tensor] = held[1]
        return blocks

    def _blocks(self, x: Tensor, graph: Graph) -> list[Tensor]:
        operator = operator_of(graph, self.operator, self.exponents)
        if x.layout == torch.sparse_csr and isinstance(self.basis, Monomial) and not self.mix.learned:
            return [_sparse_power(operator.matrix().astype(np.float32), x, self.mix.given)]
        if x.layout == torch.sparse_csr:
            x = x.to_dense()
        terms = self.basis.terms(operator, x, self.depth)
        return list(terms) if self.mix.learned else [self.mix(terms)]


def _same(before: Tensor, x: Tensor) -> bool:
    """Whether these are the same features, in place or in value; looking is far cheaper than propagating."""
    if before is x:
        return True
    if before.layout != x.layout or before.shape != x.shape or before.dtype != x.dtype:
        return False
    if x.layout == torch.sparse_csr:
        pairs = ((t.crow_indices(), t.col_indices(), t.values()) for t in (before, x))
        return all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))
    return torch.equal(before, x)


def _sparse_power(operator: sparse.csr_array, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """sum_k c_k S^k x of a bag of words, as rows that stay sparse."""
    now = sparse.csr_array(
        (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy()), shape=tuple(x.shape)
    )
    total = coefficients[0] * now
    for weight in coefficients[1:]:
        now = operator @ now
        total = total + weight * now if weight else total
    total = sparse.csr_array(total)
    total.eliminate_zeros()
    parts = (torch.from_numpy(np.asarray(part, np.int64)) for part in (total.indptr, total.indices))
    values = torch.from_numpy(total.data.astype(np.float32))
    return torch.sparse_csr_tensor(*parts, values, tuple(x.shape), check_invariants=False)


class Propagation(nn.Module):
    """An encoder of nodes, or of graphs by their nodes' sum, mean or maximum: before -> filter -> after.

    `before` maps [V, f] to [V, C]; without it the propagated features are kept with the graph, and `embed` reads the rows
    it is asked for: training costs what the map behind it costs, in batches of nodes too. `after` maps [n, C] to [n, dim].
    """

    def __init__(
        self,
        filter: Filter,
        dim: int,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
        readout: str = "mean",
        geometry: Geometry | None = None,
    ):
        super().__init__()
        self.before, self.filter, self.after = before, filter, after
        self.dim, self.readout = dim, readout
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """[V, dim], every node."""
        return self._after(self._states(batch, None))

    def embed(self, batch: Batch) -> Tensor:
        """[n, dim]: the nodes asked for, or the graphs."""
        graph: Graph = batch["graph"]
        if graph.member is not None:
            return pool(self.forward(batch), graph.member, graph.num_graphs, self.readout)
        return self._after(self._states(batch, batch.get("nodes")))

    def _states(self, batch: Batch, nodes: Tensor | None) -> Tensor:
        """[V, C] or [n, C]."""
        x, graph = features_of(batch), batch["graph"]
        if self.before is None and self.filter.basis.parameter_free and not x.requires_grad:
            blocks = [read_rows(block, nodes) for block in self.filter.blocks(x, graph)]
            if not self.filter.mix.learned:
                return blocks[0]
            mixed: Tensor = self.filter.mix(blocks)
            return mixed
        z: Tensor = self.filter(x if self.before is None else self.before(x), graph)
        return z if nodes is None else z[nodes]

    def _after(self, z: Tensor) -> Tensor:
        if self.after is not None:
            z = self.after(z)
        return z
