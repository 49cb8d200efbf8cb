"""A cell complex: vertices, edges, faces, ... and which is on the boundary of which, with what orientation.

    B_k [n_{k-1}, n_k]    signed boundary matrix: column j holds the (k-1)-cells around the k-cell j, +1 where the
                          orientations agree and -1 where they do not;  B_k B_{k+1} = 0
    betti                 number of k-dimensional holes, n_k - rank B_k - rank B_{k+1}

What goes through it is a cochain, one row a cell, whose sign hangs on the orientation. `cell_builders.py` makes complexes
of graphs, meshes, grids and simplices. Several complexes are one whose cells know by `member` where they belong. Hodge
Laplacians are `laplacians.hodge_laplacian(complex.matrix(k), complex.matrix(k + 1))`.

Hansen and Ghrist 2019, Toward a spectral theory of cellular sheaves; Lim 2020, Hodge Laplacians on graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from scipy import sparse
from torch import Tensor

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, Rows, grouped, ranges
from semblance.geometry.kept import Keeps

PRIME = 2**31 - 1  # ranks are counted modulo it: those over the rationals unless it divides a torsion coefficient


@dataclass(frozen=True, eq=False)
class Boundary:
    """The entries of one boundary matrix: face, cell: int64 [I]; sign: float32 [I], +1 or -1 in a regular complex."""

    face: Tensor
    cell: Tensor
    sign: Tensor


@dataclass(frozen=True, eq=False)
class CellComplex(Keeps):
    """num_cells: n_0, n_1, ..., n_K; boundaries: B_1 to B_K. member: one int64 [n_k] a dimension, ascending, the complex of
    every cell, where there are several (`num_graphs`)."""

    num_cells: tuple[int, ...]
    boundaries: tuple[Boundary, ...]
    member: tuple[Tensor, ...] | None = None
    num_graphs: int = 1

    @classmethod
    def of_boundaries(cls, matrices: Sequence[Any], num_nodes: int | None = None) -> CellComplex:
        """B_1, B_2, ... as anything SciPy takes for a sparse matrix. Errors: shapes that do not follow one another, a
        product of two successive ones that is not zero, an entry that is no number."""
        given = [sparse.csc_array(matrix).astype(np.float64) for matrix in matrices]
        if not given and num_nodes is None:
            raise SemblanceError("a complex without boundary matrices has vertices only: give num_nodes")
        count = int(num_nodes) if num_nodes is not None else given[0].shape[0]
        sizes = (count, *(int(m.shape[1]) for m in given))
        for k, matrix in enumerate(given, 1):
            if matrix.shape[0] != sizes[k - 1]:
                raise SemblanceError(
                    f"boundary matrix B_{k} has {matrix.shape[0]} rows, but there are {sizes[k - 1]} cells of dimension "
                    f"{k - 1}: a row is a face, a column a cell"
                )
            if not np.isfinite(matrix.data).all():
                raise SemblanceError(
                    f"boundary matrix B_{k} holds {matrix.data[~np.isfinite(matrix.data)][0]}: give -1, 0 or 1"
                )
        made = []
        for matrix in given:
            matrix.sum_duplicates()
            matrix.eliminate_zeros()
            entries = matrix.tocoo()
            made.append(
                Boundary(
                    torch.from_numpy(entries.coords[0].astype(np.int64)),
                    torch.from_numpy(entries.coords[1].astype(np.int64)),
                    torch.from_numpy(entries.data.astype(np.float32)),
                )
            )
        found = cls(sizes, tuple(made))
        found.check()
        return found

    @property
    def dim(self) -> int:
        """The highest dimension of a cell."""
        return len(self.num_cells) - 1

    @property
    def num_nodes(self) -> int:
        """Vertices."""
        return self.num_cells[0]

    def rows(self) -> Rows:
        """As a graph's rows are: the edges of every vertex."""
        if self.dim == 0:
            return Rows(np.zeros(self.num_nodes + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
        return self.by_face(1)

    def check(self) -> None:
        """Raises unless the boundary of every boundary is zero."""
        for k in range(1, self.dim):
            twice = self.matrix(k) @ self.matrix(k + 1)
            if twice.nnz and (worst := float(np.abs(twice.data).max())) > 0:
                at = int(twice.tocoo().coords[1][np.abs(twice.data).argmax()])
                raise SemblanceError(
                    f"B_{k} B_{k + 1} is not zero (an entry of {worst:g} at cell {at} of dimension {k + 1}): the faces "
                    "around a cell must close up, with signs that agree"
                )

    def matrix(self, k: int) -> sparse.csr_array:
        """B_k [n_{k-1}, n_k], float64; without rows or columns below dimension 1 and above the highest."""
        return self.once(("matrix", k), lambda: self._matrix(k))

    def _matrix(self, k: int) -> sparse.csr_array:
        size = self.size(k - 1), self.size(k)
        if not 1 <= k <= self.dim:
            return sparse.csr_array(size, dtype=np.float64)
        b = self.boundaries[k - 1]
        at = b.face.cpu().numpy(), b.cell.cpu().numpy()
        return sparse.csr_array((b.sign.cpu().numpy().astype(np.float64), at), shape=size)

    def size(self, k: int) -> int:
        """n_k, 0 where the complex has no such dimension."""
        return self.num_cells[k] if 0 <= k <= self.dim else 0

    def by_cell(self, k: int) -> Rows:
        """Entries of B_k by cell: row j lists the faces of the k-cell j."""
        b = self.boundaries[k - 1]
        return self.once(("by_cell", k), lambda: grouped(b.face, b.cell, self.size(k)))

    def by_face(self, k: int) -> Rows:
        """Entries of B_k by face: row i lists the k-cells around the (k-1)-cell i."""
        b = self.boundaries[k - 1]
        return self.once(("by_face", k), lambda: grouped(b.cell, b.face, self.size(k - 1)))

    def graph(self) -> Graph:
        """Vertices and edges alone, each edge in both directions; edges that end where they start are left out."""

        def make() -> Graph:
            matrix = self.matrix(1).tocsc()
            two = np.flatnonzero(np.diff(matrix.indptr) == 2)
            ends = torch.from_numpy(matrix.indices[matrix.indptr[two][:, None] + np.arange(2)].astype(np.int64).T)
            member = None if self.member is None else self.member[0]
            return Graph(torch.cat([ends, ends.flip(0)], 1), self.num_nodes, member=member, num_graphs=self.num_graphs)

        return self.once("graph", make)

    def counts(self) -> np.ndarray:
        """int64 [complexes, K + 1]: cells of every dimension."""
        if self.member is None:
            return np.array([self.num_cells], np.int64)
        return np.stack([np.bincount(m.cpu().numpy(), minlength=self.num_graphs) for m in self.member], 1)

    def betti(self) -> np.ndarray:
        """int64 [complexes, K + 1]: independent holes of every dimension; the first counts connected parts."""
        return self.once("betti", self._betti)

    def _betti(self) -> np.ndarray:
        ranks = np.zeros((self.num_graphs, self.dim + 2), np.int64)
        cleared = np.zeros(
            self.size(self.dim), np.bool_
        )  # columns of B_k that depend on the others, since B_k B_{k+1} = 0
        for k in range(self.dim, 0, -1):
            columns, of = self.matrix(k).tocsc(), k
            # Columns of two entries stay that short: those of B_1, and rows of B_k where no face has more than two cells.
            across = k > 1 and int(np.diff(self.by_face(k).start).max(initial=0)) <= 2
            if across:
                columns, of = columns.T.tocsc(), k - 1
            columns.sort_indices()
            values = np.mod(columns.data.round().astype(np.int64), PRIME)
            starts, rows = columns.indptr.astype(np.int64), columns.indices.astype(np.int64)
            skip = np.zeros(columns.shape[1], np.bool_) if across else cleared
            independent, pivots = _reduced(starts, rows, values, columns.shape[0], skip)
            members = np.zeros(self.size(of), np.int64) if self.member is None else self.member[of].cpu().numpy()
            ranks[:, k] = np.bincount(members[independent], minlength=self.num_graphs)
            cleared = independent if across else pivots
        return self.counts() - ranks[:, :-1] - ranks[:, 1:]

    def reoriented(self, signs: Sequence[Any]) -> CellComplex:
        """The same cells with other orientations: one array of +1 and -1 a dimension."""
        s = [torch.as_tensor(np.asarray(sign), dtype=torch.float32) for sign in signs]
        turned = [
            Boundary(b.face, b.cell, b.sign * s[k][b.face] * s[k + 1][b.cell]) for k, b in enumerate(self.boundaries)
        ]
        return CellComplex(self.num_cells, tuple(turned), self.member, self.num_graphs)

    def keep(self, masks: Sequence[Any]) -> tuple[CellComplex, list[np.ndarray]]:
        """The subcomplex of these cells (one bool array a dimension), renumbered in their order, and their positions here.
        Error: a kept cell one of whose faces is not."""
        held = [np.asarray(mask, bool) for mask in masks]
        place = [torch.from_numpy(np.cumsum(mask) - 1) for mask in held]
        inside = []
        for k, b in enumerate(self.boundaries, 1):
            take = torch.from_numpy(held[k])[b.cell]
            face, cell = b.face[take], b.cell[take]
            open_ = ~torch.from_numpy(held[k - 1])[face]
            if bool(open_.any()):
                raise SemblanceError(
                    f"the cell {int(cell[open_][0])} of dimension {k} is kept without its face {int(face[open_][0])}: a "
                    "complex holds the faces of its cells"
                )
            inside.append(Boundary(place[k - 1][face], place[k][cell], b.sign[take]))
        cells = [np.flatnonzero(mask) for mask in held]
        member = (
            None
            if self.member is None
            else tuple(m[torch.from_numpy(c)] for m, c in zip(self.member, cells, strict=True))
        )
        return CellComplex(tuple(map(len, cells)), tuple(inside), member, self.num_graphs), cells

    def within(self, nodes: Any) -> tuple[CellComplex, list[np.ndarray]]:
        """The subcomplex of all cells whose vertices are among these (distinct), which are renumbered in their order; and
        the positions of its cells here."""
        nodes = np.asarray(nodes, np.int64)
        masks = [np.zeros(self.num_cells[0], bool)]
        masks[0][nodes] = True
        for k, b in enumerate(self.boundaries, 1):
            missing = b.cell.numpy()[~masks[k - 1][b.face.numpy()]]
            masks.append(np.bincount(missing, minlength=self.num_cells[k]) == 0)
        part, cells = self.keep(masks)
        cells[0], order = nodes, torch.from_numpy(np.argsort(nodes))
        first = [Boundary(order[b.face], b.cell, b.sign) for b in part.boundaries[:1]]
        member = None if self.member is None or part.member is None else (self.member[0][nodes], *part.member[1:])
        return CellComplex(part.num_cells, (*first, *part.boundaries[1:]), member, self.num_graphs), cells

    def take(self, numbers: np.ndarray) -> tuple[CellComplex, list[np.ndarray]]:
        """The complexes of these numbers [n], joined in this order, and the positions of their cells here."""
        numbers = np.asarray(numbers)
        first, entries = self.once("graphs", self._of_graphs)
        cells, sizes = zip(*(ranges(start, numbers) for start in first), strict=True)
        moved = [np.cumsum(size) - size - start[numbers] for start, size in zip(first, sizes, strict=True)]
        inside = []
        for k, (b, (order, start)) in enumerate(zip(self.boundaries, entries, strict=True), 1):
            taken, counts = ranges(start, numbers)
            at = torch.from_numpy(order[taken])
            face = b.face[at] + torch.from_numpy(np.repeat(moved[k - 1], counts))
            inside.append(Boundary(face, b.cell[at] + torch.from_numpy(np.repeat(moved[k], counts)), b.sign[at]))
        member = tuple(torch.from_numpy(np.repeat(np.arange(len(numbers)), size)) for size in sizes)
        return CellComplex(tuple(map(len, cells)), tuple(inside), member, len(numbers)), list(cells)

    def _of_graphs(self) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
        """Where the cells of each complex begin, a dimension each; the entries by complex, with their starts."""
        alone = [np.zeros(n, np.int64) for n in self.num_cells]
        owner = alone if self.member is None else [m.numpy() for m in self.member]
        every = np.arange(self.num_graphs + 1)
        entries = []
        for k, b in enumerate(self.boundaries, 1):
            of = owner[k][b.cell.numpy()]
            order = np.argsort(of, kind="stable")
            entries.append((order, np.searchsorted(of[order], every)))
        return [np.searchsorted(of, every) for of in owner], entries

    def to(self, device: Any) -> CellComplex:
        """On another device; what was computed stays here."""
        if all(b.sign.device == torch.device(device) for b in self.boundaries):
            return self
        moved = tuple(Boundary(b.face.to(device), b.cell.to(device), b.sign.to(device)) for b in self.boundaries)
        member = None if self.member is None else tuple(m.to(device) for m in self.member)
        return CellComplex(self.num_cells, moved, member, self.num_graphs)


def joined_cells(complexes: Sequence[CellComplex]) -> CellComplex:
    """Several complexes as one; those of lower dimension have no cells above."""
    if not complexes:
        raise SemblanceError("there are no complexes to join: give one or more")
    top = max(c.dim for c in complexes)
    sizes = np.array([[c.size(k) for k in range(top + 1)] for c in complexes])
    first = np.cumsum(sizes, 0) - sizes
    made = []
    for k in range(1, top + 1):
        parts = [(c.boundaries[k - 1], first[i]) for i, c in enumerate(complexes) if c.dim >= k]
        face = torch.cat([b.face + int(start[k - 1]) for b, start in parts])
        cell = torch.cat([b.cell + int(start[k]) for b, start in parts])
        made.append(Boundary(face, cell, torch.cat([b.sign for b, _ in parts])))
    every = torch.arange(len(complexes))
    member = tuple(torch.repeat_interleave(every, torch.from_numpy(sizes[:, k])) for k in range(top + 1))
    return CellComplex(tuple(int(n) for n in sizes.sum(0)), tuple(made), member, len(complexes))


@njit(cache=True, nogil=True)
def _inverse(value):  # type: ignore[no-untyped-def]
    # value^(PRIME - 2), by squaring
    result, power, exponent = np.int64(1), value, PRIME - 2
    while exponent > 0:
        if exponent & 1:
            result = result * power % PRIME
        power = power * power % PRIME
        exponent >>= 1
    return result


@njit(cache=True, nogil=True)
def _reduced(start, index, value, rows, skip):  # type: ignore[no-untyped-def]
    """Column echelon form modulo PRIME: which columns are independent, and which rows hold their pivots."""
    columns = len(start) - 1
    independent, pivots = np.zeros(columns, np.bool_), np.zeros(rows, np.bool_)
    owner = np.full(rows, -1, np.int64)
    begin = np.zeros(columns + 1, np.int64)  # reduced columns, scaled to 1 at their pivot, one after the other
    kept_index, kept_value = np.empty(len(index) + 16, np.int64), np.empty(len(index) + 16, np.int64)
    work = np.zeros(rows, np.int64)
    for j in range(columns):
        begin[j + 1] = begin[j]
        if skip[j]:
            continue
        low, least = np.int64(-1), np.int64(rows)
        for p in range(start[j], start[j + 1]):
            work[index[p]] = value[p]
            low, least = max(low, index[p]), min(least, index[p])
        while low >= least:
            if work[low] == 0:
                low -= 1
            elif owner[low] < 0:
                break
            else:
                factor, o = work[low], owner[low]
                least = min(least, kept_index[begin[o]])
                for p in range(begin[o], begin[o + 1]):
                    work[kept_index[p]] = (work[kept_index[p]] + (PRIME - factor) * kept_value[p]) % PRIME
        if low < least:
            continue
        independent[j], pivots[low], owner[low] = True, True, j
        scale, end = _inverse(work[low]), begin[j]
        for i in range(least, low + 1):
            if work[i] != 0:
                if end == len(kept_index):
                    kept_index = np.concatenate((kept_index, np.empty(end, np.int64)))
                    kept_value = np.concatenate((kept_value, np.empty(end, np.int64)))
                kept_index[end], kept_value[end] = i, work[i] * scale % PRIME
                work[i] = 0
                end += 1
        begin[j + 1] = end
    return independent, pivots
