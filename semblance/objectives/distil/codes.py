"""Soft codes: how near a node is to every entry of the teacher's codebook, which holds kinds of neighbourhoods.

    r_v = softmax over codes c of -|h_v - c| / temperature                  h of the teacher: its states before the codebook
    loss = mean over v of KL( r_v of the teacher || r_v of the student )     h of the student: a linear map of its states

The map trains along and is dropped. The codebook is `encoders/graphs/codes.py`. Reference: Yang et al. 2024,
arXiv:2308.02117.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.objectives.distil.structure import answered, checked


class SoftCodes(nn.Module):
    """dim: width of the student's states; width: that of the codes."""

    p: Tensor | None
    least: Tensor | None
    codes: Tensor | None

    def __init__(self, dim: int, width: int, temperature: float = 4.0):
        super().__init__()
        self.map, self.temperature = nn.Linear(dim, width), checked(temperature)
        self.register_buffer("p", None)
        self.register_buffer("least", None)
        self.register_buffer("codes", None)

    def ask(self, teacher: nn.Module, batch: Batch) -> None:
        """Keep the teacher's codes [M, width] and its assignment [V, M]. teacher.encoder: a `Tokenised`."""
        encoder = teacher.encoder
        self.codes = encoder.codes.codes.clone()  # type: ignore[union-attr, operator]
        states: Tensor = encoder.tokens(batch)  # type: ignore[union-attr, operator]
        self.p = self._logits(states).softmax(1)
        self.least = torch.xlogy(self.p, self.p).sum() / len(self.p)  # kept, as it costs more than the rest of a step

    def forward(self, states: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """states [V, d], logits [V, K] of the student -> scalar, in nats."""
        p, least = answered(self.p), answered(self.least)
        return least - (p * self._logits(self.map(states)).log_softmax(1)).sum() / len(p)

    def _logits(self, states: Tensor) -> Tensor:
        codes = answered(self.codes)
        squares = torch.addmm(codes.square().sum(1), states, codes.T, alpha=-2) + states.square().sum(1, keepdim=True)
        # As products, since the gradient of torch.cdist forms every difference; a root has no slope at 0.
        return -squares.clamp_min(1e-12).sqrt() / self.temperature
