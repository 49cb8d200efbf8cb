"""Neighbours: the labels of the nearest stored items vote, alone or mixed with a classifier.

    p_knn(y | x) = sum over the k nearest j of w_j [y_j = y] / sum of w_j
    p(y | x)     = share * p_knn + (1 - share) * p_classifier

    weights w_j: plain 1; distance max(s_j, 0); softmax exp(s_j / temperature); rank 1 / (2 + r), r from 0 for the nearest;
        or a function of s; each times the item's own weight, where items have one
    training: p_knn of each training item without itself (`leave_one_out`) scales its cross-entropy, by
        multiplicative  1 + a (-log p_knn(y)), the log no lower than -100
        focal           (1 - p_knn(y))^g

`vote` takes the neighbours of any index; here they come from `geometry.nearest`. k, temperature and share are chosen on
held-out items (`held_out`), which neither the encoder nor the classifier was trained on.

References: Jia et al. 2021, arXiv:2112.08459; weights by similarity: Wu et al. 2018, arXiv:1805.01978; by rank: Geirhos
et al. 2024, arXiv:2408.08172.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.geometry.nearest import nearest
from semblance.heads.classify import named

Weigh = Callable[[Tensor], Tensor]  # similarities [Q, k], falling -> weights [Q, k]

VOTES = ("plain", "distance", "softmax", "rank")
LOWEST_LOG = -100.0
TEMPERATURES = (0.01, 0.02, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SHARES = tuple(i / 20 for i in range(21))


def vote(
    labels: np.ndarray | Tensor,
    similarity: np.ndarray | Tensor,
    classes: int,
    weights: str | Weigh = "softmax",
    temperature: float = 0.07,
    class_weights: Tensor | None = None,
    item_weights: np.ndarray | Tensor | None = None,
) -> Tensor:
    """Neighbours' labels [Q, k] (-1: unlabelled, no vote) and similarities [Q, k], nearest first -> p_knn [Q, K].

    Rows sum to 1; where no neighbour is labelled, all classes are equal. `class_weights` [K] and `item_weights` [Q, k]
    multiply the votes.
    """
    y = torch.as_tensor(labels).long()
    if bool((y >= classes).any()):
        raise SemblanceError(f"a neighbour has label {int(y.max())}, but there are {classes} classes: count them again")
    w = votes_of(y, similarity, weights, temperature, item_weights)
    if class_weights is not None:
        w = w * class_weights.to(w)[y.clamp_min(0)]
    p = torch.zeros(len(y), classes).scatter_add_(1, y.clamp_min(0), w)
    total = p.sum(1, keepdim=True)
    return torch.where(total > 0, p / total.clamp_min(torch.finfo(p.dtype).tiny), 1 / classes)


def votes_of(
    labels: np.ndarray | Tensor,
    similarity: np.ndarray | Tensor,
    weights: str | Weigh = "softmax",
    temperature: float = 0.07,
    item_weights: np.ndarray | Tensor | None = None,
) -> Tensor:
    """As `vote` -> what each neighbour's vote weighs [Q, k], 0 for the unlabelled; only ratios within a row count."""
    known = torch.as_tensor(labels) >= 0
    s = torch.as_tensor(similarity).float().masked_fill(~known, -torch.inf)
    w = _weights(s, weights, temperature).masked_fill(~known, 0)
    return w if item_weights is None else w * torch.as_tensor(item_weights).to(w)


def _weights(s: Tensor, weights: str | Weigh, temperature: float) -> Tensor:
    if callable(weights):
        return weights(s)
    if weights == "plain":
        return torch.ones_like(s)
    if weights == "distance":
        return s.clamp_min(0)
    if weights == "rank":
        return (1 / (2 + torch.arange(s.shape[1]))).expand_as(s)
    if weights == "softmax":
        if temperature <= 0:
            raise SemblanceError(f"temperature is {temperature}, but similarities are divided by it: give 0.01 to 1")
        # The largest is taken off first; where all are -inf (nobody labelled) nothing is left to divide.
        return ((s - s.amax(1, keepdim=True).clamp_min(torch.finfo(s.dtype).min)) / temperature).exp()
    raise unknown("vote", weights, VOTES)


