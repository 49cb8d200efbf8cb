"""Mixing: tokens that stand for the pieces of a graph tell each other what they know, whatever their distance.

    mixer    x += W_2 gelu(W_1 norm(x)) over tokens,                      x += W_4 gelu(W_3 norm(x)) over channels
    vit      x += A(norm(x)) V norm(x),                                   the same over channels
    A        softmax(a) * N  |  softmax(a + w N)  |  softmax(a) * walk kernel of N  |  softmax(a),    a = Q K^T / sqrt(d)

N [P, P] says how near two tokens are, its rows of sum 1. Tokens that are not there get and give nothing. References:
Tolstikhin et al. 2021, arXiv:2105.01601; Dosovitskiy et al. 2021, arXiv:2010.11929; on graphs He et al. 2023,
arXiv:2212.13350.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError, unknown

ATTENTIONS = ("times", "added", "kernel", "plain")
KERNEL = 4
"""Steps of the lazy walk whose chances are the kernel."""


class Mixer(nn.Module):
    """One layer; the hidden widths are those of the graph mixer's public code, four times the channels for tokens and half
    of them for channels."""

    # MLP-Mixer has them the other way round. A patch has no place of its own among the others, so the map over tokens must
    # find sums that do not ask for places, and with wide layers it does in a third of the steps.

    def __init__(self, dim: int, tokens: int, dropout: float = 0.0):
        super().__init__()
        self.before = nn.LayerNorm(dim)
        self.tokens = _perceptron(tokens, 4 * dim, dropout)
        self.channels = Channels(dim, dropout, max(dim // 2, 1))

    def forward(self, x: Tensor, there: Tensor, near: Tensor) -> Tensor:
        """x [n, P, d], there bool [n, P], near [n, P, P] -> [n, P, d]."""
        mixed: Tensor = self.tokens((self.before(x) * there[:, :, None]).transpose(1, 2)).transpose(1, 2)
        return self.channels((x + mixed) * there[:, :, None], there)


class Attending(nn.Module):
    """One layer of a transformer whose attention knows who is near."""

    def __init__(self, dim: int, heads: int = 8, attention: str = "times", dropout: float = 0.0):
        super().__init__()
        if attention not in ATTENTIONS:
            raise unknown("attention", attention, ATTENTIONS)
        if dim % heads:
            raise SemblanceError(f"{dim} channels do not divide into {heads} heads: give a multiple")
        self.heads, self.attention = heads, attention
        self.before = nn.LayerNorm(dim)
        self.ask, self.answer = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.ones(heads)) if attention == "added" else None
        self.dropout, self.channels = nn.Dropout(dropout), Channels(dim, dropout)

    def forward(self, x: Tensor, there: Tensor, near: Tensor) -> Tensor:
        """x [n, P, d], there bool [n, P], near [n, P, P] -> [n, P, d]."""
        n, size, dim = x.shape
        query, key, value = (
            self.ask(self.before(x)).view(n, size, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        )
        score = query @ key.transpose(2, 3) / (dim // self.heads) ** 0.5  # [n, heads, P, P]
        if self.weight is not None:
            score = score + self.weight[:, None, None] * near[:, None]
        # finfo.min rather than -inf: a graph without any token would be nan.
        chance = score.masked_fill(~there[:, None, None], torch.finfo(x.dtype).min).softmax(3)
        if self.attention in ("times", "kernel"):
            chance = chance * (near if self.attention == "times" else kernel(near))[:, None]
        mixed = self.answer((chance @ value).transpose(1, 2).reshape(n, size, dim))
        return self.channels((x + self.dropout(mixed)) * there[:, :, None], there)


class Channels(nn.Module):
    """The half of a layer that every token does by itself."""

    def __init__(self, dim: int, dropout: float = 0.0, hidden: int | None = None):
        super().__init__()
        self.before, self.map = nn.LayerNorm(dim), _perceptron(dim, hidden or 4 * dim, dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """x [n, P, d], there bool [n, P] -> [n, P, d]."""
        out: Tensor = (x + self.map(self.before(x))) * there[:, :, None]
        return out


def kernel(near: Tensor) -> Tensor:
    """[n, P, P] -> the chances of KERNEL steps of the walk that stays with one half."""
    lazy = (near + torch.eye(near.shape[1], dtype=near.dtype)) / 2
    return torch.linalg.matrix_power(lazy, KERNEL)


def returns(near: Tensor, steps: int) -> Tensor:
    """[n, P, P] of rows with sum 1 or 0 -> [n, P, steps]: how likely a walk is back after 1 .. steps steps."""
    power, found = near, []
    for k in range(steps):
        power = power @ near if k else power
        found.append(power.diagonal(dim1=1, dim2=2))
    return torch.stack(found, 2)


def _perceptron(width: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
    )
