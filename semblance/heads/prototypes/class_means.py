"""Class means: a class is the mean of its embedded support items, and the nearest mean answers.

    p(k | x) = softmax over k of -distance(z, c_k),    c_k = mean of the support embeddings of k

distances (or a function of queries [Q, d] and points [P, d] -> [Q, P]):
    euclidean     |z - c|^2. A Bregman divergence, for which the mean is the representative of least total distance, and
                  the logits are those of the linear classifier 2 c_k.z - |c_k|^2
    cosine        -scale cos(z, c)
    mahalanobis   (z - c)' S^-1 (z - c), S the support's covariance within classes, shrunk towards its mean variance
    hyperbolic    d(z, c)^2 in the Poincare ball of curvature -1, hyperbolic(0.05) of -0.05; z are points of the ball, and
                  the mean is the Einstein midpoint (geometry/ball.py). Near 0 it is four times the Euclidean one
read-outs: `prototypes` as above; `matching`: support items vote, log p(k | x) = log sum over k's items of
    softmax(-distance(z, item)). With one shot the two are the same.

A class is added by giving its items, with no training. Where classes are described instead of shown,
c_k = g(a_k) / |g(a_k)| with linear g of the attribute vector a_k (`Described`), queries left as they are.

References: Snell et al. 2017, arXiv:1703.05175; Vinyals et al. 2016, arXiv:1606.04080 (matching networks); Khrulkov et al.
2020, arXiv:1904.02239 (hyperbolic).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.geometry import ball
from semblance.geometry.spaces import PoincareBall, space_named
from semblance.heads.classify import named

Distance = Callable[[Tensor, Tensor], Tensor]
READS = ("prototypes", "matching")
SHRINK = 0.1  # of the covariance towards the mean variance


def squared_euclidean(queries: Tensor, points: Tensor) -> Tensor:
    """[Q, d], [P, d] -> [Q, P], |q|^2 - 2 q.p + |p|^2."""
    return (queries**2).sum(1, keepdim=True) - 2 * queries @ points.T + (points**2).sum(1)


def negative_cosine(queries: Tensor, points: Tensor) -> Tensor:
    """[Q, d], [P, d] -> [Q, P], from -1 for the same direction to 1."""
    return -F.normalize(queries, dim=1) @ F.normalize(points, dim=1).T


def _same(z: Tensor) -> Tensor:
    return z


class Measure(NamedTuple):
    """How far queries are from points, and what the middle of several points is: `lower` of the mean of what `lift`
    gives, [N, lifted + d]."""

    apart: Distance
    lift: Callable[[Tensor], Tensor] = _same
    lower: Callable[[Tensor], Tensor] = _same
    lifted: int = 0


DISTANCES: dict[str, Distance] = {"euclidean": squared_euclidean, "cosine": negative_cosine}


def measure_named(distance: str | Distance) -> Measure:
    """The distance of this name with its mean; a function itself has the plain one."""
    if callable(distance):
        return Measure(distance)
    if distance in DISTANCES:
        return Measure(DISTANCES[distance])
    if not distance.startswith("hyperbolic"):
        raise unknown("distance", distance, [*DISTANCES, "mahalanobis", "hyperbolic"])
    space = space_named(distance)
    assert isinstance(space, PoincareBall)
    c = space.curvature

    def apart(queries: Tensor, points: Tensor) -> Tensor:
        return ball.distances(queries, points, c).square()

    return Measure(apart, partial(ball.lift, c=c), partial(ball.lower, c=c), 1)


def class_means(z: Tensor, labels: Tensor, classes: int, distance: str | Distance = "euclidean") -> Tensor:
    """[N, d] and labels [N] in 0..K-1 -> [K, d]; a class without items has a mean of 0."""
    measure = measure_named(distance)
    z = measure.lift(z)
    total = torch.zeros(classes, z.shape[1], dtype=z.dtype, device=z.device).index_add(0, labels, z)
    return measure.lower(total / torch.bincount(labels, minlength=classes).clamp_min(1)[:, None])


def scores(
    queries: Tensor,
    support: Tensor,
    labels: Tensor,
    classes: int,
    distance: str | Distance = "euclidean",
    read: str = "prototypes",
    scale: float = 1.0,
) -> Tensor:
    """Queries [Q, d], support [S, d] with labels [S] in 0..K-1 -> logits [Q, K], -inf for classes without support."""
    if read not in READS:
        raise unknown("read-out", read, READS)
    apart = measure_named(distance).apart
    if read == "prototypes":
        logits = -scale * apart(queries, class_means(support, labels, classes, distance))
        return logits.masked_fill(torch.bincount(labels, minlength=classes) == 0, -torch.inf)
    each = -scale * apart(queries, support)  # [Q, S]
    own = labels == torch.arange(classes, device=labels.device)[:, None]  # [K, S]
    return each[:, None].masked_fill(~own, -torch.inf).logsumexp(2)


class ClassMeans(nn.Module):
    """The head: `solve` takes labelled embeddings, `add` further items and classes, `forward` gives logits [N, K].

    Kept are sums (of lifted points where space is curved) and counts, so that means stay means of all items seen; matching
    keeps the items themselves.
    """

    sums: Tensor
    counts: Tensor
    squares: Tensor
    items: Tensor
    item_labels: Tensor

    def __init__(
        self,
        dim: int,
        classes: int,
        distance: str | Distance = "euclidean",
        read: str = "prototypes",
        scale: float = 1.0,
        names: Sequence[str] = (),
    ):
        super().__init__()
        if read not in READS:
            raise unknown("read-out", read, READS)
        if read == "matching" and distance == "mahalanobis":
            raise SemblanceError("matching by mahalanobis has no class to take a covariance from: use prototypes")
        self.distance, self.read, self.scale, self.names = distance, read, scale, tuple(names)
        # Mahalanobis whitens by what it has seen; its means are plain.
        self._measure = measure_named("euclidean" if distance == "mahalanobis" else distance)
        self.register_buffer("sums", torch.zeros(classes, self._measure.lifted + dim))
        self.register_buffer("counts", torch.zeros(classes))
        self.register_buffer("squares", torch.zeros(dim, dim))  # second moments within classes, for mahalanobis
        self.register_buffer("items", torch.empty(0, dim))
        self.register_buffer("item_labels", torch.empty(0, dtype=torch.long))
        self.register_load_state_dict_pre_hook(_room_for_loaded)

    @property
    def means(self) -> Tensor:
        """[K, d], the prototypes; 0 for classes not seen."""
        return self._measure.lower(self.sums / self.counts.clamp_min(1)[:, None])

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> logits [N, K]; the lowest number for classes without items."""
        if not bool(self.counts.any()):
            raise SemblanceError("this head has no classes yet: give labelled items by solve or add")
        if self.read == "matching":
            logits = scores(z, self.items, self.item_labels, len(self.counts), self.distance, "matching", self.scale)
        elif self.distance == "mahalanobis":
            apart = self._whiten()
            logits = -self.scale * squared_euclidean(z @ apart, self.means @ apart)
        else:
            logits = -self.scale * self._measure.apart(z, self.means)
        return logits.masked_fill(self.counts == 0, torch.finfo(logits.dtype).min)

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the nearest class of each item: its name, or its number where no names are known."""
        return named(logits.argmax(1).tolist(), self.names)

    @torch.no_grad()
    def solve(self, z: Tensor, labels: Tensor) -> dict[str, float]:
        """Embeddings [N, d] and labels [N]: forget everything and take these."""
        self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
        self.squares = torch.zeros_like(self.squares)
        self.items, self.item_labels = self.items[:0], self.item_labels[:0]
        self.add(z, labels)
        return {"classes": float((self.counts > 0).sum())}

    @torch.no_grad()
    def add(self, z: Tensor, labels: Tensor, names: Sequence[str] = ()) -> None:
        """Further items [N, d] with labels [N]; labels beyond the known ones are new classes, called `names`."""
        z = z.to(self.sums)
        lifted = self._measure.lift(z)
        new = max(0, int(labels.max()) + 1 - len(self.counts)) if len(labels) else 0
        if new:
            self.sums = torch.cat([self.sums, self.sums.new_zeros(new, self.sums.shape[1])])
            self.counts = torch.cat([self.counts, self.counts.new_zeros(new)])
            self.names = (*self.names, *names) if self.names else ()
        before, seen = self.sums, self.counts
        self.sums = before.index_add(0, labels, lifted)
        self.counts = seen + torch.bincount(labels, minlength=len(seen)).to(seen)
        if self.distance == "mahalanobis":
            # Within-class squares of old and new items together: the sum of squares less what the means account for.
            old = before / seen.clamp_min(1).sqrt()[:, None]
            now = self.sums / self.counts.clamp_min(1).sqrt()[:, None]
            self.squares = self.squares + old.T @ old + z.T @ z - now.T @ now
        if self.read == "matching":
            self.items = torch.cat([self.items, z])
            self.item_labels = torch.cat([self.item_labels, labels])

    def _whiten(self) -> Tensor:
        """[d, d], after which distances are Euclidean: S^-1/2."""
        count = self.counts.sum() - (self.counts > 0).sum()
        s = self.squares / count.clamp_min(1)
        level = s.diagonal().mean().clamp_min(torch.finfo(s.dtype).tiny)
        values, vectors = torch.linalg.eigh((1 - SHRINK) * s + SHRINK * level * torch.eye(len(s)).to(s))
        return vectors * values.clamp_min(SHRINK / 2 * level).rsqrt()


class Described(nn.Module):
    """Zero-shot: classes known by attribute vectors [K, a] only; the linear map g is what trains."""

    def __init__(self, attributes: Tensor, dim: int, names: Sequence[str] = ()):
        super().__init__()
        self.map, self.names = nn.Linear(attributes.shape[1], dim, bias=False), tuple(names)
        self.register_buffer("attributes", attributes.float())

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """[N, d] -> logits [N, K] by squared distance to prototypes of unit length."""
        return -squared_euclidean(z, F.normalize(self.map(self.attributes), dim=1))

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the nearest class of each item."""
        return named(logits.argmax(1).tolist(), self.names)


def _room_for_loaded(module: ClassMeans, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Classes and items are as many as were added: buffers take the shape of what is loaded."""
    for name in ("sums", "counts", "items", "item_labels"):
        if prefix + name in state:
            setattr(module, name, torch.empty_like(state[prefix + name]))
