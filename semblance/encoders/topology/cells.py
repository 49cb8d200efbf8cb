"""Networks on cell complexes: states live on vertices, edges, faces, ..., and pass through the boundary matrices.

    CellConvolution    h_k' = f( D_k h_k W_k + b_k ),   D_k = B_k^T B_k + B_{k+1} B_{k+1}^T the Hodge Laplacian
    CellAttention      a k-cell attends to itself, its faces, its cofaces and the k-cells that share one (the support of
                       B_k, B_{k+1} and D_k), several heads, residual and feed-forward

Axes: dimensions (any number), signed or unsigned, normalised D_k (D^-1/2 D_k D^-1/2, D its diagonal), separate weights for
the lower part B_k^T B_k and the upper part (`split`), read-out of a complex. D_k is applied as products with B and its
transpose and never formed. `x` is a list, one [n_k, f_k] a dimension; a layer is layer(x, complex) -> the same, new widths.

Unsigned: the matrices are |B_k|, so orientations do not matter. Signed: no bias, odd activations, and in attention the
scores and values of a pair are multiplied by the sign of its entry; turning a cell over turns its output over and no other.

Khorana 2024, CW-CNN & CW-AN (the attention mask is this file's reading of it); convolution by Hodge Laplacians: Ebli et al.
2020, arXiv:2010.03633; separate parts: Roddenberry et al. 2021, arXiv:2102.10058.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.attention import softmax
from semblance.encoders.graphs.message import linear
from semblance.encoders.graphs.readout import READOUTS, pool
from semblance.errors import SemblanceError, unknown
from semblance.geometry.cells import CellComplex
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread
from semblance.geometry.spaces import Geometry, Sphere

ODD = (None, "tanh")
Cochains = list[Tensor]


def hodge(
    x: Tensor, complex_: CellComplex, k: int, signed: bool = True, normalise: bool = False, part: str = "both"
) -> Tensor:
    """D_k x, or its lower or upper part; [n_k, c] -> [n_k, c]. Normalised, both parts are divided by the whole diagonal."""
    root = _roots(complex_, k, x.dtype) if normalise else None
    out = torch.zeros_like(x)
    if part != "upper" and 1 <= k <= complex_.dim:
        cells, faces, sign = complex_.by_cell(k), complex_.by_face(k), _signs(complex_, k, signed, x.dtype)
        out = out + spread(cells, faces, spread(faces, cells, x, sign, right=root), sign, left=root)
    if part != "lower" and k < complex_.dim:
        cells, faces, sign = complex_.by_cell(k + 1), complex_.by_face(k + 1), _signs(complex_, k + 1, signed, x.dtype)
        out = out + spread(faces, cells, spread(cells, faces, x, sign, right=root), sign, left=root)
    return out


def _signs(complex_: CellComplex, k: int, signed: bool, dtype: torch.dtype) -> Tensor | None:
    """The entries of B_k or |B_k| as `spread` takes them; None where all are 1."""

    def make() -> Tensor | None:
        sign = complex_.boundaries[k - 1].sign
        sign = sign if signed else sign.abs()
        return None if bool((sign == 1).all()) else sign.to(dtype)

    return complex_.once(("signs", k, signed, dtype), make)


def _roots(complex_: CellComplex, k: int, dtype: torch.dtype) -> Tensor:
    """The diagonal of D_k to the power -1/2, 0 where there is nothing; [n_k]."""

    def make() -> Tensor:
        diagonal = torch.zeros(complex_.size(k), dtype=dtype)
        for at, of in ((k, "cell"), (k + 1, "face")):
            if 1 <= at <= complex_.dim:
                boundary = complex_.boundaries[at - 1]
                diagonal = diagonal.index_add(0, getattr(boundary, of), boundary.sign.to(dtype) ** 2)
        there = diagonal > 0
        return torch.where(there, torch.where(there, diagonal, 1).rsqrt(), 0)

    return complex_.once(("roots", k, dtype), make)


class CellConvolution(nn.Module):
    """One Hodge convolution in each dimension; inputs: the width of each dimension's states."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        signed: bool = False,
        normalise: bool = True,
        split: bool = False,
        activation: str | None = "relu",
    ):
        super().__init__()
        check_odd(signed, activation)
        self.maps = nn.ModuleList(linear(width, outputs, not signed) for width in inputs)
        self.upper = nn.ModuleList(linear(width, outputs, False) for width in inputs) if split else None
        self.signed, self.normalise, self.activation = signed, normalise, activation
        self.dims = [outputs] * len(inputs)

    def forward(self, x: Cochains, complex_: CellComplex) -> Cochains:
        """[n_k, f_k] for every k -> [n_k, outputs]."""
        out = []
        for k, (states, own) in enumerate(zip(x, self.maps, strict=True)):
            first = own.in_features < own.out_features  # the narrower side passes through the boundaries
            if self.upper is None:
                new = self._hodge(states if first else states @ own.weight.T, complex_, k, "both")
                new = new @ own.weight.T if first else new
            else:
                lower, upper = (self._hodge(states, complex_, k, part) for part in ("lower", "upper"))
                new = lower @ own.weight.T + upper @ self.upper[k].weight.T
            out.append(activation_named(self.activation)(new if own.bias is None else new + own.bias))
        return out

    def _hodge(self, states: Tensor, complex_: CellComplex, k: int, part: str) -> Tensor:
        return hodge(states, complex_, k, self.signed, self.normalise, part)


