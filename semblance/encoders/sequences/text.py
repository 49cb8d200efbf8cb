"""Texts: the pieces of a text as vectors, mixed by a transformer, pooled into one.

    z = sum_t w_t h_t / sum_t w_t,    h = transformer(E[tokens])

Pooling goes over the tokens that are there:

    weighted   w_t = exp(a[token]), learned from a start at log of its inverse document frequency
    mean       w_t = 1
    max        the largest of each coordinate
    first      the state of a token put before the text

The gates of the blocks start at 0, so that an untrained encoder is a bag of words in random directions, weighted by how
rare they are: a start that finds texts of the same words. Siamese use is another matter: one encoder reads all texts.

Reimers & Gurevych 2019, arXiv:1908.10084; inverse document frequency: Sparck Jones 1972.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.data.dataset import Shape
from semblance.data.pieces import FIRST, PADDING, SEPARATOR
from semblance.encoders.sequences.transformer import Transformer, sinusoidal
from semblance.errors import SemblanceError, unknown
from semblance.geometry.spaces import Geometry, Sphere

POOLINGS = ("weighted", "mean", "max", "first")
AT_ONCE = 1 << 14
"""Tokens that are embedded at a time, padding included."""


class TextEncoder(nn.Module):
    """Tokens [N, T] -> [N, dim]. share: how large a part of the training texts holds each token [vocabulary], of `texts`
    texts; it starts the weights. segments: how many parts a text may have (2 where pairs are read together)."""

    geometry: Geometry
    weight: nn.Parameter

    def __init__(
        self,
        vocabulary: int,
        dim: int = 128,
        blocks: int = 2,
        heads: int = 4,
        feedforward: int = 256,
        pooling: str = "weighted",
        gate: float | None = 0.0,
        dropout: float = 0.0,
        share: Sequence[float] = (),
        texts: int = 0,
        segments: int = 1,
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        if dim < 2 or dim % 2:
            raise SemblanceError(f"dim is {dim}: give an even number of 2 or more")
        self.dim, self.geometry, self.pooling = dim, Sphere(), pooling
        self.pieces = nn.Embedding(vocabulary, dim, padding_idx=PADDING)
        nn.init.normal_(self.pieces.weight, std=dim**-0.5)
        with torch.no_grad():
            self.pieces.weight[PADDING] = 0
        self.mix = Transformer(dim, blocks, heads, feedforward, gate, dropout)
        if pooling == "weighted":
            held = torch.tensor(share, dtype=torch.float32) if len(share) else torch.zeros(vocabulary)
            rarity = torch.log((1 + texts) / (1 + texts * held)) + 1
            self.weight = nn.Parameter(rarity.log())
        self.segments = nn.Embedding(segments, dim) if segments > 1 else None
        if self.segments is not None:
            nn.init.normal_(self.segments.weight, std=dim**-0.5)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """{"x": int64 [N, T], 0 behind a text} -> states of its tokens [N, T, dim] and which are there [N, T]. A text
        without any token is one padding token."""
        tokens = self.tokens(batch["x"])
        return self.above(self.states(tokens, batch.get("segment")), tokens), self.present(tokens)

    def embed(self, batch: Batch) -> Tensor:
        """[N, dim]. Where nothing is learned, texts of like lengths are embedded together, whatever the order."""
        tokens = self.tokens(batch["x"])
        if torch.is_grad_enabled() or "segment" in batch or not len(tokens):
            return self.pool(self.above(self.states(tokens, batch.get("segment")), tokens), tokens)
        place = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        length = ((tokens != PADDING) * place).amax(1).clamp_min(1)
        order = length.argsort(stable=True)
        z = torch.empty(len(tokens), self.dim, dtype=self.pieces.weight.dtype, device=tokens.device)
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and int(length[order[stop]]) * (stop + 1 - start) <= AT_ONCE:
                stop += 1
            rows = order[start:stop]
            part = tokens[rows, : int(length[rows[-1]])]
            z[rows] = self.pool(self.above(self.states(part), part), part).to(z)
            start = stop
        return z

    def tokens(self, x: Tensor) -> Tensor:
        """The tokens as they are read: [N, T], with the first one before them where that is pooled."""
        x = x.long()
        return torch.cat([torch.full_like(x[:, :1], FIRST), x], dim=1) if self.pooling == "first" else x

    def present(self, tokens: Tensor) -> Tensor:
        """bool [N, T]: which tokens are no padding."""
        there = tokens != PADDING
        alone = torch.arange(tokens.shape[1], device=tokens.device) == 0
        return there | (alone & ~there.any(1, keepdim=True))

    def states(self, tokens: Tensor, segment: Tensor | None = None) -> Tensor:
        """[N, T] -> [N, T, dim]: what the first block gets."""
        h: Tensor = self.pieces(tokens)
        return h if segment is None or self.segments is None else h + self.segments(segment)

    def above(self, h: Tensor, tokens: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """States [N, T, dim] after the blocks from `start` to before `stop`; tokens say which are there."""
        positions, present = sinusoidal(h.shape[-2], self.dim, h), self.present(tokens)
        for block in self.mix.blocks[start:stop]:
            h = block(h, present, positions)
        return h

    def pool(self, h: Tensor, tokens: Tensor) -> Tensor:
        """States [N, T, dim] of tokens [N, T] -> [N, dim]."""
        if self.pooling == "first":
            return h[..., 0, :]
        if self.pooling == "max":
            return h.masked_fill(~self.present(tokens)[..., None], -math.inf).amax(-2)
        return (self.shares(tokens)[..., None] * h).sum(-2)

    def shares(self, tokens: Tensor) -> Tensor:
        """[N, T] -> how much each token counts in a mean, rows sum to 1."""
        present = self.present(tokens)
        w = self.weight[tokens].exp() * present if self.pooling == "weighted" else present.to(self.pieces.weight)
        return w / w.sum(-1, keepdim=True)


def encoder_of(shape: Shape, **settings: object) -> TextEncoder:
    """The encoder for texts of this Shape, weighted by how rare its tokens are."""
    return TextEncoder(shape.item[0], share=shape.mean, texts=shape.units, **settings)  # type: ignore[arg-type]


def joined(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [N, T] and [N, U] -> both in one text, with a separator between, [N, T + 1 + U] shifted to the left, and the
    segment of each token."""
    between = torch.full_like(one[:, :1], SEPARATOR)
    both = torch.cat([one, between, two], dim=1)
    segment = torch.cat([torch.zeros_like(one), between * 0, torch.ones_like(two)], dim=1)
    order = (both == PADDING).to(torch.int8).argsort(dim=1, stable=True)
    both, segment = both.gather(1, order), segment.gather(1, order)
    longest = int((both != PADDING).sum(1).max())
    return both[:, :longest], segment[:, :longest]
