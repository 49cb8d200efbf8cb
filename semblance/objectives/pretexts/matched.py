"""Matched: a picture and something of another kind, of the same moment or of two. Do they go together?

    loss = logistic(h(z, s, z s), 1) for s of the picture itself, and 0 for s of the next picture of the batch

z is what the trunk's map says of the picture, s that of the other by a small network of its own, dropped after training.

    sound    a picture and how it sounds (data/sounds.py)      Arandjelovic & Zisserman 2017, arXiv:1705.08168
    flow     a frame and how its pixels go (data/pasted.py)    Sayed et al. 2018, arXiv:1807.00230
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.pasted import pasted
from semblance.data.sounds import sounds, spectrogram
from semblance.errors import SemblanceError
from semblance.objectives.pretexts.asked import reading, yes_or_no

Pairs = Callable[[Tensor], tuple[Tensor, Tensor]]


def sound(x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C, H, W] -> pictures, their spectrograms [N, 1, F, T]."""
    return x, spectrogram(sounds(x))


def flow(x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C, H, W] -> frames on which a blob lies, the pixels' steps [N, 2, H, W] in eighths of a side."""
    found = pasted(x)
    return found.first, found.moved[:, None] * (found.step.to(x) * 8 / x.shape[3])[:, :, None, None]


class Aside(nn.Module):
    """A small network for what stands beside the picture: [N, channels, F, T] -> [N, dim]."""

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * 16, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Matched(nn.Module):
    """`channels` are those of what stands beside the picture, `width` the trunk's map's."""

    needs: frozenset[str] = frozenset()

    def __init__(self, pairs: Pairs, channels: int, width: int, hidden: int = 128):
        super().__init__()
        self.pairs, self.aside = pairs, Aside(channels, hidden)
        self.project = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LayerNorm(width * 16), nn.Linear(width * 16, hidden)
        )
        self.judge = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W], N of 2 or more -> scalar, {loss, accuracy}."""
        if len(batch["x"]) < 2:
            raise SemblanceError(
                "a picture alone has no other one's companion to be told from: draw batches of 2 or more"
            )
        seen, other = self.pairs(batch["x"])
        z, s = self.project(reading(model, seen, "map")), self.aside(other)
        both = torch.cat([torch.cat([z, each, z * each], 1) for each in (s, s.roll(1, 0))])
        target = torch.cat([torch.ones(len(z)), torch.zeros(len(z))]).to(both)
        loss, told = yes_or_no(self.judge(both), target)
        return loss, {"loss": float(loss.detach()), **told}
