"""Block Laplacians: a sheaf's Laplacian on equal stalks, one block a pair and one a node, through which gradients go.

    (L x)_i = D_i x_i - sum over neighbours j of F_i^T F_j x_j,      D_i = sum of F_i^T F_i over i's edges + ridge

    normalised     S L S,  S = none | D'^-1/2, D' a node's whole block | its diagonal's entries alone;  D' = D + augmented

What a network learns of a sheaf are the maps F; nothing of the size of the edges times the channels is ever stored. Float32
on a CPU goes through compiled passes over the pairs (`block_kernels.py`), anything else through plain torch, with equal
results. Bodnar et al. 2022, Neural sheaf diffusion, arXiv:2202.04579. Given sheaves with unequal stalks: `sheaves.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from semblance.errors import SemblanceError, unknown
from semblance.geometry import block_kernels
from semblance.geometry.block_rows import padded
from semblance.geometry.lanes import LANES, size
from semblance.geometry.laplacians import Laplacian
from semblance.geometry.lent import lender_of
from semblance.geometry.pairs import Pairs

SCALINGS = ("none", "block", "entries")
FLOOR = 1e-6  # an eigenvalue (or entry) of D below this counts as this
SMALL = 65536  # floats up to which fresh memory costs no more than lent
WIDEST = 128  # channels that compiled passes take


@dataclass(frozen=True, eq=False)
class Blocks:
    """cross: [m, d, d], F_low^T F_high of every pair, or [m, d] where maps are diagonal; own: [V, d, d] or [V, d]; scale: S
    as [V, d, d], [V, d] or None."""

    pairs: Pairs
    cross: Tensor
    own: Tensor
    scale: Tensor | None = None

    @property
    def d(self) -> int:
        """Size of a stalk."""
        return self.own.shape[1]

    def apply(self, x: Tensor) -> Tensor:
        """[V, d, f] -> L x of the same shape."""
        inner = _Product.apply if is_compiled(x, self.d, x.shape[2]) and self.cross.dtype == torch.float32 else _plain
        out = inner(self.pairs, self.cross, self.own, times(self.scale, x))
        return times(self.scale, out)

    def normalised(self, how: str, augmented: float = 0.0) -> Blocks:
        """S L S."""
        return Blocks(self.pairs, self.cross, self.own, scaling(self.own, how, augmented))

    def folded(self) -> Blocks:
        """The same operator with S in its blocks; no gradient."""
        if self.scale is None:
            return Blocks(self.pairs, self.cross.detach(), self.own.detach())
        cross, own, scale = (_full(one.detach()) for one in (self.cross, self.own, self.scale))
        return Blocks(self.pairs, scale[self.pairs.low] @ cross @ scale[self.pairs.high], scale @ own @ scale)

    def laplacian(self) -> Laplacian:
        """The operator as it stands now, for questions about its spectrum; no gradient."""
        d, nodes = self.d, len(self.own)
        folded = self.folded()
        cross, own = (_full(one).double() for one in (folded.cross, folded.own))
        low, high, node = self.pairs.low.numpy(), self.pairs.high.numpy(), np.arange(nodes)
        rows, columns = np.concatenate([low, high, node]), np.concatenate([high, low, node])
        values = torch.cat([-cross, -cross.transpose(1, 2), own]).numpy()
        k = np.arange(d)
        at = (
            (rows[:, None, None] * d + k[:, None] + 0 * k).ravel(),
            (columns[:, None, None] * d + 0 * k[:, None] + k).ravel(),
        )
        matrix = sp.csr_array((values.ravel(), at), shape=(nodes * d, nodes * d))
        return Laplacian(matrix, np.arange(nodes + 1) * d)


def blocks_of(pairs: Pairs, low: Tensor, high: Tensor, ridge: float = 0.0) -> Blocks:
    """The Laplacian of the maps of both ends of every pair, [m, k, d] each, or [m, d] where maps are diagonal; `ridge` is
    added to its diagonal."""
    nodes, d = pairs.num_nodes, low.shape[-1]
    if low.ndim == 2:
        cross, mine, theirs = low * high, low * low, high * high
        own = low.new_full((nodes, d), ridge)
    else:
        turned, other = low.transpose(1, 2), high.transpose(1, 2)
        cross, mine, theirs = turned @ high, turned @ low, other @ high
        own = ridge * torch.eye(d, dtype=low.dtype).expand(nodes, d, d)
    return Blocks(pairs, cross, own.index_add(0, pairs.low, mine).index_add(0, pairs.high, theirs))


def scaling(own: Tensor, how: str, augmented: float = 0.0) -> Tensor | None:
    """S of `Blocks` from the blocks on the diagonal."""
    if how not in SCALINGS:
        raise unknown("normalisation", how, SCALINGS)
    if how == "none":
        return None
    if own.ndim == 2:
        return (own + augmented).clamp_min(FLOOR).rsqrt()
    if how == "entries":
        return (own.diagonal(dim1=1, dim2=2) + augmented).clamp_min(FLOOR).rsqrt()
    return inverse_root(own + augmented * torch.eye(own.shape[1], dtype=own.dtype))


def times(scale: Tensor | None, x: Tensor) -> Tensor:
    """A scale [V, d, d], [V, d] or None (1) times [V, d, f]."""
    if scale is None:
        return x
    return scale[:, :, None] * x if scale.ndim == 2 else scale @ x


def inverse_root(blocks: Tensor, floor: float = FLOOR) -> Tensor:
    """[V, d, d], symmetric -> their inverse square roots, eigenvalues below `floor` counting as `floor`. Its gradient needs
    no gaps between eigenvalues, as torch's of the decomposition does."""
    return _InverseRoot.apply(blocks, floor)


