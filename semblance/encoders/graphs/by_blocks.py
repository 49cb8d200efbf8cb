"""By blocks of rows: powers of a graph's operator on features, neither of which has to fit into memory.

    N_k[a:b] = left[a:b] ( own right N_(k-1)[a:b] + sum over entries (i <- j) of rows a..b: weight right_j N_(k-1)[j] )
    z = sum_k c_k N_k,   k = 0 .. K                                          FastRP: rows of every N_k to length 1

The rows lie on disk (stored_rows.py), N and z are files that are mapped, and a block writes whole pages of its own: blocks
can be done one after the other, or several at once by whoever sees the folder, and one that is done twice changes nothing.
Sums run in the order of `spread` (products.py), so that they are those of the graph in memory.

What goes by blocks: random projections (projection.py: FastRP) and filters by powers with given coefficients before the
first learned map (propagate.py: SGC). Sparse features stay in memory, as rows that are multiplied by blocks.

Memory: the entries of a block, its rows, and 12 bytes a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.bases import Monomial
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.projection import RandomProjection
from semblance.encoders.graphs.propagate import Filter, Propagation
from semblance.geometry.graph import Graph, Rows
from semblance.geometry.lent import Lender
from semblance.geometry.products import Factors, summed
from semblance.geometry.rows import blocks
from semblance.geometry.stored_rows import StoredRows, store
from semblance.geometry.walks import refuse_signs

Span = tuple[int, int]
Each = Callable[[Callable[[Span], Any], Sequence[Span]], Iterable[tuple[Span, Any]]]
"""Calls a function with every span, in any order, and gives (span, answer) as they end."""


def here(run: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[tuple[Span, Any]]:
    """One after the other, in this process."""
    for span in spans:
        yield span, run(span)


@dataclass(frozen=True)
class Matrix:
    """float32 [rows, width] in a file; a row is followed by zeros to the width that compiled code takes."""

    path: Path
    rows: int
    width: int

    @classmethod
    def new(cls, path: Path, rows: int, width: int) -> Matrix:
        """Zeros. Who has the file of this name mapped keeps what it was."""
        made = cls(path, rows, width)
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            file.truncate(4 * rows * made.wide)
        return made

    @property
    def wide(self) -> int:
        """Numbers a row takes."""
        number, each = blocks(self.width)
        return number * each

    def open(self) -> Tensor:
        """[rows, wide], mapped."""
        if not self.rows:
            return torch.zeros(0, self.wide)
        return torch.from_numpy(np.memmap(self.path, np.float32, "r+", shape=(self.rows, self.wide)))

    def __getitem__(self, span: Span) -> Tensor:
        """[last - first, width] of these rows, mapped."""
        return self.open()[span[0] : span[1], : self.width]


@dataclass(frozen=True)
class Product:
    """An operator on disk: rows, and in `folder` left.npy, right.npy, own.npy, float32 [V], those of them that it has."""

    rows: StoredRows
    folder: Path

    @classmethod
    def of(cls, rows: StoredRows, folder: Path, **factors: np.ndarray | None) -> Product:
        """With these factors."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in factors.items():
            (folder / f"{name}.npy").unlink(missing_ok=True)
            if values is not None:
                np.save(folder / f"{name}.npy", values.astype(np.float32))
        return cls(rows, folder)

    def factor(self, name: str, span: Span = (0, -1)) -> Tensor | None:
        """A factor, of these rows or of all."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            return None
        values = np.load(path, mmap_mode="r")
        return torch.from_numpy(np.array(values if span[1] < 0 else values[span[0] : span[1]]))

    def __call__(self, x: Matrix, span: Span) -> Tensor:
        """[V, C] -> the rows of the product in this span."""
        rows, given = self.rows.stretch(*span)
        own = self.factor("own", span)
        if own is not None:
            # A row's own features are its last entry: there `spread` adds them, too.
            ends = rows.start[1:]
            weight = np.ones(len(rows.index), np.float32) if given is None else given
            given = np.insert(weight, ends, own.numpy())
            index = np.insert(rows.index, ends, np.arange(*span, dtype=np.int32))
            rows = Rows(rows.start + np.arange(len(rows.start)), index, np.arange(len(index)))
        weights = None if given is None else torch.from_numpy(given)
        factors = Factors(weights, self.factor("left", span), self.factor("right"))
        return summed(rows, x.open(), factors, Lender(), columns=x.width)


def powers(product: Product, x: Matrix, coefficients: Sequence[float], each: Each, lengths: bool = False) -> Matrix:
    """sum_k c_k P^k x, k = 0 .. K; lengths: rows of every term with a coefficient are brought to length 1."""
    spans = product.rows.stretches()
    file = product.folder.joinpath
    z = Matrix.new(file("z-0"), x.rows, x.width)
    for k, coefficient in enumerate(coefficients):
        now = x if k == 0 else Matrix.new(file(f"n-{k % 2}"), x.rows, x.width)
        if k == 0 and not coefficient:
            continue
        # What is summed is written anew, so that a block may be done twice.
        total = Matrix.new(file(f"z-{k + 1}"), x.rows, x.width) if coefficient else z
        step = partial(_step, product if k else None, x, now, z, total, coefficient, lengths)
        for _ in each(step, spans):
            pass
        for old in {x.path, z.path} - {now.path, total.path}:
            old.unlink()
        x, z = now, total
    x.path.unlink(missing_ok=True)
    return z


def _step(
    product: Product | None,
    x: Matrix,
    out: Matrix,
    z: Matrix,
    total: Matrix,
    coefficient: float,
    lengths: bool,
    span: Span,
) -> None:
    """One block of a power, and of the sum."""
    n = x[span]
    if product is not None:
        n = product(x, span)
        out[span].copy_(n)
    if coefficient:
        scale: Any = coefficient / n.norm(dim=1, keepdim=True).clamp_min(1e-30) if lengths else coefficient
        before = z[span]
        total[span].copy_(before.addcmul(n, scale) if lengths else before.add(n, alpha=scale))


def projected(encoder: RandomProjection, rows: StoredRows, folder: Path, each: Each = here) -> Matrix:
    """What the encoder gives [V, dim] for a graph whose edges stand in `rows` by their source, nodes named by position."""
    count = rows.num_nodes
    leave, enter = np.zeros(count), np.zeros(count)
    for first, last in rows.stretches():
        stretch, weight = rows.stretch(first, last)
        values = np.ones(len(stretch.index)) if weight is None else weight.astype(np.float64)
        leave[first:last] = np.add.reduceat(np.append(values, 0), stretch.start[:-1]) * (stretch.degree > 0)
        np.add.at(enter, stretch.index, values)
    leave = leave.astype(np.float32)
    left = np.divide(1, leave, out=np.zeros_like(leave), where=leave > 0)
    share = enter / max(enter.sum(), 1e-30)
    power = np.where(share > 0, np.maximum(share, 1e-30) ** float(encoder.settings[0]), 0).astype(np.float32)
    product = Product.of(rows, folder, left=left, right=None, own=None)
    start = Matrix.new(folder / "start", count, encoder.dim)
    sent = copy(encoder)
    whole(sent)  # without who is told of the blocks
    for _ in each(partial(_begin, sent, power, start), rows.stretches()):
        pass
    return powers(product, start, [0.0, *encoder.alpha.tolist()], each, encoder.normalise)


def _begin(encoder: RandomProjection, power: np.ndarray, start: Matrix, span: Span) -> None:
    """Rows of L R."""
    drawn = encoder.projection(np.arange(*span))
    start[span].copy_(torch.from_numpy(drawn * power[slice(*span), None]))


def filtered(filter: Filter, x: Tensor, graph: Graph, folder: Path, each: Each = here) -> Tensor:
    """What the filter gives [V, C] for these features, dense or torch.sparse_csr."""
    operator = operator_of(graph, filter.operator, filter.exponents)
    rows = store(operator.rows, operator.weight, folder / "rows")
    spans = rows.stretches()
    if x.layout == torch.sparse_csr:
        return _sparse_powers(operator.matrix().astype(np.float32), x, filter.mix.given, each, spans)
    product = Product.of(rows, folder, left=operator.left, right=operator.right, own=operator.own)
    start = Matrix.new(folder / "start", len(x), x.shape[1])
    for span in spans:
        start[span].copy_(x[slice(*span)])
    z = powers(product, start, filter.mix.given, each)
    return z[0, len(x)]


def _sparse_powers(
    operator: sparse.csr_array, x: Tensor, coefficients: Sequence[float], each: Each, spans: Sequence[Span]
) -> Tensor:
    """sum_k c_k S^k x of a bag of words."""
    parts = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
    now = sparse.csr_array(parts, shape=tuple(x.shape))
    total = coefficients[0] * now
    for weight in coefficients[1:]:
        found = dict(each(partial(_sparse_step, operator, now), spans))
        now = sparse.csr_array(sparse.vstack([found[span] for span in spans], format="csr"))
        total = total + weight * now if weight else total
    total = sparse.csr_array(total)
    total.eliminate_zeros()
    held = (torch.from_numpy(np.asarray(part, np.int64)) for part in (total.indptr, total.indices))
    values = torch.from_numpy(total.data.astype(np.float32))
    return torch.sparse_csr_tensor(*held, values, tuple(x.shape), check_invariants=False)


def _sparse_step(operator: sparse.csr_array, now: sparse.csr_array, span: Span) -> sparse.csr_array:
    return operator[slice(*span)] @ now


def goes_by_blocks(encoder: nn.Module) -> bool:
    """Whether this encoder's propagation can be had block by block."""
    if isinstance(encoder, RandomProjection):
        return True
    if not isinstance(encoder, Propagation) or encoder.before is not None:
        return False
    return isinstance(encoder.filter.basis, Monomial) and not encoder.filter.mix.learned


