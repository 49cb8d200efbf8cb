"""Candidates: among whom a row of `contrast.py` finds its neighbours. Each maps z [N, d] and the batch to points [M, d] and
who is allowed for whom, [N, M] bool (None: all for all).

    others         everyone in the batch but the row itself        SimCLR, SupCon, SNE
    everyone       the row itself too                              clusters
    other_views    rows of another view or modality                CLIP
    Points         learned points, such as one per class           cross-entropy, harmonic loss

Candidates that outlive the batch stand in `bank.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError

Candidates = Callable[[Tensor, Batch], "tuple[Tensor, Tensor | None]"]


def others(z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Everyone in the batch but the row itself: points [N, d], allowed [N, N]."""
    if len(z) < 2:
        raise SemblanceError(f"a batch of {len(z)} has nobody to compare with: give at least 2 embeddings")
    return z, ~torch.eye(len(z), dtype=torch.bool, device=z.device)


def everyone(z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The whole batch, the row itself included (clusters: an item shares its own)."""
    return z, None


def other_views(z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Only rows of another view or modality: an image chooses among captions, a caption among images."""
    view = views_of(batch)
    return z, view[:, None] != view


def views_of(batch: Batch) -> Tensor:
    """[N], two views or more."""
    view: Tensor = batch["view"]
    if int(view.min()) == int(view.max()):
        raise SemblanceError("the batch has one view only, and rows choose among the other views: give two or more")
    return view


class Points(nn.Module):
    """Learned candidates [K, d], such as one weight vector per class or per instance."""

    def __init__(self, count: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, dim))
        nn.init.normal_(self.weight, std=dim**-0.5)

    def forward(self, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """-> points [K, d], all allowed."""
        return self.weight, None
