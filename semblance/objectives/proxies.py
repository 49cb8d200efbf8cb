"""Proxies: a short vector for every label, learned along and remembered, that says which labels look alike.

    loss = L(z) + L(g(z)),    proxy of a label <- mean over the epoch's visits of g(z) / |g(z)|

L is any loss of embeddings and labels. g, a linear map to few dimensions, learns by its own copy of L, and the encoder
through it, as the paper has it (`attached`; not: g reads what the encoder learns without it). Between epochs the proxies
make the next batches (`data.alike.Alike`), at the cost of one small product.

Ali-bey et al. 2022, arXiv:2302.14217.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.objectives.branches import precise

Loss = Callable[[Tensor, Batch], Tensor]


class Proxies(nn.Module):
    """`loss` may be a module (its weights train along). `told` of the loss, a share of what it counted, is `active`."""

    needs = frozenset({"labels"})
    total: Tensor  # [classes, dim], sums over this epoch's visits
    count: Tensor  # [classes]
    before: Tensor  # [classes, dim], means of the last epoch, 0 for a label that was not met

    def __init__(
        self,
        loss: Loss,
        classes: int,
        width: int,
        dim: int = 32,
        copy: Loss | None = None,
        attached: bool = True,
    ):
        super().__init__()
        self.loss, self.copy, self.attached = loss, copy or loss, attached
        self.short = nn.Linear(width, dim)
        self.register_buffer("total", torch.zeros(classes, dim))
        self.register_buffer("count", torch.zeros(classes))
        self.register_buffer("before", torch.zeros(classes, dim))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x, labels [N] -> scalar, {loss, proxy: the loss of the short vectors, active}."""
        z = precise(model.embed(batch))
        short = self.short(z if self.attached else z.detach())
        main = self.loss(z, batch)
        active = float(getattr(self.loss, "counted", 0.0))
        own = self.copy(short, batch)
        if self.training:
            self.remember(short.detach(), batch["labels"])
        return main + own, {"loss": float(main.detach()), "proxy": float(own.detach()), "active": active}

    @torch.no_grad()
    def remember(self, short: Tensor, labels: Tensor) -> None:
        """Short vectors [N, dim] of labels [N]. A label that comes again begins a new epoch, since batches of look-alikes
        hold every label once."""
        known = labels >= 0
        labels, short = labels[known], F.normalize(short[known], dim=1)
        if bool((self.count[labels] > 0).any()):
            self.before.copy_(self._means())
            self.total.zero_()
            self.count.zero_()
        self.total.index_add_(0, labels, short)
        self.count.index_add_(0, labels, torch.ones_like(labels, dtype=self.count.dtype))

    def read(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels and their vectors: of this epoch once it has met every label of the last one, else of the last. What is
        read at the start of an epoch is what is read in its middle, so that a resumed run makes the same batches."""
        met = self.before.abs().sum(1) > 0
        vectors = self._means() if bool((self.count[met] > 0).all()) else self.before
        seen = (vectors.abs().sum(1) > 0).nonzero()[:, 0]
        return (seen.cpu().numpy(), vectors[seen].cpu().numpy()) if len(seen) else None

    def _means(self) -> Tensor:
        return self.total / self.count.clamp_min(1)[:, None]
