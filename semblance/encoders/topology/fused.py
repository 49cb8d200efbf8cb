"""Sheaf diffusion as single steps of the tape, each a few compiled passes over nodes and pairs (`kernels.py`).

    learned_blocks   the blocks of learned maps from the learner's two numbers a node
    residual_step    a whole layer, gain z - elu(S L S v) with v, the maps and S from one product of z with all weights

Float32 on a CPU; elsewhere the same is composed of plain torch. What a step works in is lent and goes back
when autograd lets it go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semblance.encoders.topology import kernels
from semblance.geometry import block_kernels
from semblance.geometry.block_rows import padded
from semblance.geometry.blocks import FLOOR, Blocks, pair_dots, product, room
from semblance.geometry.lanes import size
from semblance.geometry.pairs import Pairs

KINDS = {"diagonal": 0, "cayley": 1, "general": 2}
GIVEN = "given"  # blocks that are handed in and not learned


@dataclass(frozen=True)
class Form:
    """What a step is compiled and set for. added: to the diagonal before its root is taken; negative: no normalisation."""

    kind: str
    d: int
    f: int
    ridge: float
    added: float

    @property
    def numbers(self) -> int:
        """Learned numbers a map."""
        d = self.d
        return {"diagonal": d, "cayley": d * (d - 1) // 2, "general": d * d, GIVEN: 0}[self.kind]

    @property
    def entries(self) -> int:
        """Numbers of a pair's block."""
        return self.d if self.kind == "diagonal" else self.d * self.d

    @property
    def added32(self) -> np.float32:
        """As compiled code takes it."""
        return np.float32(self.added)

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """d, numbers, entries and kind as types."""
        return size(self.d), size(self.numbers), size(self.entries), size(KINDS[self.kind])

    @property
    def own_entries(self) -> int:
        """Numbers of a node's block: orthogonal maps leave the degree."""
        return self.d * self.d if self.kind in ("general", GIVEN) else self.d


def learned_blocks(pairs: Pairs, y: Tensor, kind: str, d: int, ridge: float = 0.0) -> Blocks:
    """y: [V, 2 o], the learner's numbers of a node as the owner of a map (with the bias) and as the other end."""
    form = Form(kind, d, 0, ridge, -1.0)
    cross, own = _LearnedBlocks.apply(pairs, form, y)
    shape = (d,) if kind == "diagonal" else (d, d)
    own = own.reshape(-1, d, d) if kind == "general" else own
    own = torch.diag_embed(own) if kind == "cayley" else own
    return Blocks(pairs, cross.reshape(-1, *shape), own)


def residual_step(
    pairs: Pairs,
    z: Tensor,
    inner: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    gain: Tensor,
    form: Form,
    given: Blocks | None = None,
) -> Tensor:
    """z [V, d f] -> the same. inner: what v and the maps are made of, where that is not z itself (dropout). weight: [d f
    + 2 o, d f], the rows of v, then of a map's numbers for its owner, then for the other end; bias likewise; gain: [d].
    given: blocks [m, d, d] and [V, d, d] without a scale, for the kind "given", which has no numbers to learn."""
    return _ResidualStep.apply(pairs, form, given, z, inner, weight, bias, gain)


class _LearnedBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pairs: Pairs, form: Form, y: Tensor) -> tuple[Tensor, Tensor]:
        ctx.pairs, ctx.form = pairs, form
        y = room(pairs, *y.shape).copy_(y)
        ctx.save_for_backward(y)
        return _blocks(pairs, form, y, 0)

    @staticmethod
    def backward(ctx: Any, of_cross: Tensor, of_own: Tensor) -> tuple[None, None, Tensor]:
        (y,) = ctx.saved_tensors
        n, pairs = ctx.form.d, ctx.pairs
        of_y = room(pairs, *y.shape).zero_()
        if ctx.form.kind == "general":
            of_own = of_own.reshape(-1, n, n)
            of_own = (of_own + of_own.transpose(1, 2)).flatten(1)
        else:
            of_own = 2 * of_own
        of_cross, of_own = (room(pairs, *one.shape).copy_(one) for one in (of_cross, of_own))
        _blocks_back(pairs, ctx.form, y, 0, of_cross, of_own, of_y)
        return None, None, of_y


