"""Among the batch and a queue: InfoNCE whose keys come from the network in training, not from a slow copy of it.

    loss = -mean_i log ( exp(p_i t_i / T) / ( sum_j exp(p_i t_j / T) + sum_k exp(p_i q_k / T) ) ),    p, t, q of length 1

j runs over the batch and k over the queue of earlier keys. A queue alone (MoCo, `codes.Queued`) needs keys that change
slowly: a network that is its own teacher leaves its past behind, and telling now from then is all that it would learn.

Masked Contrastive Representation Learning (Yao et al. 2022). A memory beside the batch: Wang et al. 2020,
arXiv:1912.06798.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.contracts import Batch
from semblance.objectives import neighbours
from semblance.objectives.bank import Queue
from semblance.objectives.codes import Queued
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine


class BatchAndQueue(Queue):
    """All keys of the batch, with their gradients, and the latest `size` of earlier ones: everyone is allowed."""

    def forward(self, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """-> points [N + size, dim], all allowed; row i's own key is candidate i."""
        return torch.cat([batch["keys"], self.keys.to(z.dtype)]), None


class QueuedBeside(Queued):
    """`Queued`, among the batch as well; the targets learn, too."""

    def __init__(self, dim: int, size: int = 4096, temperature: float = 0.2):
        super().__init__(dim, size, temperature)
        self.loss = Contrast(neighbours.itself, Cosine(temperature), candidates=BatchAndQueue(size, dim))

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """[N, d], [N, d] -> scalar in nats."""
        loss: Tensor = self.loss(p, {"x": p, "keys": F.normalize(t, dim=1)})
        return loss