class _InverseRoot(torch.autograd.Function):
    """f(A) = U f(w) U^T with f(w) = max(w, floor)^-1/2. Daleckii & Krein: the gradient is U (P * (U^T G U)) U^T, P the
    divided differences of f, for the inverse root -1 / (r s (r + s)) with r and s the roots of two eigenvalues."""

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, floor: float) -> Tensor:
        values, basis = torch.linalg.eigh(blocks)
        root = values.clamp_min(floor).sqrt()
        ctx.save_for_backward(values, basis, root)
        ctx.floor = floor
        return (basis / root[:, None, :]) @ basis.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        values, basis, root = ctx.saved_tensors
        free = (values > ctx.floor).to(values)
        r, s = root[:, :, None], root[:, None, :]
        slope = -1 / (r * s * (r + s))
        # Of a clamped and a free eigenvalue the difference of the values is not that of what was clamped to.
        gap, clamped = values[:, :, None] - values[:, None, :], root[:, :, None] ** 2 - root[:, None, :] ** 2
        mixed = free[:, :, None] != free[:, None, :]
        share = torch.where(
            mixed, clamped / torch.where(mixed, gap, torch.ones_like(gap)), free[:, :, None] * free[:, None, :]
        )
        turned = basis.transpose(1, 2)
        inner = turned @ (0.5 * (g + g.transpose(1, 2))) @ basis
        return basis @ (slope * share * inner) @ turned, None


def is_compiled(x: Tensor, d: int, f: int) -> bool:
    """Whether stalks of d with f channels, of the kind of x, go through the compiled passes."""
    return x.dtype == torch.float32 and 1 <= d <= 8 and 1 <= f <= WIDEST and x.device.type == "cpu"


def room(pairs: Pairs, *shape: int) -> Tensor:
    """An uninitialised tensor with some floats of slack behind it: lent where it is worth it, else fresh."""
    size = math.prod(shape)
    return lender_of(pairs).lend(*shape) if size > SMALL else torch.empty(size + LANES)[:size].view(shape)


