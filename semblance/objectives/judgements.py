"""Judgements: what was said of a pair is to be read off its two embeddings.

    Scores     (cos(u, v) - s)^2,   s the score from 0 (the lowest said) to 1 (the highest)
    Classes    cross-entropy of a head that sees both embeddings and is dropped afterwards (heads.match_text.PairSoftmax)
    Joined     the same of a reader of both texts at once, which is the network's head and is kept (CrossEncoder)

Batches are firsts | seconds with `said` (data.judged.GivenPairs). Reimers & Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError


class Scores(nn.Module):
    """Squared error of the cosine against the score, from `lowest` to `highest`."""

    needs = frozenset({"judgements"})

    def __init__(self, lowest: float = 0.0, highest: float = 1.0):
        super().__init__()
        if not lowest < highest:
            raise SemblanceError(f"the scores go from {lowest} to {highest}: give pairs of different scores")
        self.lowest, self.highest = lowest, highest

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, judged: the share of pairs of which something was said}."""
        u, v = model.embed(batch).float().chunk(2)
        cosine = F.cosine_similarity(u, v, dim=1)
        said = batch["said"].to(cosine)
        known = said.isfinite()
        wanted = (said[known] - self.lowest) / (self.highest - self.lowest)
        error = (cosine[known] - wanted).square()
        loss = error.mean() if len(error) else cosine.sum() * 0
        return loss, {"loss": float(loss.detach()), "judged": float(known.float().mean())}


class Classes(nn.Module):
    """Cross-entropy of `head(u, v)` against the class of the pair."""

    needs = frozenset({"judgements"})

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy}."""
        u, v = model.embed(batch).float().chunk(2)
        return _entropy(self.head(u, v), batch["said"].long())


class Joined(nn.Module):
    """A reader of both texts: its logits against classes, or its single answer against scores from `lowest` to
    `highest`."""

    needs = frozenset({"judgements"})

    def __init__(self, reader: nn.Module, lowest: float = 0.0, highest: float = 1.0):
        super().__init__()
        self.reader, self.lowest, self.highest = reader, lowest, highest

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, metrics."""
        answered: Tensor = self.reader(*batch["x"].chunk(2)).float()
        if answered.ndim == 2:
            return _entropy(answered, batch["said"].long())
        said = batch["said"].to(answered)
        known = said.isfinite()
        wanted = (said[known] - self.lowest) / (self.highest - self.lowest)
        loss = F.mse_loss(answered[known].sigmoid(), wanted) if bool(known.any()) else answered.sum() * 0
        return loss, {"loss": float(loss.detach())}


def _entropy(logits: Tensor, said: Tensor) -> tuple[Tensor, Metrics]:
    known = said >= 0
    if not bool(known.any()):
        return logits.sum() * 0, {"loss": 0.0, "accuracy": 0.0}
    loss = F.cross_entropy(logits[known], said[known])
    accuracy = float((logits[known].argmax(1) == said[known]).float().mean())
    return loss, {"loss": float(loss.detach()), "accuracy": accuracy}
