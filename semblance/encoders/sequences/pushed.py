"""Pushed: what becomes of every token's own movement on its way through a transformer, all tokens in one pass.

    h + epsilon m_p  ->  block(h) + epsilon m_p',    m_p one token's movement, p = 1 .. P

These are the derivatives that torch.func gives; written out, they take a fraction of its time:

    a norm before a linear map    folds into the map: rows of W g less their means, of (m - x^ (x^ . m) / d) / sigma
    the first block               each movement is of one token, so attention moves in one row and one column only
    the read-out                  is linear, so the last perceptron's second map comes after the pooling

For gates, masks and any depth; without dropout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.sequences.transformer import Block

IN_CACHE = 1 << 18
"""Numbers of movements that are pushed at a time."""


def push(
    blocks: Sequence[Block], h: Tensor, present: Tensor, positions: Tensor | None, delta: Tensor, share: Tensor
) -> Tensor:
    """States h [n, T, d], each token's movement delta [T, d] -> how the pooled state sum_t share[t] h_t moves by each:
    [n, T, d]. present: bool [T]."""
    if not blocks:
        return (share[:, None] * delta).expand(len(h), -1, -1)
    h, moved = _first(blocks[0], h, present, positions, delta)
    # So few movements at a time that they stay in a core's cache.
    size = max(1, IN_CACHE // max(h[:1].numel() * len(h), 1))
    return torch.cat([_rest(blocks, h, present, positions, part, share) for part in moved.split(size, dim=1)], dim=1)


def _rest(
    blocks: Sequence[Block], h: Tensor, present: Tensor, positions: Tensor | None, moved: Tensor, share: Tensor
) -> Tensor:
    """From the first block's perceptron on: states [n, T, d] and movements [n, P, T, d] -> [n, P, d]."""
    for number, block in enumerate(blocks):
        if number:
            h, moved = _attention(block, h, present, positions, moved)
        normed, inverse = _norm(block.before_perceptron, h)
        inner = block.inner(normed * block.before_perceptron.weight + block.before_perceptron.bias)
        active = _straight(moved, normed, inverse) @ _folded(block.before_perceptron, block.inner.weight).T
        active *= _slope(inner)[:, None]  # [n, T, T, inner]
        gate = 1.0 if block.gates is None else block.gates[1]
        outer = (gate * block.outer.weight).T
        if number + 1 == len(blocks):
            return torch.einsum("t,nptd->npd", share, moved) + torch.einsum("t,npti->npi", share, active) @ outer
        moved = torch.addmm(moved.flatten(0, 2), active.flatten(0, 2), outer).view_as(moved)
        h = h + gate * block.outer(F.gelu(inner))
    raise AssertionError("the last block answers")


def _norm(norm: nn.LayerNorm, h: Tensor) -> tuple[Tensor, Tensor]:
    """The states without mean and of deviation 1 [n, T, d], before scale and shift, and 1 / deviation [n, T, 1]."""
    variance, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
    inverse = (variance + norm.eps).rsqrt()
    return (h - mean) * inverse, inverse


def _folded(norm: nn.LayerNorm, weight: Tensor) -> Tensor:
    """A linear map after a norm's scale, rows less their means: [out, d]."""
    scaled = weight * norm.weight
    return scaled - scaled.mean(1, keepdim=True)


def _straight(moved: Tensor, normed: Tensor, inverse: Tensor) -> Tensor:
    """[n, P, T, d]: movements as the folded map wants them."""
    along = torch.einsum("nptd,ntd->npt", moved, normed / -normed.shape[-1])
    return torch.addcmul(moved, normed[:, None], along[..., None]).mul_(inverse[:, None])


