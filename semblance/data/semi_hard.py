"""Semi-hard triples of large batches, from the embeddings themselves: rows of products, never the matrix of them all.

    negatives   nearest     a positive's nearest negative beyond it: a < b        Schroff et al. 2015, arXiv:1503.03832
                all         every negative with a < b <= a + margin
                drawn       one a positive, as likely as its distance is rare: the share of the sphere at distance b,
                            b^(d-2) (1 - b^2/4)^((d-3)/2), inverted                Wu et al. 2017, arXiv:1706.07567
    positives   all, or the hardest (furthest) of each anchor

With a margin, `nearest` keeps to a < b < a + margin; `fallback` then takes the easiest violator (the furthest with b <= a)
where nothing is there, which is FaceNet's rule. `mining.py` holds the same rules and more on a matrix of distances that is
there already. Items without a label (-1) are in no triple; classes may be of any sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.errors import SemblanceError, unknown

NEGATIVES = ("nearest", "all", "drawn")
POSITIVES = ("all", "hardest")
DISTANCES = ("euclidean", "squared", "cosine")
ROWS = 256  # anchors at a time: their products with 4,096 items are 4 MB
NEAREST_DRAWN, FURTHEST_DRAWN = (
    0.5,
    1.4,
)  # nearer ones are drawn as if they stood here; further ones, where others are, not

Triple = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class SemiHard:
    """The rule. `margin` is in units of `distance`; None: however far (for `nearest`)."""

    negatives: str = "nearest"
    positives: str = "all"
    margin: float | None = 0.2
    distance: str = "squared"
    fallback: bool = False

    def __post_init__(self) -> None:
        for name, known in (("negatives", NEGATIVES), ("positives", POSITIVES), ("distance", DISTANCES)):
            if getattr(self, name) not in known:
                raise unknown(f"rule for {name}" if name != "distance" else name, getattr(self, name), known)
        if self.margin is not None and self.margin <= 0:
            raise SemblanceError(f"margin is {self.margin}, but no triple is worth looking at then: give more than 0")
        if self.negatives == "all" and (self.margin is None or self.positives != "all"):
            raise SemblanceError(
                "all negatives are those within a margin of all positives: give a margin and positives all"
            )
        if self.negatives == "drawn" and self.positives != "all":
            raise SemblanceError("negatives are drawn for all positives: set positives to all")

    def __call__(self, z: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Triple:
        """z [N, d], labels [N] -> positions of anchors, positives and negatives, [T] each, anchor by anchor."""
        device = z.device
        known = (labels >= 0).nonzero()[:, 0].cpu()
        z = z.detach().float().cpu()[known]
        if self.distance == "cosine" or self.negatives == "drawn":
            z = F.normalize(z, dim=1)
        crowd = _Crowd.of(z, labels.cpu()[known])
        found = {"nearest": self._nearest, "all": self._all, "drawn": self._drawn}[self.negatives](crowd, generator)
        anchor, positive, negative = known[torch.from_numpy(found)].to(device).unbind(1)
        return anchor, positive, negative

    @property
    def _how(self) -> tuple[float, int]:
        """The margin, as one between squares or between roots of unit directions or of z."""
        from semblance.data.beyond import EUCLIDEAN, SQUARED

        margin = self.margin or 0.0
        # 1 - cos is half a squared distance of directions.
        return (
            2 * margin if self.distance == "cosine" else margin
        ), EUCLIDEAN if self.distance == "euclidean" else SQUARED

    def _nearest(self, crowd: _Crowd, generator: torch.Generator | None) -> np.ndarray:
        from semblance.data.beyond import one_each

        margin, how = self._how
        each = np.ones(len(crowd.z), np.int64) if self.positives == "hardest" else crowd.stop - crowd.start - 1
        triples, count = np.empty((int(each.sum()), 3), np.int64), 0
        for first, near in crowd.blocks():
            count += one_each(
                *(near, first, crowd.square, crowd.order, crowd.start, crowd.stop),
                *(self.positives == "hardest", margin, how, self.fallback, triples[count:]),
            )
        return triples[:count]

    def _all(self, crowd: _Crowd, generator: torch.Generator | None) -> np.ndarray:
        from semblance.data.beyond import counted, written

        margin, how = self._how
        # Counting first and filling then costs two passes over a block that is in cache, less than lists that grow.
        own, least = np.empty((2, ROWS, crowd.most), np.float32)
        parts = []
        for first, near in crowd.blocks():
            given = (crowd.order, crowd.start, crowd.stop)
            count = counted(near, first, crowd.square, *given, margin, how, own, least)
            parts.append(np.empty((count, 3), np.int64))
            written(near, first, *given, own, least, parts[-1])
        return np.concatenate(parts) if parts else np.empty((0, 3), np.int64)

    def _drawn(self, crowd: _Crowd, generator: torch.Generator | None) -> np.ndarray:
        parts = [np.empty((0, 3), np.int64)]
        for first, near in crowd.blocks():
            parts.append(_drawn_by_distance(crowd, first, torch.from_numpy(near), generator))
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Crowd:
    """Labelled items: members of item i's class are order[start[i] : stop[i]]."""

    z: Tensor  # [n, d]
    square: np.ndarray  # [n], |z|^2
    order: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, z: Tensor, labels: Tensor) -> _Crowd:
        order = torch.argsort(labels, stable=True)
        ordered = labels[order]
        start, stop = (torch.searchsorted(ordered, labels, right=right).numpy() for right in (False, True))
        if not len(z) or int((stop - start).max()) < 2 or int((stop - start).max()) == len(z):
            raise SemblanceError(
                f"a batch of {len(z)} labelled items has no two of one label beside one of another: "
                "sample several labels with two or more items each"
            )
        return cls(z, z.square().sum(1).numpy(), order.numpy(), start, stop)

    @property
    def most(self) -> int:
        """Items of the largest class."""
        return int((self.stop - self.start).max())

    def blocks(self):  # type: ignore[no-untyped-def]
        """First anchor and nearness [B, n] to everyone, to be overwritten."""
        buffer = torch.empty(min(ROWS, len(self.z)), len(self.z))
        half = torch.from_numpy(self.square) / 2
        for first in range(0, len(self.z), ROWS):
            rows = self.z[first : first + ROWS]
            near = torch.mm(rows, self.z.T, out=buffer[: len(rows)]).sub_(half)
            yield first, near.numpy()


