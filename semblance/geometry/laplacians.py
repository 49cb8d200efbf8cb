"""Laplacians: one builder of sparse positive semi-definite operators, and what can be asked of any of them.

    L = sum over coboundaries of delta^T delta,      x^T L x = sum |delta x|^2, the Dirichlet energy

A coboundary says how far the values at the cells are from agreeing. The kinds differ only in it:

    graph        (delta x)_e = sqrt(w_e) (x_i - x_j)
    connection   (delta x)_e = x_i - O_ij x_j              O_ij orthogonal: how j's frame is read in i's
    sheaf        (delta x)_e = F_ie x_i - F_je x_j         any maps from the stalks of the ends to the edge's
    hypergraph   (delta x)_(v,e) = sqrt(w_e) (x_v - mean of x over e)
    Hodge k      B_k and B_{k+1}^T, the boundary and the coboundary of the k-cells

Stalks may differ in size from cell to cell. Normalised: D^-1/2 L D^-1/2 with D the block diagonal of L (augmented: D + 1),
a block's directions without energy being left alone, so that an isolated cell stays isolated.

Hansen & Ghrist 2019, Toward a spectral theory of cellular sheaves; Singer & Wu 2012, Vector diffusion maps; Zhou, Huang &
Schölkopf 2006, Learning with hypergraphs; Lim 2020, Hodge Laplacians on graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import null_space
from scipy.sparse.linalg import eigsh, expm_multiply, spsolve
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.kept import Keeps
from semblance.geometry.pairs import pairs_of

DENSE = 2500  # rows up to which a spectrum is computed densely
NOTHING = 1e-9  # an eigenvalue, relative to the largest, up to which a direction counts as without energy
NORMALISATIONS = ("none", "block")


@dataclass(frozen=True, eq=False)
class Laplacian(Keeps):
    """A symmetric positive semi-definite operator on the values of cells: matrix [n, n] float64, n the sum of the stalks'
    sizes; cell c has rows start[c] to start[c + 1]; coboundary [m, n], where known: matrix = coboundary^T coboundary."""

    matrix: sp.csr_array
    start: np.ndarray
    coboundary: sp.csr_array | None = None

    @property
    def sizes(self) -> np.ndarray:
        """int64 [cells], the size of each stalk."""
        return np.diff(self.start)

    def torch(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The matrix as torch's compressed sparse rows."""
        return self.once(("torch", dtype), lambda: _as_torch(self.matrix, dtype))

    def apply(self, x: Tensor) -> Tensor:
        """L x, differentiable; x: [n, c]."""
        return _Product.apply(self.torch(x.dtype), x)

    def energy(self, x: np.ndarray) -> float:
        """x^T L x, summed over the columns; x: [n] or [n, c]."""
        return float(np.sum(x * (self.matrix @ x)))

    def spectrum(self, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k least eigenvalues (absent: all), ascending, and their eigenvectors as columns."""
        n = self.matrix.shape[0]
        if k is None or n <= DENSE or k >= n - 1:
            values, vectors = self.once("spectrum", lambda: np.linalg.eigh(self.matrix.toarray()))
            return values[:k], vectors[:, :k]
        # Shifted a little below 0, since L itself cannot be inverted.
        shift = -1e-3 * max(abs(self.matrix).sum(0).max(), 1e-300)
        values, vectors = eigsh(self.matrix.tocsc(), k=k, sigma=shift, v0=np.ones(n))
        order = np.argsort(values)
        return values[order], vectors[:, order]

    def kernel(self) -> np.ndarray:
        """[n, dim ker L], orthonormal: the values that agree along every edge (global sections; harmonic cochains)."""

        def find() -> np.ndarray:
            n = self.matrix.shape[0]
            least = NOTHING * max(abs(self.matrix).sum(0).max(initial=0.0), 1e-300)
            k = n if n <= DENSE else 16
            while True:  # of a large operator only as many eigenvectors as it takes to leave the kernel
                values, vectors = self.spectrum(k)
                if len(values) == n or values[-1] > least:
                    return vectors[:, values <= least]
                k *= 4

        return self.once("kernel", find)

    def project(self, x: np.ndarray) -> np.ndarray:
        """The nearest values without energy: where the heat flow from x ends."""
        basis = self.kernel()
        return basis @ (basis.T @ x)

    def heat(self, x: np.ndarray, time: float) -> np.ndarray:
        """exp(-time L) x: heat flow for this time; infinite time ends in the kernel."""
        return self.project(x) if np.isinf(time) else expm_multiply(-time * self.matrix, x)

    def harmonic(self, known: np.ndarray, values: np.ndarray) -> np.ndarray:
        """[n, c]: the values of least energy that equal `values` [rows of `known` cells, c] at the known cells."""
        fixed = rows_of(self.start, known)
        if len(fixed) != len(values):
            raise SemblanceError(f"{len(values)} values for cells whose stalks have {len(fixed)} rows: give one a row")
        free = np.setdiff1d(np.arange(self.matrix.shape[0]), fixed)
        out = np.zeros((self.matrix.shape[0], values.shape[1]))
        out[fixed] = values
        if len(free):
            inside, towards = self.matrix[free][:, free], self.matrix[free][:, fixed]
            # A part that touches nothing known has no least energy of its own: a whisper of a pull to 0 decides.
            pull = 1e-12 * max(abs(inside).sum(0).max(), 1e-300) * sp.eye_array(len(free))
            out[free] = spsolve((inside + pull).tocsc(), -(towards @ values)).reshape(len(free), -1)
        return out


class _Product(torch.autograd.Function):
    """A symmetric sparse matrix times a dense one: the gradient is the same product."""

    @staticmethod
    def forward(ctx, matrix, x):  # type: ignore[no-untyped-def]
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx, g):  # type: ignore[no-untyped-def]
        return None, _Product.apply(ctx.matrix, g)


def laplacian(
    *coboundaries: sp.sparray,
    start: np.ndarray | None = None,
    normalisation: str = "none",
    augmented: bool = False,
    diagonal: sp.csr_array | None = None,
) -> Laplacian:
    """The builder: L of one or several coboundaries [m, n] over the same cells, whose stalks begin at `start` (absent: one
    number a cell). `diagonal` [n, n] is D where that is not the block diagonal of L."""
    if not coboundaries:
        raise SemblanceError("a Laplacian needs a coboundary: give at least one matrix [edges, cells]")
    widths = {delta.shape[1] for delta in coboundaries}
    if len(widths) > 1:
        raise SemblanceError(
            f"coboundaries over {sorted(widths)} rows of values: they have to start from the same cells"
        )
    if normalisation not in NORMALISATIONS:
        raise unknown("normalisation", normalisation, NORMALISATIONS)
    delta = sp.csr_array(sp.vstack([sp.csr_array(one, dtype=np.float64) for one in coboundaries]))
    start = np.arange(delta.shape[1] + 1) if start is None else np.asarray(start, np.int64)
    if normalisation == "block":
        diagonal = sp.csr_array(delta.T @ delta) if diagonal is None else diagonal
        delta = sp.csr_array(delta @ root_of_blocks(diagonal, start, augmented))
    return Laplacian(sp.csr_array(delta.T @ delta), start, delta)


def root_of_blocks(matrix: sp.csr_array, start: np.ndarray, augmented: bool = False) -> sp.csr_array:
    """D^-1/2, block diagonal: D holds the blocks of the matrix on its diagonal, plus 1 where augmented. Directions in which
    D is nothing get 0."""
    n, sizes = matrix.shape[0], np.diff(start)
    rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    cell = np.repeat(np.arange(len(sizes)), sizes)
    entries = matrix.tocoo()
    inside = cell[entries.row] == cell[entries.col]
    row, column, value = entries.row[inside], entries.col[inside], entries.data[inside]
    for size in np.unique(sizes[sizes > 0]):  # all blocks of one size at once
        mine = np.flatnonzero(sizes == size)
        place = np.full(len(sizes), -1)
        place[mine] = np.arange(len(mine))
        here = place[cell[row]] >= 0
        blocks = np.zeros((len(mine), size, size))
        own = cell[row[here]]
        np.add.at(blocks, (place[own], row[here] - start[own], column[here] - start[own]), value[here])
        found, basis = np.linalg.eigh(blocks + augmented * np.eye(size))
        least = NOTHING * max(float(found.max(initial=0)), 1e-300)
        power = np.where(found > least, np.maximum(found, least), np.inf) ** -0.5
        root = (basis * power[:, None, :]) @ basis.transpose(0, 2, 1)
        at = start[mine][:, None, None] + np.zeros((1, size, size), np.int64)
        rows.append((at + np.arange(size)[:, None]).ravel())
        columns.append((at + np.arange(size)).ravel())
        values.append(root.ravel())
    return sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))


def graph_laplacian(graph: Graph, normalisation: str = "none", augmented: bool = False) -> Laplacian:
    """Degrees minus neighbours. I - L, augmented, is the operator of Kipf & Welling's convolution."""
    pairs = pairs_of(graph)
    root = np.ones(len(pairs)) if pairs.weight is None else np.sqrt(pairs.weight.double().numpy())
    edge = np.arange(len(pairs))
    ends = (np.concatenate([edge, edge]), np.concatenate([pairs.low.numpy(), pairs.high.numpy()]))
    delta = sp.csr_array((np.concatenate([root, -root]), ends), shape=(len(pairs), graph.num_nodes))
    return laplacian(delta, normalisation=normalisation, augmented=augmented)


def hypergraph_laplacian(hypergraph: Hypergraph, normalisation: str = "block") -> Laplacian:
    """D_v - H W D_e^-1 H^T; normalised it is I - D_v^-1/2 H W D_e^-1 H^T D_v^-1/2 (Zhou et al. 2006)."""
    node, edge = hypergraph.node.numpy(), hypergraph.edge.numpy()
    share = np.ones(len(node)) if hypergraph.membership is None else hypergraph.membership.double().numpy()
    weight = np.ones(hypergraph.num_edges) if hypergraph.weight is None else hypergraph.weight.double().numpy()
    shape = (hypergraph.num_nodes, hypergraph.num_edges)
    incidence = sp.csr_array((share, (node, edge)), shape=shape)
    size = np.asarray(incidence.sum(0)).ravel()
    scale = np.sqrt(share * weight[edge])
    member = np.arange(len(node))
    here = sp.csr_array((scale, (member, node)), shape=(len(node), shape[0]))
    mean = sp.csr_array((scale / np.maximum(size[edge], 1e-300), (member, edge)), shape=(len(node), shape[1]))
    degree = sp.diags_array(incidence @ weight, format="csr")
    return laplacian(here - mean @ incidence.T, normalisation=normalisation, diagonal=degree)


def hodge_laplacian(lower: sp.sparray | None, upper: sp.sparray | None, normalisation: str = "none") -> Laplacian:
    """B_k^T B_k + B_{k+1} B_{k+1}^T of the k-cells: lower = B_k [(k-1)-cells, k-cells], upper = B_{k+1}, or None.

    Its kernel has as many dimensions as the complex has k-dimensional holes."""
    if lower is not None and upper is not None and lower.shape[1] == upper.shape[0]:
        twice = abs(sp.csr_array(lower) @ sp.csr_array(upper))
        if twice.nnz and twice.max() > 1e-9:
            raise SemblanceError("the boundary of a boundary is not 0 here: check the signs of the boundary matrices")
    maps = [one for one in (lower, None if upper is None else upper.T) if one is not None]
    return laplacian(*maps, normalisation=normalisation)


def rows_of(start: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """int64, the rows of these cells' stalks, cell after cell."""
    cells = np.asarray(cells, np.int64)
    size = start[cells + 1] - start[cells]
    return np.repeat(start[cells] - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))


def rank(matrix: sp.sparray) -> int:
    """The rank of a coboundary: dim ker L is the total size of the stalks less it."""
    return matrix.shape[1] - null_space(matrix.toarray()).shape[1] if min(matrix.shape) else 0


def _as_torch(matrix: sp.csr_array, dtype: torch.dtype) -> Tensor:
    matrix = matrix.sorted_indices()
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data).to(dtype),
        matrix.shape,
    )
