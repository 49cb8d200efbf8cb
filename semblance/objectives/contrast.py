"""Contrast: bring neighbours together, by matching two neighbour distributions.

    loss = mean_i KL( p(.|i) || q(.|i) ),    q(j|i) = softmax over the candidates j of kernel(z_i, z_j)

p says who is near whom in the data (`neighbours.py`), q who is near whom in z (`kernels.py`). What varies:

    neighbours  p: the other view, the same label, k nearest in the data, a walk on a graph, a label as a point
    kernel      cosine/temperature, Gaussian, Student-t, power of distance, shared cluster
    candidates  the rest of the batch, all of it, other views only, class points (`candidates.py`), a bank (`bank.py`)
    nearest     only the k nearest candidates stay in q
    restrict    p is q itself, restricted to the neighbours and renormalised: the loss is -log q(neighbours)
    debias      a in (1 - a) p + a/M, and `debias_q` the same in q: a pair that p leaves out may be near all the same
    joint       one normaliser for all pairs instead of one per row (t-SNE)
    divergence  KL, total variation, Jensen-Shannon (`divergences.py`)

From 2,048 rows on the same numbers are made without a matrix of rows by candidates (`streamed.py`), in `products` of
float32 or, asked for, bfloat16. `contrast_table.py` lists published methods as settings of these. That they are one
objective is due to I-Con (Alshammari et al. 2025, arXiv:2504.16929).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.objectives.candidates import Candidates as Candidates
from semblance.objectives.candidates import Points as Points
from semblance.objectives.candidates import everyone as everyone
from semblance.objectives.candidates import other_views as other_views
from semblance.objectives.candidates import others
from semblance.objectives.divergences import Divergence, kl
from semblance.objectives.kernels import Cosine, Kernel
from semblance.objectives.neighbours import Listed
from semblance.objectives.streamed import streamed

Neighbours = Callable[[Batch], "Tensor | Listed"]
MANY = 2048  # rows from which no matrix of rows by candidates is kept
PRODUCTS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}


class Contrast(nn.Module):
    """Divergence from the neighbours that the data declares to the neighbours that z shows, in nats."""

    def __init__(
        self,
        neighbours: Neighbours,
        kernel: Kernel | None = None,
        *,
        candidates: Candidates = others,
        nearest: int | None = None,
        restrict: bool = False,
        debias: float = 0.0,
        debias_q: float = 0.0,
        joint: bool = False,
        divergence: Divergence = kl,
        products: str = "float32",
    ):
        super().__init__()
        if products not in PRODUCTS:
            raise unknown("type of products", products, PRODUCTS)
        for name, share in (("debias", debias), ("debias_q", debias_q)):
            if not 0 <= share <= 1:
                raise SemblanceError(f"{name} is {share}, but it is a share: give 0 to 1 (0.2 to 0.8 is usual)")
        if nearest is not None and nearest < 1:
            raise SemblanceError(f"nearest is {nearest}, but q needs a candidate: give at least 1")
        self.neighbours, self.kernel, self.candidates = neighbours, kernel or Cosine(), candidates
        self.nearest, self.restrict, self.joint = nearest, restrict, joint
        self.debias, self.debias_q, self.divergence = debias, debias_q, divergence
        self.low = PRODUCTS[products]

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """z: [N, d] -> scalar: the mean over the rows that have neighbours."""
        if len(z) >= MANY:
            return _mean(*streamed(self, z, batch))
        points, allowed = self.candidates(z, batch)  # [M, d], [N, M]
        scores = self.kernel(z, points)  # [N, M]
        return _mean(*self.rows(scores, allowed, self.neighbours(batch)))

    def rows(
        self, scores: Tensor, allowed: Tensor | None, p: Tensor | Listed, normaliser: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores and allowed [N, M], p of these rows -> divergence of every row [N], and how much of p it has [N]."""
        if self.nearest is not None:
            allowed = _only_nearest(scores.detach(), allowed, self.nearest)
        if allowed is not None:
            # finfo.min rather than -inf: p is 0 there, and 0 * inf is nan.
            scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        normaliser = self.normaliser(scores) if normaliser is None else normaliser
        plain = self.divergence is kl and not (self.nearest or self.restrict or self.debias or self.debias_q)
        if isinstance(p, Listed) and plain:
            return self._kl_of_list(p, scores, normaliser), p.weight.sum(1)
        p = (p.dense(scores.shape[1]) if isinstance(p, Listed) else p).to(scores)  # [N, M]
        log_q = scores - normaliser
        if self.restrict:
            p = (p > 0) * log_q.detach().exp()
        if self.nearest is not None and allowed is not None:
            p = p * allowed
        if self.restrict or self.nearest is not None:
            p = p / p.sum(1, keepdim=True).clamp_min(torch.finfo(p.dtype).tiny)
        present = p.sum(1)
        if self.debias:
            p = (1 - self.debias) * p + self.debias * _uniform(p, allowed)
        if self.debias_q:
            log_q = (
                ((1 - self.debias_q) * log_q.exp() + self.debias_q * _uniform(p, allowed))
                .clamp_min(torch.finfo(log_q.dtype).tiny)
                .log()
            )
        return self.divergence(p, log_q), present

    def normaliser(self, scores: Tensor) -> Tensor:
        """[N, 1] per row, or one number; rows of q then sum to 1, or do so on average."""
        if self.joint:
            return scores.flatten().logsumexp(0) - math.log(len(scores))
        return scores.logsumexp(1, keepdim=True)

    def _kl_of_list(self, p: Listed, scores: Tensor, normaliser: Tensor) -> Tensor:
        """[N]: KL without an N x M matrix of p or log q, since p is 0 outside its list."""
        weight = p.weight.to(scores)
        log_q = scores.gather(1, p.index) - normaliser  # [N, k]
        return torch.xlogy(weight, weight).sum(1) - (weight * log_q).sum(1)


def _mean(rows: Tensor, present: Tensor) -> Tensor:
    """Over the rows with neighbours; a batch without any is an error, never a silent zero."""
    has = present > 0
    if not bool(has.any()):
        raise SemblanceError(
            f"none of the {len(rows)} rows has a neighbour or a label: give larger batches or more labels"
        )
    return torch.where(has, rows, rows.new_zeros(())).sum() / has.sum()


def _uniform(p: Tensor, allowed: Tensor | None) -> Tensor:
    """The uniform distribution over the allowed candidates: a number, or [N, M]."""
    if allowed is None:
        return p.new_tensor(1 / p.shape[1])
    return allowed / allowed.sum(1, keepdim=True).clamp_min(1).to(p)


def _only_nearest(scores: Tensor, allowed: Tensor | None, k: int) -> Tensor:
    """[N, M] bool: the k largest allowed scores of each row."""
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept.scatter_(1, scores.topk(min(k, scores.shape[1]), dim=1).indices, True)
    return kept if allowed is None else kept & allowed
