"""Words: which visual words a picture holds is to be told from small parts of it.

    bag_k = max over cells u of softmax_k(-|t_u - v_k|^2 / delta), brought to sum 1
    loss  = mean over levels, summed over sizes of crops, of CE(bag, softmax(kappa z . G(V)))

t is a slow copy's map of the whole picture, z the network's embedding of a crop, V the vocabulary [K, d]: a queue, which
one local mean (3 by 3 cells) of every picture enters while the oldest leave. Since words come and go, the classifier's
weights are made of them, by a small perceptron G with outputs of length 1, one word at a time: who permutes the words
permutes the answer. What varies:

    delta      a share of the running mean of the smallest squared distance; 0: each cell is its nearest word
    levels     from which of the network's last maps words come, each with a vocabulary of its own
    live       whether words come and go, or stay those that were drawn
    rare       bags are weighted by how rarely a word occurs (inverse document frequency)
    lengths    whether the length of z counts, as published, or its direction only

OBoW: Gidaris et al. 2021, arXiv:2012.11552. Weights made of words: Gidaris & Komodakis 2018, arXiv:1804.09458.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import Copied, precise, spread_of
from semblance.objectives.teachers import risen

DECAY = 0.99  # of running means
EDGE = 5  # cells on a side from which on border cells, which see padding, are left out


class Vocabulary(nn.Module):
    """A queue of `words` local features [K, d], and the bags of them that maps hold."""

    words: Tensor
    oldest: Tensor  # where the next words go
    near: Tensor  # running mean of a cell's squared distance to its nearest word
    common: Tensor  # [K], how often a word occurs in a picture

    def __init__(self, words: int, dim: int, delta: float = 0.1, *, live: bool = True, rare: bool = False):
        super().__init__()
        if words < 2 or delta < 0:
            raise SemblanceError(f"words is {words} and delta {delta}: give 2 words or more, and a width of 0 or more")
        self.delta, self.live, self.rare = delta, live, rare
        self.register_buffer("words", torch.randn(words, dim).relu())
        self.register_buffer("oldest", torch.tensor(0))
        self.register_buffer("near", torch.tensor(0.5))
        self.register_buffer("common", torch.full((words,), 1 / words))

    def codes(self, cells: Tensor) -> Tensor:
        """Local features [N, U, d] -> how much each is each word [N, U, K]; rows sum to 1."""
        # |t|^2 is the same for all words and left out until the distance itself is asked for.
        apart = self.words.square().sum(1) - 2 * cells @ self.words.T
        if self.training:
            nearest = apart.amin(2) + cells.square().sum(2)
            self.near.lerp_(nearest.mean().to(self.near), 1 - DECAY)
        if self.delta == 0:
            return F.one_hot(apart.argmin(2), len(self.words)).to(cells)
        return (-apart / (self.delta * self.near.clamp_min(1e-12))).softmax(2)

    @torch.no_grad()
    def bags(self, maps: Tensor) -> Tensor:
        """[N, d, H, W] -> [N, K], not negative, rows sum to 1."""
        occurs = self.codes(within(maps).flatten(2).transpose(1, 2)).amax(1)
        if self.rare:
            if self.training:
                self.common.lerp_(occurs.mean(0), 1 - DECAY)
            occurs = occurs * -self.common.clamp(1e-6, 1 - 1e-6).log()
        return occurs / occurs.sum(1, keepdim=True).clamp_min(1e-12)

    @torch.no_grad()
    def take(self, maps: Tensor) -> None:
        """[N, d, H, W]: one local mean of each picture takes the place of the oldest words."""
        if not self.live:
            return
        inside = within(maps)
        size = [min(3, side) for side in inside.shape[2:]]
        local = F.avg_pool2d(inside, size, stride=1).flatten(2)  # [N, d, places]
        place = torch.randint(local.shape[2], (len(local),)).to(local.device)
        fresh = local[torch.arange(len(local), device=local.device), :, place][: len(self.words)]
        at = (int(self.oldest) + torch.arange(len(fresh), device=local.device)) % len(self.words)
        self.words[at] = fresh.to(self.words)
        self.common[at] = self.common.mean()
        self.oldest.fill_((int(self.oldest) + len(fresh)) % len(self.words))


def within(maps: Tensor) -> Tensor:
    """[N, d, H, W] without its border cells, where what is left still has 3 by 3."""
    return maps[:, :, 1:-1, 1:-1] if min(maps.shape[2:]) >= EDGE else maps


class Generated(nn.Module):
    """Words [K, d] -> the classifier's weights [K, dim], each of length 1."""

    def __init__(self, words: int, dim: int):
        super().__init__()
        hidden = 2 * dim
        self.layers = nn.Sequential(
            nn.Linear(words, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dim)
        )

    def forward(self, words: Tensor) -> Tensor:
        """[K, d] -> [K, dim]."""
        return F.normalize(self.layers(F.normalize(words, dim=1)), dim=1)