class CellAttention(nn.Module):
    """Transformer block whose pairs are the incident cells; every dimension has queries, keys and values of its own.
    width: of the states of all `dimensions`, a multiple of `heads`."""

    def __init__(
        self, width: int, dimensions: int, heads: int = 4, signed: bool = False, activation: str = "relu", grow: int = 2
    ):
        super().__init__()
        check_odd(signed, activation)
        if width % heads:
            raise SemblanceError(f"{heads} heads do not share a width of {width}: give a multiple")

        def maps(inputs: int, outputs: int) -> nn.ModuleList:
            return nn.ModuleList(linear(inputs, outputs, not signed) for _ in range(dimensions))

        self.joint, self.out = maps(width, 3 * width), maps(width, width)
        self.wide, self.narrow = maps(width, grow * width), maps(grow * width, width)
        # Without a shift, layer norm is odd too.
        self.norms = nn.ModuleList(nn.LayerNorm(width, bias=not signed) for _ in range(2 * dimensions))
        self.heads, self.signed, self.activation, self.dims = heads, signed, activation, [width] * dimensions

    def forward(self, x: Cochains, complex_: CellComplex) -> Cochains:
        """[n_k, width] for every k -> the same."""
        graph = incident(complex_, len(x))
        joint = torch.cat([joint(norm(h)) for h, joint, norm in zip(x, self.joint, self.norms[::2], strict=True)])
        query, key, value = joint.chunk(3, 1)
        source, target = graph.edge_index
        each = (query[target] * key[source]).view(len(source), self.heads, -1).sum(2)
        raw = each / math.sqrt(query.shape[1] / self.heads)
        sign = None if graph.sign is None or not self.signed else graph.sign.to(raw)[:, None]
        alpha = softmax(raw if sign is None else raw * sign, graph)
        mixed = spread(graph.rows(), graph.columns(), value.contiguous(), alpha if sign is None else alpha * sign)
        parts = mixed.split([len(h) for h in x])
        states = [h + out(part) for h, out, part in zip(x, self.out, parts, strict=True)]
        bend = activation_named(self.activation)
        fed = zip(states, self.wide, self.narrow, self.norms[1::2], strict=True)
        return [h + narrow(bend(wide(norm(h)))) for h, wide, narrow, norm in fed]


def incident(complex_: CellComplex, dimensions: int) -> Graph:
    """Who attends to whom, over all cells of the first `dimensions` one after the other: a cell to itself, its faces, its
    cofaces and the cells that share one. `sign`: that of the entry; of cells that share both, the lower part's."""

    def make() -> Graph:
        sizes = [complex_.size(k) for k in range(dimensions)]
        blocks: list[list[sparse.csr_array | None]] = [[None] * dimensions for _ in sizes]
        for k, size in enumerate(sizes):
            lower, upper = complex_.matrix(k), complex_.matrix(k + 1) if k + 1 < dimensions else None
            parts = [lower.T @ lower] + ([] if upper is None else [upper @ upper.T])
            support = [abs(lower).T @ abs(lower)] + ([] if upper is None else [abs(upper) @ abs(upper).T])
            signs = sum(weight * part.sign() for weight, part in zip((2, 1), parts, strict=False))
            # The whisper keeps pairs whose signs cancel: they are incident, and say nothing.
            eye = sparse.eye_array(size)
            blocks[k][k] = sparse.csr_array(signs + 1e-3 * sum(part.sign() for part in support) + 4 * eye)
            if upper is not None:
                blocks[k][k + 1], blocks[k + 1][k] = sparse.csr_array(upper), sparse.csr_array(upper.T)
        whole = sparse.coo_array(sparse.block_array(blocks, format="csr"))
        target, source = (torch.from_numpy(at.astype(np.int64)) for at in whole.coords)
        sign = torch.from_numpy(np.sign(np.round(whole.data)).astype(np.float32))
        return Graph(torch.stack([source, target]), sum(sizes), sign=sign)

    return complex_.once(("incident", dimensions), make)