def by_blocks(encoder: nn.Module, folder: Path, each: Each = here) -> nn.Module:
    """The same encoder, which from now on propagates block by block, with its files in this folder; `whole` undoes it."""
    assert goes_by_blocks(encoder), f"{type(encoder).__name__} does not go by blocks"
    folder = folder.resolve()
    if isinstance(encoder, RandomProjection):

        def forward(batch: Batch) -> Tensor:
            graph: Graph = batch["graph"]
            refuse_signs(graph)
            weight = None if graph.weight is None else graph.weight.float().numpy()
            rows = store(graph.columns(), weight, folder / "rows")
            return projected(encoder, rows, folder, each)[0, graph.num_nodes]

        encoder.forward = forward  # type: ignore[method-assign]
    else:
        filter: Filter = encoder.filter  # type: ignore[assignment]
        held: list[Tensor] = []

        def propagated(x: Tensor, graph: Graph) -> list[Tensor]:
            if not held:
                held.append(filtered(filter, x, graph, folder, each))
            return held

        filter.blocks = propagated  # type: ignore[method-assign]
    return encoder


def whole(encoder: nn.Module) -> None:
    """Undo `by_blocks`."""
    encoder.__dict__.pop("forward", None)
    if isinstance(encoder, Propagation):
        encoder.filter.__dict__.pop("blocks", None)