class BagsOfWords(nn.Module):
    """The first view is the whole picture, which the slow copy describes; the others ask. Copy, words and weights are
    dropped after training."""

    needs = frozenset({"views"})

    def __init__(
        self,
        teacher: Copied,
        vocabularies: Sequence[Vocabulary],
        dim: int,
        *,
        kappa: float = 8.0,
        lengths: bool = False,
    ):
        super().__init__()
        if kappa <= 0 or not vocabularies:
            raise SemblanceError(f"kappa is {kappa} and there are {len(vocabularies)} vocabularies: give more than 0")
        self.teacher, self.vocabularies = teacher, nn.ModuleList(vocabularies)
        self.generated = nn.ModuleList([Generated(held.words.shape[1], dim) for held in vocabularies])
        self.kappa, self.lengths, self._first = kappa, lengths, teacher.momentum
        self._maps: list[Tensor] = []

    def advance(self, progress: float) -> None:
        """The copy follows the more slowly the further the run is."""
        self.teacher.momentum = risen(self._first, progress)

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: the whole pictures and V crops of them -> scalar, {loss, perplexity: words in use, std, rank}."""
        whole, *crops = [view["x"] for view in batch["views"]]
        if not crops:
            raise SemblanceError("each item has 1 view, and crops of it are asked about it: draw 2 or more")
        if int(self.teacher.steps) < 0:
            self.teacher(self._online(model), [], {"views": []})
        self._maps = self.maps(whole)
        bags = [held.bags(seen) for held, seen in self._levels(self._maps)]
        weights = self.weights()
        losses, first = [], None
        # Crops of one size pass together, as in the authors' program: batch norm sees them all.
        for size in dict.fromkeys(crop.shape[2:] for crop in crops):
            alike = [crop for crop in crops if crop.shape[2:] == size]
            z = precise(model.embed({"x": torch.cat(alike)}))
            first = z[: len(whole)].detach() if first is None else first
            told = self.told(z, weights)
            losses.append(
                torch.stack([cross_entropy(t, bag.repeat(len(alike), 1)) for t, bag in zip(told, bags, strict=True)])
            )
        loss = torch.stack(losses).mean(1).sum()
        assert first is not None
        used = {"perplexity": perplexity(bags[-1])}
        return loss, {"loss": float(loss.detach()), **used, **spread_of(first)}

    def weights(self) -> list[Tensor]:
        """Of each level, [K, dim]."""
        return [make(held.words) for make, held in zip(self.generated, self.vocabularies, strict=True)]

    def told(self, z: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings [N, dim] -> logits of the words of each level, [N, K]."""
        z = z if self.lengths else F.normalize(z, dim=1)
        return [self.kappa * z @ weight.T for weight in weights]

    @torch.no_grad()
    def maps(self, x: Tensor) -> list[Tensor]:
        """Pictures -> the copy's last maps, one for each vocabulary."""
        seen: Sequence[Tensor] = self.teacher.encoder({"x": x})
        return [precise(level) for level in seen[-len(self.vocabularies) :]]

    def bags(self, x: Tensor) -> list[Tensor]:
        """Pictures -> the bags of each level, [N, K]."""
        return [held.bags(seen) for held, seen in self._levels(self.maps(x))]

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """The copy follows; new words come."""
        self.teacher.after_step(self._online(model), [], batch)
        for held, seen in self._levels(self._maps):
            held.take(seen)
        self._maps = []

    def _levels(self, maps: Sequence[Tensor]) -> list[tuple[Any, Tensor]]:
        return list(zip(self.vocabularies, maps, strict=True))

    def _online(self, model: Encoder) -> nn.ModuleList:
        encoder: Any = getattr(model, "encoder", model)
        return nn.ModuleList([encoder, nn.Identity()])


def cross_entropy(logits: Tensor, bags: Tensor) -> Tensor:
    """[N, K], [N, K] -> scalar in nats."""
    return -(bags * logits.log_softmax(1)).sum(1).mean()


def perplexity(bags: Tensor) -> float:
    """[N, K] -> the number of words, used equally often, that would be as hard to guess as those of these bags."""
    share = bags.mean(0)
    return float(torch.special.entr(share).sum().exp())


def widths_of(encoder: Any, item: tuple[int, ...], levels: int) -> list[int]:
    """Channels of the last maps of an encoder for pictures of this shape."""
    with torch.no_grad():
        seen = encoder.to("meta")({"x": torch.empty(2, *item, device="meta")})
    if not isinstance(seen, list | tuple) or len(seen) < levels or any(level.ndim != 4 for level in seen[-levels:]):
        raise SemblanceError(f"words are local features, but this encoder has not {levels} maps: take a stage net")
    return [level.shape[1] for level in seen[-levels:]]