def _drawn_by_distance(crowd: _Crowd, first: int, near: Tensor, generator: torch.Generator | None) -> np.ndarray:
    """Unit rows: one negative for every positive of the block's anchors, [T, 3]."""
    width, rows = crowd.z.shape[1], np.arange(first, first + len(near))
    square = (1 - 2 * near).clamp_(NEAREST_DRAWN**2, 3.99)  # |z_i - z_j|^2
    weight = square.log().mul_((2 - width) / 2).add_((1 - square / 4).log_().mul_((3 - width) / 2))
    count = crowd.stop[rows] - crowd.start[rows]
    own = np.repeat(np.arange(len(rows)), count)
    place = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count)
    members = crowd.order[crowd.start[rows][own] + place]
    weight[own, members] = -torch.inf
    far = square > FURTHEST_DRAWN**2
    some = ((~far) & weight.isfinite()).any(1, keepdim=True)
    weight.masked_fill_(far & some, -torch.inf)
    total = (weight - weight.amax(1, keepdim=True)).double().exp_().cumsum(1)  # [B, n]
    kept = members != rows[own]
    own, members = own[kept], members[kept]
    drawn = torch.rand(len(own), dtype=torch.float64, generator=generator)
    # Rows one after another, each moved up by its number: one search serves all rows.
    shifted = (total / total[:, -1:] + torch.arange(len(total))[:, None]).flatten()
    negative = (
        torch.searchsorted(shifted, drawn + torch.from_numpy(own), right=True) - torch.from_numpy(own) * total.shape[1]
    )
    return np.stack([rows[own], members, negative.clamp_max_(total.shape[1] - 1).numpy()], 1)