def _slope(x: Tensor) -> Tensor:
    """The derivative of gelu."""
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _read(block: Block, seen: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """q (divided by the root of its width), k, v [n, heads, T, d'], the attention [n, heads, T, T] and what it reads."""
    attend = block.attend
    q, k, v = attend.read(seen).unflatten(-1, (3, attend.heads, -1)).movedim(-3, 0).transpose(-3, -2)
    q = q / math.sqrt(q.shape[-1])
    p = (q @ k.transpose(-2, -1)).masked_fill(~present, torch.finfo(q.dtype).min).softmax(-1)
    return q, k, v, p, p @ v


def _states(block: Block, h: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """What attention sees [n, T, d], and the norm's parts."""
    norm = block.before_attention
    normed, inverse = _norm(norm, h)
    seen = normed * norm.weight + norm.bias
    return seen if positions is None else seen + positions, normed, inverse


def _written(block: Block, h: Tensor, o: Tensor, moved_o: Tensor, moved: Tensor | None) -> tuple[Tensor, Tensor]:
    """States and movements with what attention read, o [n, heads, T, d'], moved_o [n, P, T, d], added."""
    gate = 1.0 if block.gates is None else block.gates[0]
    h = h + gate * block.attend.write(o.transpose(1, 2).flatten(2))
    weight = (gate * block.attend.write.weight).T
    flat = moved_o.flatten(0, 2)
    added = flat @ weight if moved is None else torch.addmm(moved.flatten(0, 2), flat, weight)
    return h, added.view_as(moved_o)


def _first(block: Block, h: Tensor, present: Tensor, positions: Tensor | None, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Attention under movements of one token each: delta [T, d] -> states, movements [n, P, T, d]."""
    count, width = h.shape[1:]
    seen, normed, inverse = _states(block, h, positions)
    q, k, v, p, o = _read(block, seen, present)
    heads = block.attend.heads
    along = (delta * normed).sum(-1, keepdim=True) / width
    own = ((delta - normed * along) * inverse) @ _folded(block.before_attention, block.attend.read.weight).T
    dq, dk, dv = own.unflatten(-1, (3, heads, -1)).movedim(-3, 0).transpose(-3, -2)  # [n, heads, P, d']
    dq = dq / math.sqrt(dq.shape[-1])
    column = q @ dk.transpose(-2, -1)  # [n, heads, T, P]: how the score of token t for the moved one moves
    held = p * column
    # Where t is not the moved token, its score for that one moves and no other: the rest makes room.
    moved = torch.einsum("nhtp,nhpd->npthd", held, v) + torch.einsum("nhtp,nhpd->npthd", p, dv)
    moved -= torch.einsum("nhtp,nhtd->npthd", held, o)
    # The moved token's own row: all of its scores move.
    row = dq @ k.transpose(-2, -1) + torch.diag_embed(column.diagonal(dim1=-2, dim2=-1))  # [n, heads, P, T]
    row = p * row
    row = row - p * row.sum(-1, keepdim=True)
    itself = row @ v + p.diagonal(dim1=-2, dim2=-1)[..., None] * dv  # [n, heads, P, d']
    place = torch.arange(count, device=h.device)
    moved[:, place, place] = itself.transpose(1, 2)
    h, moved = _written(block, h, o, moved.flatten(3), None)
    moved[:, place, place] += delta
    return h, moved


def _attention(
    block: Block, h: Tensor, present: Tensor, positions: Tensor | None, moved: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention under any movements: [n, P, T, d] -> states, movements."""
    seen, normed, inverse = _states(block, h, positions)
    q, k, v, p, o = _read(block, seen, present)
    heads = block.attend.heads
    straight = _straight(moved, normed, inverse) @ _folded(block.before_attention, block.attend.read.weight).T
    dq, dk, dv = straight.unflatten(-1, (3, heads, -1)).permute(3, 0, 4, 1, 2, 5)  # [n, heads, P, T, d']
    q, k, v, p = (part[:, :, None] for part in (q, k, v, p))
    score = dq @ (k / math.sqrt(k.shape[-1])).transpose(-2, -1) + q @ dk.transpose(-2, -1)  # [n, heads, P, T, T]
    score *= p
    score = torch.addcmul(score, p, -score.sum(-1, keepdim=True))
    moved_o = (score @ v + p @ dv).permute(0, 2, 3, 1, 4).flatten(3)  # [n, P, T, d]
    return _written(block, h, o, moved_o, moved)