def decide(p: Tensor, labels: np.ndarray | Tensor) -> Tensor:
    """p_knn [Q, K] and the neighbours' labels [Q, k], nearest first -> [Q]: of equal classes, the one met first."""
    y = torch.as_tensor(labels).long()
    best = p >= p.amax(1, keepdim=True) * (1 - 1e-6)
    meets = best.gather(1, y.clamp_min(0)) & (y >= 0)
    first = y.gather(1, meets.float().argmax(1, keepdim=True))[:, 0]
    return torch.where(meets.any(1), first, p.argmax(1))


def leave_one_out(
    z: Tensor, labels: Tensor, k: int, temperature: float = 0.07, classes: int | None = None, geometry: str = "cosine"
) -> Tensor:
    """Embeddings [N, d] and labels [N] -> [N, K]: p_knn of each item from the others."""
    found, similarity = nearest(z, z, min(k, len(z) - 1), geometry, leave_out="self")
    classes = int(labels.max()) + 1 if classes is None else classes
    return vote(labels[torch.from_numpy(found)], similarity, classes, temperature=temperature)


def multiplicative(p: Tensor, amount: float = 0.1) -> Tensor:
    """p_knn of the right class [N] -> weight of its cross-entropy [N], at least 1, falling in p; amount 0: all 1."""
    return 1 + amount * -p.log().clamp_min(LOWEST_LOG)


def focal(p: Tensor, power: float = 1.0) -> Tensor:
    """p_knn of the right class [N] -> weight in [0, 1], falling in p; power 0: all 1."""
    return (1 - p).clamp_min(0) ** power


def held_out(labels: np.ndarray | Tensor, share: float) -> np.ndarray:
    """[N] -> [N] bool: every 1/share-th item of each class, in order; a class of one item keeps it."""
    y = np.asarray(labels)
    order = np.argsort(y, kind="stable")
    first = np.r_[True, y[order][1:] != y[order][:-1]]
    within = np.arange(len(y)) - np.maximum.accumulate(np.where(first, np.arange(len(y)), 0))
    out = np.zeros(len(y), bool)
    out[order] = np.floor((within + 1) * share) > np.floor(within * share)
    return out


def first_per_class(labels: np.ndarray | Tensor, items: int) -> np.ndarray:
    """[N] -> positions of the first so many items of each class, in order."""
    y = np.asarray(labels)
    order = np.argsort(y, kind="stable")
    first = np.r_[True, y[order][1:] != y[order][:-1]]
    within = np.arange(len(y)) - np.maximum.accumulate(np.where(first, np.arange(len(y)), 0))
    return np.sort(order[within < items])


