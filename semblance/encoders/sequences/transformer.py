"""The transformer: tokens that look at one another, block after block.

    h <- h + g_a attention(norm(h) + p),    h <- h + g_f W2 gelu(W1 norm(h))
    attention: softmax(Q K' / sqrt(d / heads)) V over the tokens that are there

p are positions, which only attention sees. What varies:

    gate       the start of g_a and g_f, learned; with 0 a stack begins as the identity. None: no gates, all are 1
    mask       padding is attended to by nobody, so that it never changes an output
    positions  given to `forward` [T, d], such as `sinusoidal`; none for sets

Tokens may be pieces of text (text.py) or patches of pictures. Norms stand before the branches (Xiong et al. 2020,
arXiv:2002.04745). Everything is made of products, so that derivatives of any kind and order go through.

Vaswani et al. 2017, arXiv:1706.03762; gates from 0: Bachlechner et al. 2020, arXiv:2003.04887.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.errors import SemblanceError


class Attention(nn.Module):
    """Every token's weighted mean over the tokens that are there, in `heads` parts of its width."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if heads < 1 or width % heads:
            raise SemblanceError(f"a width of {width} does not divide into {heads} heads: give a divisor of {width}")
        self.heads = heads
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, h: Tensor, present: Tensor) -> Tensor:
        """h [N, T, d], present bool [N, T] -> [N, T, d]."""
        q, k, v = self.read(h).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)  # [N, heads, T, d']
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [N, heads, T, T]
        scores = scores.masked_fill(~present[..., None, None, :], torch.finfo(scores.dtype).min)
        mixed = scores.softmax(-1) @ v
        written: Tensor = self.write(mixed.transpose(-3, -2).flatten(-2))
        return written


class Block(nn.Module):
    """Attention, then a perceptron on every token by itself, each added to what was there."""

    def __init__(self, width: int, heads: int, feedforward: int, gate: float | None = None, dropout: float = 0.0):
        super().__init__()
        self.attend, self.before_attention, self.before_perceptron = (
            Attention(width, heads),
            nn.LayerNorm(width),
            nn.LayerNorm(width),
        )
        self.inner, self.outer = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)
        self.gates = None if gate is None else nn.Parameter(torch.full((2,), float(gate)))

    def forward(self, h: Tensor, present: Tensor, positions: Tensor | None = None) -> Tensor:
        """h [N, T, d], present bool [N, T], positions [T, d] -> [N, T, d]."""
        one, two = (1.0, 1.0) if self.gates is None else self.gates
        seen = self.before_attention(h)
        h = h + one * self.dropout(self.attend(seen if positions is None else seen + positions, present))
        moved: Tensor = self.dropout(self.outer(F.gelu(self.inner(self.before_perceptron(h)))))
        return h + two * moved


class Transformer(nn.Module):
    """`blocks` blocks of one width."""

    def __init__(
        self,
        width: int,
        blocks: int = 2,
        heads: int = 4,
        feedforward: int | None = None,
        gate: float | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        inner = 4 * width if feedforward is None else feedforward
        self.blocks = nn.ModuleList(Block(width, heads, inner, gate, dropout) for _ in range(blocks))

    def forward(self, h: Tensor, present: Tensor, positions: Tensor | None = None, start: int = 0) -> Tensor:
        """h [N, T, d], present bool [N, T] -> [N, T, d] after the blocks from `start` on."""
        for block in self.blocks[start:]:
            h = block(h, present, positions)
        return h


def sinusoidal(length: int, width: int, like: Tensor) -> Tensor:
    """[T, d]: sines and cosines of the place, of wave lengths from 2 pi to 10,000 times that."""
    place = torch.arange(length, device=like.device, dtype=like.dtype)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(10_000.0) / width))
    angle = place * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]