class _ResidualStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pairs: Pairs,
        form: Form,
        given: Blocks | None,
        z: Tensor,
        inner: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        gain: Tensor,
    ) -> Tensor:
        nodes, d, f = len(z), form.d, form.f
        z, w = z.contiguous(), padded(f)
        y = torch.addmm(bias, z if inner is None else inner, weight.t(), out=room(pairs, nodes, len(weight)))
        cross, own = _blocks(pairs, form, y, d * f) if given is None else (given.cross, given.own.flatten(1))
        scale, rows = room(pairs, nodes, d), room(pairs, nodes * d, w)
        kernels.scale_of(*_arrays(own), form.added32, FLOOR32, *_arrays(scale), size(d), size(form.own_entries))
        kernels.load_rows(*_arrays(y, scale, rows), f, size(d))
        out = product(pairs, cross, own, rows, d, w)
        made = room(pairs, nodes, d * f)
        kernels.leave(*_arrays(z, gain, scale, out, made), f, size(d))
        ctx.pairs, ctx.form = pairs, form
        ctx.save_for_backward(z, inner, weight, gain, y, cross, own, scale, rows, out)
        return made

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        pairs, form = ctx.pairs, ctx.form
        z, inner, weight, gain, y, cross, own, scale, rows, out = ctx.saved_tensors
        nodes, d, f = len(z), form.d, form.f
        sizes = (size(d), size(form.own_entries))
        of_out, of_z, of_scale = room(pairs, *rows.shape), room(pairs, nodes, d * f), room(pairs, nodes, d)
        of_gain, of_y = torch.zeros(d), room(pairs, *y.shape).zero_()
        kernels.leave_back(*_arrays(g.contiguous(), z, gain, scale, out, of_out, of_z, of_gain, of_scale), f, size(d))
        of_rows = product(pairs, cross, own, of_out, d, rows.shape[1])
        kernels.load_back(*_arrays(of_rows, y, scale, of_y, of_scale), f, size(d))
        if form.kind != GIVEN:
            of_own = room(pairs, nodes, form.own_entries)
            if form.kind != "cayley":  # whose diagonal is the degree
                block_kernels.outer(*_arrays(of_out, rows, of_own), f, *sizes)
                kernels.scale_back(*_arrays(of_own, own), form.added32, FLOOR32, *_arrays(scale, of_scale), *sizes)
            of_cross = pair_dots(pairs, of_out, rows, f, d, form.entries)
            _blocks_back(pairs, form, y, d * f, of_cross, of_own, of_y)
        if inner is None:
            of_weight = of_y.t() @ z
            of_z.addmm_(of_y, weight)
            return None, None, None, of_z, None, of_weight, of_y.sum(0), of_gain
        return None, None, None, of_z, of_y @ weight, of_y.t() @ inner, of_y.sum(0), of_gain


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    """Tensors as compiled code takes them."""
    return [one.detach().numpy() for one in tensors]


FLOOR32 = np.float32(FLOOR)


def _blocks(pairs: Pairs, form: Form, y: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """cross [m, k] and own [V, k'] of the maps whose numbers stand in y's columns from `first` on."""
    d = form.d
    cross, own = room(pairs, len(pairs), form.entries), room(pairs, pairs.num_nodes, form.own_entries)
    if form.kind == "cayley":
        own.copy_((pairs.degree + form.ridge)[:, None])
    elif form.kind == "general":
        own.copy_(form.ridge * torch.eye(d).flatten())
    else:
        own.fill_(form.ridge)
    kernels.make_blocks(pairs.low.numpy(), pairs.other, *_arrays(y), first, *_arrays(cross, own), *form.sizes)
    return cross, own


def _blocks_back(
    pairs: Pairs, form: Form, y: Tensor, first: int, of_cross: Tensor, of_own: Tensor, of_y: Tensor
) -> None:
    """Adds to of_y; of_own is symmetrised."""
    low, found = pairs.low.numpy(), _arrays(of_cross, of_own, of_y)
    kernels.blocks_back(low, pairs.other, *_arrays(y), first, *found, *form.sizes)