class NeighbourMix(nn.Module):
    """A classifier whose answer is mixed with that of the stored items nearest to z.

    Until `solve`, it is the classifier alone (so cross-entropy trains it). `solve` stores the embeddings as buffers and
    chooses k, temperature and share where they are None, by the accuracy on the held-out part and, among equals, by its
    log-likelihood; afterwards all items are stored. `per_class` stores only that many of each class.
    """

    features: Tensor
    labels: Tensor
    chosen: Tensor

    def __init__(
        self,
        classifier: nn.Module,
        classes: int,
        k: int | None = None,
        temperature: float | None = None,
        share: float | None = None,
        validation: float = 0.1,
        per_class: int | None = None,
        names: Sequence[str] = (),
    ):
        super().__init__()
        if share is not None and not 0 <= share <= 1:
            raise SemblanceError(
                f"share is {share}, but it mixes two distributions: give 0 (classifier) to 1 (neighbours)"
            )
        self.classifier, self.classes, self.names = classifier, classes, tuple(names)
        self.k, self.temperature, self.share = k, temperature, share
        self.validation, self.per_class = validation, per_class
        self.register_buffer("features", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self.register_buffer("chosen", torch.zeros(3, dtype=torch.float64))  # k, temperature, share
        self.register_load_state_dict_pre_hook(_room_for_stored)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> log p [N, K]; logits of the classifier while nothing is stored."""
        logits: Tensor = self.classifier(z, batch)
        if not len(self.features):
            return logits
        p = self.mixed(logits.float().softmax(1), self.neighbours(z)[2])
        return p.clamp_min(torch.finfo(p.dtype).tiny).log()

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item."""
        return named(logits.argmax(1).tolist(), self.names)

    def neighbours(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, d] -> positions [N, k] of the stored items nearest to z, their similarities, and p_knn [N, K]."""
        k, temperature = int(self.chosen[0]), float(self.chosen[1])
        found, similarity = nearest(z, self.features, min(k, len(self.features)))
        index = torch.from_numpy(found).to(z.device)
        p = vote(self.labels[index].cpu(), similarity, self.classes, temperature=temperature)
        return index, torch.from_numpy(similarity).to(z.device), p.to(z.device)

    def mixed(self, p_classifier: Tensor, p_neighbours: Tensor) -> Tensor:
        """Two distributions [N, K] -> share of the neighbours' and the rest of the classifier's."""
        share = float(self.chosen[2])
        return share * p_neighbours + (1 - share) * p_classifier

    @torch.no_grad()
    def solve(self, z: Tensor, labels: Tensor) -> dict[str, float]:
        """Embeddings [N, d] and labels [N] of the training items -> what was chosen."""
        out = torch.from_numpy(held_out(labels.cpu(), self.validation))
        keep = (
            torch.arange(len(z))
            if self.per_class is None
            else torch.from_numpy(first_per_class(labels.cpu(), self.per_class))
        )
        fixed = None not in (self.k, self.temperature, self.share)
        if fixed or not bool(out.any()):
            picked = (self.k or 20, self.temperature or 0.07, 0.5 if self.share is None else self.share)
        else:
            stored = keep[~out[keep]]
            p = self.classifier(z[out], {}).float().softmax(1)
            picked = self._choose(z[stored], labels[stored], z[out], labels[out], p)
        return self.store(z[keep], labels[keep], *picked)

    @torch.no_grad()
    def choose(self, z: Tensor, labels: Tensor, z_held: Tensor, labels_held: Tensor) -> dict[str, float]:
        """The same with held-out items given: stores z alone."""
        p = self.classifier(z_held, {}).float().softmax(1)
        return self.store(z, labels, *self._choose(z, labels, z_held, labels_held, p))

    def store(self, z: Tensor, labels: Tensor, k: int, temperature: float, share: float) -> dict[str, float]:
        """Keep these items [N, d], [N] and settings."""
        self.features, self.labels = z.detach().clone(), labels.detach().clone()
        self.chosen.copy_(torch.tensor([k, temperature, share], dtype=torch.float64))
        return {"k": float(k), "temperature": float(temperature), "share": float(share)}

    def _choose(
        self, z: Tensor, labels: Tensor, held: Tensor, y: Tensor, p_classifier: Tensor
    ) -> tuple[int, float, float]:
        counts = [k for k in (COUNTS if self.k is None else (self.k,)) if k <= len(z)] or [len(z)]
        found, similarity = nearest(held, z, max(counts))
        near = labels[torch.from_numpy(found)]
        best: tuple[float, float] = (-1.0, 0.0)
        picked = (counts[0], 0.07, 0.5)
        for k in counts:
            for temperature in TEMPERATURES if self.temperature is None else (self.temperature,):
                p_knn = vote(near[:, :k], similarity[:, :k], self.classes, temperature=temperature)
                for share in SHARES if self.share is None else (self.share,):
                    p = share * p_knn + (1 - share) * p_classifier
                    right = p[torch.arange(len(y)), y]
                    score = (float((p.argmax(1) == y).float().mean()), float(right.clamp_min(1e-12).log().mean()))
                    if score > best:
                        best, picked = score, (k, temperature, share)
        return picked

    @torch.no_grad()
    def changed(self, z: Tensor) -> dict[str, np.ndarray]:
        """Which of the items [N, d] the neighbours answered otherwise than the classifier would, and which did it:
        `item` [M], `before` and `after` [M], `neighbours` [M, k] (stored positions), `support` [M, k]: each one's share
        of the vote for `after`."""
        alone = self.classifier(z, {}).float().softmax(1)
        index, similarity, p_knn = self.neighbours(z)
        before, after = alone.argmax(1), self.mixed(alone, p_knn).argmax(1)
        item = (before != after).nonzero()[:, 0]
        w = _weights(similarity[item], "softmax", float(self.chosen[1]))
        support = w / w.sum(1, keepdim=True) * (self.labels[index[item]] == after[item, None])
        named_parts = {"item": item, "before": before[item], "after": after[item], "neighbours": index[item]}
        return {name: part.numpy() for name, part in {**named_parts, "support": support}.items()}


def _room_for_stored(module: NeighbourMix, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Stored items are as many as were stored: buffers take the shape of what is loaded."""
    for name in ("features", "labels"):
        if prefix + name in state:
            setattr(module, name, torch.empty_like(state[prefix + name]))