class CellNetwork(nn.Module):
    """Layers on a complex as an encoder.

    inputs: width of each dimension's features, 0 where the data has none: these cells start from 1 (unsigned only, since
    1 has no orientation). embed: width of a linear map that every dimension starts with (0: none). readout: sum, mean or
    maximum of the states of each dimension, joined: [complexes, dimensions * width]; or vertices: the states of those
    asked for. hidden: width of a batch norm and perceptron after the read-out (0: none), the embedding then.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        layers: Sequence[nn.Module],
        embed: int = 0,
        signed: bool = False,
        readout: str = "sum",
        hidden: int = 0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        known = (*READOUTS, "vertices")
        if readout not in known:
            raise unknown("readout", readout, known)
        if signed and not all(inputs):
            raise SemblanceError(
                f"cells of dimension {list(inputs).index(0)} have no features, and a signed network needs some that turn "
                "over with their cells: give features, or signed=False"
            )
        self.inputs, self.signed, self.readout = tuple(inputs), signed, readout
        self.entrance = nn.ModuleList(linear(max(f, 1), embed, not signed) for f in inputs) if embed else None
        self.layers = nn.ModuleList(layers)
        widths: list[int] = list(layers[-1].dims) if layers else [embed or max(f, 1) for f in inputs]  # type: ignore[arg-type]
        pooled = widths[0] if readout == "vertices" else sum(widths)
        # Sums over cells are large and differ by little: without the norm the map after them learns very slowly.
        self.after = nn.Sequential(nn.BatchNorm1d(pooled), nn.Linear(pooled, hidden), nn.ReLU()) if hidden else None
        self.dim = hidden or pooled
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Cochains:
        """-> states [n_k, width] of every dimension."""
        complex_: CellComplex = batch["graph"]
        if complex_.dim >= len(self.inputs):
            raise SemblanceError(
                f"the complex has cells of dimension {complex_.dim}, and the network is for {len(self.inputs) - 1} and less"
            )
        x = self._features(batch.get("x"), complex_)
        if self.entrance is not None:
            x = [enter(h) for enter, h in zip(self.entrance, x, strict=True)]
        for layer in self.layers:
            x = layer(x, complex_)
        return x

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        states, complex_ = self.forward(batch), batch["graph"]
        if self.readout == "vertices":
            nodes = batch.get("nodes")
            found = states[0] if nodes is None else states[0][nodes]
        else:
            found = torch.cat([self._pooled(h, complex_, k) for k, h in enumerate(states)], 1)
        return found if self.after is None else self.after(found)

    def _pooled(self, states: Tensor, complex_: CellComplex, k: int) -> Tensor:
        # What turns over with its cell is summed by its size.
        states = states.abs() if self.signed else states
        none = torch.zeros(len(states), dtype=torch.int64)
        member = none if complex_.member is None or k > complex_.dim else complex_.member[k]
        return pool(states, member, complex_.num_graphs, self.readout)

    def _features(self, x: Sequence[Tensor | None] | None, complex_: CellComplex) -> Cochains:
        found = []
        like = next(self.parameters(), torch.empty(0))
        for k, width in enumerate(self.inputs):
            given = x[k] if x is not None and k < len(x) else None
            if given is None:
                given = torch.ones(complex_.size(k), max(width, 1)).to(like) if not width or k > complex_.dim else None
            if given is None or given.shape != (complex_.size(k), max(width, 1)):
                came = "none" if given is None else list(given.shape)
                raise SemblanceError(
                    f"features of the cells of dimension {k} are {came}: expected {[complex_.size(k), max(width, 1)]}"
                )
            found.append(given)
        return found


def check_odd(signed: bool, activation: str | None) -> None:
    """Raises where a signed network would bend a state and its opposite differently."""
    if signed and activation not in ODD:
        raise SemblanceError(f"a signed network needs an odd activation, and {activation} is not: give tanh, or None")
