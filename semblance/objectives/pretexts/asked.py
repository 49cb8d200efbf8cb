"""Asked: a pretext as four parts. Predict from a changed input what is known because it was we who changed it.

    seen, target = pose(x);    answer = head(read(trunk, seen));    loss = score(answer, target)

    pose    x [N, C, H, W] -> what the trunk sees, [M, C, h, w] or P parts of each, [M, P, C, h, w], and the target
    read    the trunk's embedding of each part, or its last map
    head    all parts of an item together -> an answer (late fusion: parts meet behind the trunk only)
    score   answer, target -> scalar, metrics

A published task is a choice of the four (table.py). Rotations stand in objectives/pretext.py, montages in montage.py, what
compares pictures with each other in bank.py and triplets.py. The menu is that of Jing & Tian 2020, arXiv:1902.06162."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError, unknown

READS = ("embedding", "map")
Score = Callable[[Tensor, Tensor], tuple[Tensor, Metrics]]


class Posed(NamedTuple):
    """What the trunk sees, and what is to be told from it."""

    seen: Tensor
    target: Tensor


class Trunk(NamedTuple):
    """What heads need to know of an encoder: the width of its embedding and of its last map, and the map's sides for
    pictures of the data's size."""

    dim: int
    width: int
    grid: tuple[int, int]


class Asked(nn.Module):
    """The objective that a pose, a way to read, a head and a score make; the head is dropped after training."""

    needs: frozenset[str] = frozenset()

    def __init__(self, pose: Callable[[Tensor], Posed], head: nn.Module, score: Score, read: str = "embedding"):
        super().__init__()
        if read not in READS:
            raise unknown("reading", read, READS)
        self.pose, self.head, self.score, self.read = pose, head, score, read

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W] -> scalar, {loss, and what the score tells}."""
        seen, target = self.pose(batch["x"])
        loss, told = self.score(self.head(reading(model, seen, self.read)), target)
        return loss, {"loss": float(loss.detach()), **told}


def reading(model: Encoder, seen: Tensor, how: str = "embedding") -> Tensor:
    """[M, C, h, w] or [M, P, C, h, w] -> embeddings [M(, P), d] or maps [M(, P), C', h', w']."""
    parts = seen.shape[:-3]
    flat = seen.reshape(-1, *seen.shape[-3:]).contiguous(memory_format=torch.channels_last)
    z = model.embed({"x": flat}) if how == "embedding" else last_map(model, flat)
    return (z.float() if z.dtype == torch.bfloat16 else z).unflatten(0, parts)


def last_map(model: Encoder, x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C', h, w]: the last of a net's maps, or a transformer's tokens in their places."""
    encoder: Any = getattr(model, "encoder", model)
    found = encoder({"x": x})
    if isinstance(found, list):
        maps: Tensor = found[-1]
        return maps
    tokens = found[0]
    rows = x.shape[2] * round(math.sqrt(tokens.shape[1] * x.shape[3] / x.shape[2])) // x.shape[3]
    placed: Tensor = tokens.transpose(1, 2).unflatten(2, (rows, -1))
    return placed


def trunk_of(encoder: nn.Module, item: tuple[int, ...]) -> Trunk:
    """What is known of an encoder (on any device) for pictures of this shape; nothing is computed."""
    made: Any = encoder
    maps = last_map(made, next(encoder.parameters()).new_zeros(2, *item))
    return Trunk(int(made.dim), maps.shape[1], (maps.shape[2], maps.shape[3]))


class Together(nn.Module):
    """Maps of all parts side by side, each as `side` by `side` means, [M, P, C, h, w] -> [M, answers], through `hidden`
    units. Where something lies in a part is kept as far as that: its mean alone would know little of orders and moves."""

    def __init__(self, width: int, parts: int, answers: int, hidden: int = 128, side: int = 2):
        super().__init__()
        self.side = side
        inner = width * parts * side * side
        # Maps are positive: without their mean taken off, the first steps would all go one way.
        self.layers = nn.Sequential(
            nn.LayerNorm(inner), nn.Linear(inner, hidden), nn.ReLU(), nn.Linear(hidden, answers)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """-> [M, answers]."""
        out: Tensor = self.layers(F.adaptive_avg_pool2d(beside(maps), self.side).flatten(1))
        return out


class PerPlace(nn.Module):
    """One linear answer for each place of the map: [M, C, h, w], or parts side by side -> [M, answers, h, w]."""

    def __init__(self, width: int, answers: int):
        super().__init__()
        self.layer = nn.Conv2d(width, answers, 1)

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.layer(beside(maps))
        return out


class ToPixels(nn.Module):
    """A small decoder: every place of the map paints its own square, [M, C, h, w] or parts -> [M, channels, H, W]."""

    def __init__(self, width: int, channels: int, grid: tuple[int, int], size: tuple[int, int], hidden: int = 64):
        super().__init__()
        self.size, scale = size, max(-(-big // small) for big, small in zip(size, grid, strict=True))
        self.layers = nn.Sequential(
            nn.Conv2d(width, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels * scale * scale, 1),
            nn.PixelShuffle(scale),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Cut to the picture's size where squares run over its edge."""
        out: Tensor = self.layers(beside(maps))
        return out[..., : self.size[0], : self.size[1]]


def beside(maps: Tensor) -> Tensor:
    """Maps of parts [M, P, C, h, w] -> [M, P C, h, w]; others as they are."""
    return maps.flatten(1, 2) if maps.ndim == 5 else maps


def which(answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
    """Logits [M, K] or [M, K, ...], target [M] or [M, ...] int64 -> cross-entropy."""
    right = (answer.argmax(1) == target).float().mean()
    return F.cross_entropy(answer.float(), target), {"accuracy": float(right)}


class Several:
    """Several questions of one picture, answered side by side: logits [M, sum of factors], target [M, T]."""

    def __init__(self, factors: tuple[int, ...]):
        self.factors = factors

    def __call__(self, answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
        """The sum of their cross-entropies; accuracy is the mean of theirs."""
        logits = answer.float().split(self.factors, dim=1)
        loss = torch.stack([F.cross_entropy(each, target[:, t]) for t, each in enumerate(logits)]).sum()
        right = [(each.argmax(1) == target[:, t]).float().mean() for t, each in enumerate(logits)]
        return loss, {"accuracy": float(torch.stack(right).mean())}


def yes_or_no(answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
    """Logits and target 0..1 of one shape, or logits [M, 1, ...] and target [M, ...] -> logistic loss."""
    answer = answer.float().reshape(target.shape)
    right = ((answer > 0) == (target > 0.5)).float().mean()
    return F.binary_cross_entropy_with_logits(answer, target), {"accuracy": float(right)}


def how_far(answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
    """Mean squared difference of numbers of one shape; `target` nan: not asked."""
    asked = ~target.isnan()
    if not bool(asked.any()):
        raise SemblanceError("nothing is asked: every target is nan")
    return (answer.float() - target.nan_to_num()).square()[asked].mean(), {}


def towards(answer: Tensor, target: Tensor) -> tuple[Tensor, Metrics]:
    """1 - cosine of directions [M, 3, ...], meaned over places."""
    return (1 - F.cosine_similarity(answer.float(), target, dim=1)).mean(), {}
