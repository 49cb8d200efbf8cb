"""Triplets: an anchor x is to be nearer to x+ than to x-, and only by how much that holds does a loss see it.

    loss = mean over triples of gap(a, b),    a = distance(f(x), f(x+)),  b = distance(f(x), f(x-))

    ratio      2 d+^2, d+ = e^a / (e^a + e^b)       Hoffer & Ailon 2014, arXiv:1412.6622: Euclidean distance, no margin
    hinge      max(0, margin + a - b)               Schroff et al. 2015, arXiv:1503.03832: squared or cosine distance
    logistic   log(1 + exp(a - b))                  the hinge, softened

`ratio` is |(d+, d- - 1)|^2 in the paper's words, since d- - 1 = -d+. With s = 1/(1 + e^(b - a)) = d+ its gradient is
d/da = 4 s^2 (1 - s) = -d/db: largest at s = 2/3, and gone both for triples in order and for hopeless ones.

`Siamese` is the baseline on pairs: y a^2 + (1 - y) max(0, margin - a)^2 (Hadsell et al. 2006), y = 1 for equal labels.
Which triples are worth looking at is the sampler's business (`data.samplers.Triples`, uniform over items), or the batch is
any list of items and triples are mined among their embeddings (`data.mining.Mining`: semi-hard, hardest, all, random).
Without labels x+ is another view of the same item and x- another item (`from_views`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.data.mining import Mining
from semblance.errors import SemblanceError, unknown

Distance = Callable[[Tensor, Tensor], Tensor]
Gap = Callable[[Tensor, Tensor], Tensor]


def euclidean(z1: Tensor, z2: Tensor) -> Tensor:
    """[..., d], [..., d] -> [...]; where both are equal the gradient is 0."""
    return torch.linalg.vector_norm(z1 - z2, dim=-1)


def squared(z1: Tensor, z2: Tensor) -> Tensor:
    """[..., d], [..., d] -> [...], |z1 - z2|^2."""
    return (z1 - z2).square().sum(-1)


def cosine(z1: Tensor, z2: Tensor) -> Tensor:
    """[..., d], [..., d] -> [...], 1 - cos."""
    return 1 - F.cosine_similarity(z1, z2, dim=-1)


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """[N], [N] -> [N] in (0, 2): twice the squared share of a in a softmax over both."""
    return 2 * torch.sigmoid(a - b).square()


def ratio_gradient(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of `ratio` by a and by b, in closed form."""
    s = torch.sigmoid(a - b)
    by_a = 4 * s.square() * (1 - s)
    return by_a, -by_a


def hinge(a: Tensor, b: Tensor, margin: float = 0.2) -> Tensor:
    """[N], [N] -> [N]: what b lacks to exceed a by the margin."""
    return (margin + a - b).relu()


def logistic(a: Tensor, b: Tensor) -> Tensor:
    """[N], [N] -> [N]."""
    return F.softplus(a - b)


DISTANCES: dict[str, Distance] = {"euclidean": euclidean, "squared": squared, "cosine": cosine}


def gap_named(name: str, margin: float = 0.2) -> Gap:
    """ratio, hinge (with this margin) or logistic."""
    gaps: dict[str, Gap] = {"ratio": ratio, "hinge": partial(hinge, margin=margin), "logistic": logistic}
    if name not in gaps:
        raise unknown("gap", name, gaps)
    return gaps[name]


def distance_named(name: str) -> Distance:
    """euclidean, squared or cosine."""
    if name not in DISTANCES:
        raise unknown("distance", name, DISTANCES)
    return DISTANCES[name]


