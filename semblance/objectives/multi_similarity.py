"""Multi-similarity: an item's likes and unlikes, each weighed by how far it is from where it should be.

    loss = mean_i [ 1/alpha log(1 + sum over likes j of exp(-alpha (s_ij - base)))
                  + 1/beta  log(1 + sum over unlikes k of exp(beta (s_ik - base))) ],    s the cosine

Only pairs that are out of order count: an unlike more similar than the least similar like less `epsilon`, a like less
similar than the most similar unlike and `epsilon`. Items without a label (-1) are left out.

Wang et al. 2019, arXiv:1904.06627.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError


class MultiSimilarity(nn.Module):
    """A loss of embeddings and labels; `epsilon` None takes all pairs."""

    def __init__(self, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5, epsilon: float | None = 0.1):
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta)):
            if value <= 0:
                raise SemblanceError(f"{name} is {value}, but similarities are scaled by it: give more than 0")
        self.alpha, self.beta, self.base, self.epsilon = alpha, beta, base, epsilon
        self.counted = 0.0  # share of all pairs that the latest batch saw

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """z [N, d], labels [N] -> scalar, 0 where every pair is in order."""
        labels: Tensor = batch["labels"]
        known = labels >= 0
        z, labels = F.normalize(z[known], dim=1), labels[known]
        if len(labels) < 2 or bool((labels == labels[0]).all()):
            raise SemblanceError("labels are told apart by pairs: give two labels or more in a batch")
        s = z @ z.T
        like = labels[:, None] == labels
        unlike = ~like
        like = like & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        if self.epsilon is not None:
            with torch.no_grad():
                furthest = s.masked_fill(~like, torch.inf).amin(1, keepdim=True)
                nearest = s.masked_fill(~unlike, -torch.inf).amax(1, keepdim=True)
                like, unlike = like & (s - self.epsilon < nearest), unlike & (s + self.epsilon > furthest)
        self.counted = float((like.sum() + unlike.sum()) / max(1, len(z) * (len(z) - 1)))
        pull = _one_and_sum((self.base - s) * self.alpha, like) / self.alpha
        push = _one_and_sum((s - self.base) * self.beta, unlike) / self.beta
        return (pull + push).mean()


def _one_and_sum(x: Tensor, counts: Tensor) -> Tensor:
    """[N, M] -> [N]: log(1 + sum of exp(x) where it counts)."""
    rows = torch.cat([x.masked_fill(~counts, -torch.inf), x.new_zeros(len(x), 1)], 1)
    return rows.logsumexp(1)