def _full(blocks: Tensor) -> Tensor:
    return torch.diag_embed(blocks) if blocks.ndim == 2 else blocks


def _plain(pairs: Pairs, cross: Tensor, own: Tensor, x: Tensor) -> Tensor:
    """The product in plain torch: blocks times gathered rows, a block at a time."""
    turned = cross if cross.ndim == 2 else cross.transpose(1, 2)
    out = times(own, x)
    out = out.index_add(0, pairs.low, -times(cross, x[pairs.high]))
    return out.index_add(0, pairs.high, -times(turned, x[pairs.low]))


class _Product(torch.autograd.Function):
    """The same, compiled."""

    @staticmethod
    def forward(ctx: Any, pairs: Pairs, cross: Tensor, own: Tensor, x: Tensor) -> Tensor:
        nodes, d, f = x.shape
        w = padded(f)
        rows = room(pairs, nodes * d, w)
        rows[:, :f], rows[:, f:] = x.reshape(nodes * d, f), 0
        out = product(pairs, cross, own, rows, d, w)
        ctx.pairs, ctx.f = pairs, f
        ctx.save_for_backward(cross, own, rows)
        return out[:, :f].reshape(nodes, d, f)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor | None, Tensor | None, Tensor]:
        pairs, f = ctx.pairs, ctx.f
        cross, own, rows = ctx.saved_tensors
        nodes, d, _ = g.shape
        w = padded(f)
        of_rows = room(pairs, nodes * d, w)
        of_rows[:, :f], of_rows[:, f:] = g.reshape(nodes * d, f), 0
        of_cross = of_own = None
        if ctx.needs_input_grad[1]:
            of_cross = pair_dots(pairs, of_rows, rows, f, d, _entries(cross)).reshape(cross.shape)
        if ctx.needs_input_grad[2]:
            of_own = room(pairs, nodes, _entries(own))
            block_kernels.outer(of_rows.numpy(), rows.numpy(), of_own.numpy(), f, size(d), size(_entries(own)))
            of_own = of_own.reshape(own.shape)
        of_x = product(pairs, cross, own if own.ndim == 2 else own.transpose(1, 2), of_rows, d, w)
        return None, of_cross, of_own, of_x[:, :f].reshape(nodes, d, f)


def product(pairs: Pairs, cross: Tensor, own: Tensor, rows: Tensor, d: int, w: int) -> Tensor:
    """L x on padded rows [V d, w]."""
    out = room(pairs, len(rows), w)
    blocks = [one.detach().contiguous().flatten(1).numpy() for one in (cross, own)]
    sizes = (size(d), size(w), size(_entries(cross)), size(_entries(own)))
    block_kernels.product(pairs.start, pairs.other, *blocks, rows.numpy(), out.numpy(), *sizes)
    return out


def pair_dots(pairs: Pairs, g: Tensor, rows: Tensor, f: int, d: int, entries: int) -> Tensor:
    """[m, entries], the gradient of the blocks of pairs from that of the product, both as padded rows of f channels."""
    w = padded(2 * f)
    x, y = room(pairs, len(rows), w), room(pairs, len(rows), w)
    block_kernels.joined(g.numpy(), rows.numpy(), x.numpy(), y.numpy(), f)
    out = room(pairs, len(pairs), entries)
    block_kernels.dots(pairs.start, pairs.other, x.numpy(), y.numpy(), out.numpy(), size(d), size(w), size(entries))
    return out


def _entries(blocks: Tensor) -> int:
    return blocks[0].numel() if len(blocks) else int(np.prod(blocks.shape[1:]))


def check_stalks(x: Tensor, d: int) -> None:
    """Rows of x [V, d f] are d stalk coordinates of f channels."""
    if d < 1 or x.shape[1] % d:
        raise SemblanceError(f"rows of {x.shape[1]} numbers are no stalks of {d}: the width is d times the channels")
