"""Soft codes: how near a node is to every entry of the teacher's codebook, which holds kinds of neighbourhoods.

    r_v = softmax over codes c of -|h_v - c| / temperature                  h of the teacher: its states before the codebook
    loss = mean over v of KL( r_v of the teacher || r_v of the student )     h of the student: a linear map of its states

The map trains along and is dropped. The codebook is `encoders/graphs/codes.py`. Reference: Yang et al. 2024,
arXiv:2308.02117.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.objectives.distil.structure import answered, checked


class SoftCodes(nn.Module):
    """dim: width of the student's states; width: that of the codes."""

    p: Tensor | None
    codes: Tensor | None

    def __init__(self, dim: int, width: int, temperature: float = 4.0):
        super().__init__()
        self.map, self.temperature = nn.Linear(dim, width), checked(temperature)
        self.register_buffer("p", None)
        self.register_buffer("codes", None)

    def ask(self, teacher: nn.Module, batch: Batch) -> None:
        """Keep the teacher's codes [M, width] and its assignment [V, M]. teacher.encoder: a `Tokenised`."""
        encoder = teacher.encoder
        self.codes = encoder.codes.codes.clone()  # type: ignore[union-attr, operator]
        states: Tensor = encoder.tokens(batch)  # type: ignore[union-attr, operator]
        self.p = self._logits(states).softmax(1)

    def forward(self, states: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """states [V, d], logits [V, K] of the student -> scalar, in nats."""
        return F.kl_div(self._logits(self.map(states)).log_softmax(1), answered(self.p), reduction="batchmean")

    def _logits(self, states: Tensor) -> Tensor:
        codes = answered(self.codes)
        squares = states.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * states @ codes.T
        # As products, since the gradient of torch.cdist forms every difference; a root has no slope at 0.
        return -squares.clamp_min(1e-12).sqrt() / self.temperature
