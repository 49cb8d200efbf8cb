"""Two texts matched: what is asked of a pair, of its two embeddings or of both texts at once.

PairSoftmax     softmax(W [u; v; |u - v|]) over the classes of pairs; which parts are joined is an axis
CrossEncoder    both texts in one, with a separator and a code for each side, through one encoder; a linear map of what is
                pooled. It knows more of a pair, and has to read every pair: N^2 passes where embeddings take N
rerank          the nearest of a query by embeddings, in the order of such a reader

Reimers & Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.sequences.text import TextEncoder, joined
from semblance.errors import SemblanceError, unknown

PARTS = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "|u-v|": lambda u, v: (u - v).abs(),
    "u*v": lambda u, v: u * v,
}


class PairSoftmax(nn.Module):
    """Embeddings of both texts -> logits of the pair. combine: some of u, v, |u-v| and u*v, with commas between; or all."""

    def __init__(self, dim: int, classes: int, combine: str = "u,v,|u-v|"):
        super().__init__()
        names = list(PARTS) if combine == "all" else [name.strip() for name in combine.split(",")]
        for name in names:
            if name not in PARTS:
                raise unknown("part of a pair", name, PARTS)
        if classes < 2:
            raise SemblanceError(f"the pairs are of {classes} classes: give two or more, or scores for a regression")
        self.names = tuple(names)
        self.map = nn.Linear(dim * len(names), classes)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """[N, d], [N, d] -> [N, K]."""
        logits: Tensor = self.map(torch.cat([PARTS[name](u, v) for name in self.names], dim=1))
        return logits


class CrossEncoder(nn.Module):
    """Tokens of both texts -> scores of the pair, [N] (`outputs` 1) or logits [N, outputs]."""

    def __init__(self, encoder: TextEncoder, outputs: int = 1):
        super().__init__()
        if encoder.segments is None:
            raise SemblanceError("a reader of pairs tells their sides apart: give its encoder segments=2")
        self.encoder, self.map = encoder, nn.Linear(encoder.dim, outputs)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        """int64 [N, T], [N, U], 0 behind a text -> [N] or [N, outputs]."""
        tokens, segment = joined(one, two)
        found: Tensor = self.map(self.encoder.embed({"x": tokens, "segment": segment}))
        return found[:, 0] if found.shape[1] == 1 else found


def rerank(reader: CrossEncoder, query: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """A query's tokens [T] and those of its nearest [k, U] -> their order by the reader, best first, and the scores [k]."""
    with torch.no_grad():
        scores = reader.eval()(query.expand(len(candidates), -1), candidates)
    order = scores.argsort(descending=True, stable=True)
    return order, scores[order]