class Triplets(nn.Module):
    """A loss of triples: thirds of the batch (anchors | positives | negatives), or two views of every item; or, with
    `mining`, the triples it finds among all embeddings of the batch, for which all their distances are held: N^2 d numbers.

    `tail` is what trains on top of the embedding and is dropped with the objective, such as dropout.
    """

    def __init__(
        self,
        gap: Gap = ratio,
        distance: Distance = euclidean,
        *,
        tail: nn.Module | None = None,
        from_views: bool = False,
        mining: Mining | None = None,
    ):
        super().__init__()
        self.gap, self.distance, self.from_views, self.mining = gap, distance, from_views, mining
        self.tail = nn.Identity() if tail is None else tail
        self.needs = frozenset({"views"} if from_views else {"labels"})

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, ordered: share of triples with a < b}; with mining also the number of triples. Where it
        finds none, all are apart by the margin and the loss is 0."""
        a, b = self._drawn(model, batch) if self.mining is None else self._mined(self.mining, model, batch)
        gaps = self.gap(a, b)
        loss = gaps.mean() if len(gaps) else gaps.sum()
        metrics = {"loss": float(loss.detach()), "ordered": float((a < b).float().mean()) if len(gaps) else 1.0}
        return loss, metrics if self.mining is None else {**metrics, "triples": float(len(gaps))}

    def _drawn(self, model: Encoder, batch: Batch) -> tuple[Tensor, Tensor]:
        """The triples that the sampler put together."""
        z, positive, negative = self._triples(model, batch)
        return self.distance(z, positive), self.distance(z, negative)

    def _mined(self, mining: Mining, model: Encoder, batch: Batch) -> tuple[Tensor, Tensor]:
        """The triples found among all items, or among all views, those of one item being alike."""
        if self.from_views:
            z = torch.cat([_embedded(model, self.tail, view) for view in batch["views"]])
            labels = torch.arange(len(z) // len(batch["views"]), device=z.device).repeat(len(batch["views"]))
        else:
            z, labels = _embedded(model, self.tail, batch), batch["labels"]
        distances = self.distance(z[:, None], z)  # [N, N]
        anchor, positive, negative = mining(distances, labels)
        return distances[anchor, positive], distances[anchor, negative]

    def _triples(self, model: Encoder, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        if not self.from_views:
            z = _embedded(model, self.tail, batch)
            if len(z) % 3:
                raise SemblanceError(f"a batch of {len(z)} is no list of triples: sample with Triples(batch=...)")
            anchor, positive, negative = z.chunk(3)
            return anchor, positive, negative
        if len(batch["views"]) < 2 or len(batch["views"][0]["x"]) < 2:
            raise SemblanceError("triples without labels need two views of two items: draw more")
        anchor, positive = (_embedded(model, self.tail, view) for view in batch["views"][:2])
        # Batches are shuffled, so the next item is any other item.
        return anchor, positive, positive.roll(1, 0)


class Siamese(nn.Module):
    """The contrastive loss of pairs: halves of the batch (firsts | seconds), equal where their labels are."""

    needs = frozenset({"labels"})

    def __init__(self, margin: float = 1.0, distance: Distance = euclidean, *, tail: nn.Module | None = None):
        super().__init__()
        if margin <= 0:
            raise SemblanceError(
                f"margin is {margin}, but unequal pairs are pushed apart up to it: give a positive one"
            )
        self.margin, self.distance = margin, distance
        self.tail = nn.Identity() if tail is None else tail

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, equal: mean distance of equal pairs, unequal: of the others}."""
        if len(batch["labels"]) % 2:
            raise SemblanceError(f"a batch of {len(batch['labels'])} is no list of pairs: sample with Pairs(batch=...)")
        first, second = _embedded(model, self.tail, batch).chunk(2)
        same = torch.eq(*batch["labels"].chunk(2))
        a = self.distance(first, second)
        loss = torch.where(same, a.square(), (self.margin - a).relu().square()).mean()
        with torch.no_grad():
            mean = [float(a[which].mean()) if bool(which.any()) else 0.0 for which in (same, ~same)]
        return loss, {"loss": float(loss.detach()), "equal": mean[0], "unequal": mean[1]}


def _embedded(model: Encoder, tail: nn.Module, batch: Batch) -> Tensor:
    z: Tensor = tail(model.embed(batch))
    return z.float() if z.dtype == torch.bfloat16 else z
