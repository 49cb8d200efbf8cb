"""Contrast of many rows, without a matrix of rows by candidates: the same loss in tiles or in blocks of rows.

    in tiles      cosine or inner products, plain KL, p a list of neighbours or groups of rows: the sums of q by
                  `log_sums.py`, and what p asks for by sums of as many vectors as p has neighbours
    in blocks     everything else of the core's table: a block of rows is computed as in `contrast.py`, forgotten, and
                  computed again on the way back

Both need p and the candidates row by row. `rows_of` and `allowed_rows` say how those of the core give theirs; what they do
not know is asked for whole and costs its N x M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from semblance.contracts import Batch
from semblance.objectives.candidates import Candidates, everyone, other_views, others, views_of
from semblance.objectives.divergences import kl
from semblance.objectives.kernels import Cosine, Dot, squared_distances
from semblance.objectives.log_sums import between, within
from semblance.objectives.neighbours import Gaussian, Listed, Walks, none_alone, same_label

if TYPE_CHECKING:
    from semblance.objectives.contrast import Contrast

ENTRIES = 2**21  # numbers in a block of rows: 8 MB of float32 for each of the five or so that are held at once


class Rows(Protocol):
    """A matrix that gives some of its rows."""

    def rows(self, part: slice, candidates: int) -> Tensor: ...


def streamed(loss: Contrast, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """-> divergence of every row [N], and how much of p it has [N] (0: no neighbour)."""
    points, allowed = allowed_rows(loss.candidates, z, batch)
    p = rows_of(loss.neighbours, batch)
    plain = loss.divergence is kl and not (loss.nearest or loss.restrict or loss.debias or loss.debias_q or loss.joint)
    found = None
    if plain and isinstance(p, Listed | Grouped) and isinstance(loss.kernel, Cosine | Dot):
        found = _in_tiles(loss, z, points, allowed, p)
    return found or _in_blocks(loss, z, points, allowed, p)


# --- p and candidates, by rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grouped:
    """p uniform over the other rows of the row's group [N]."""

    group: Tensor
    count: Tensor  # [groups]

    @classmethod
    def of(cls, group: Tensor) -> Grouped:
        """Any numbers as groups; a row alone in its group has no neighbour."""
        _, place, count = group.unique(return_inverse=True, return_counts=True)
        return cls(place, count)

    def rows(self, part: slice, candidates: int) -> Tensor:
        """[B, N]."""
        near = (self.group[part, None] == self.group).float()
        near[:, part].fill_diagonal_(0)
        return near / (self.count[self.group[part]] - 1).clamp_min(1)[:, None]


@dataclass(frozen=True)
class Bells:
    """p of `Gaussian`: p(j|i) = exp(-precision_i |x_i - x_j|^2 - offset_i)."""

    x: Tensor  # [N, f]
    precision: Tensor  # [N]
    offset: Tensor  # [N]
    with_self: bool
    joint: bool

    @classmethod
    def of(cls, how: Gaussian, batch: Batch) -> Bells:
        """Widths and normalisers of all rows, block by block."""
        x = batch["x"].flatten(1)
        found = []
        for part in _blocks(len(x), len(x)):
            square = _squares(x, part, how.with_self)
            precision = how.precision(square)
            found.append((precision[:, 0], (square * -precision).logsumexp(1)))
        precision, offset = (torch.cat(each) for each in zip(*found, strict=True))
        return cls(x, precision, offset, how.with_self, how.joint)

    def rows(self, part: slice, candidates: int) -> Tensor:
        """[B, N]."""
        square = _squares(self.x, part, self.with_self)
        p = (square * -self.precision[part, None] - self.offset[part, None]).exp()
        return (p + (square * -self.precision - self.offset).exp()) / 2 if self.joint else p


@dataclass(frozen=True)
class Whole:
    """A matrix that is there anyway."""

    matrix: Tensor

    def rows(self, part: slice, candidates: int) -> Tensor:
        """[B, M]."""
        return self.matrix[part]


@dataclass(frozen=True)
class NotItself:
    """Everyone but the row."""

    count: int
    device: torch.device

    def rows(self, part: slice, candidates: int) -> Tensor:
        """[B, N] bool."""
        allowed = torch.ones(part.stop - part.start, candidates, dtype=torch.bool, device=self.device)
        allowed[:, part].fill_diagonal_(False)
        return allowed


@dataclass(frozen=True)
class OtherViews:
    """Rows of another view or modality."""

    view: Tensor  # [N]

    @property
    def two(self) -> bool:
        """Whether there are two of them, so that one's candidates are the other."""
        return bool(((self.view == self.view.min()) | (self.view == self.view.max())).all())

    def rows(self, part: slice, candidates: int) -> Tensor:
        """[B, N] bool."""
        return self.view[part, None] != self.view


def rows_of(neighbours: Callable[[Batch], Tensor | Listed], batch: Batch) -> Listed | Rows:
    """p without its matrix, where it can do without."""
    if neighbours is same_label:
        group = _groups_of_labels(batch)
        if group is not None:
            return Grouped.of(group)
    if isinstance(neighbours, Gaussian):
        return Bells.of(neighbours, batch)
    p = neighbours.listed(batch) if isinstance(neighbours, Walks) else neighbours(batch)
    return p if isinstance(p, Listed) else Whole(p)


def allowed_rows(candidates: Candidates, z: Tensor, batch: Batch) -> tuple[Tensor, Rows | None]:
    """Points [M, d] and who is allowed for whom; None: all are."""
    if candidates is others:
        return z, NotItself(len(z), z.device)
    if candidates is everyone:
        return z, None
    if candidates is other_views:
        return z, OtherViews(views_of(batch))
    points, allowed = candidates(z, batch)
    return points, None if allowed is None else Whole(allowed)


def _groups_of_labels(batch: Batch) -> Tensor | None:
    """[N]: the label, or for unlabelled rows the item; None where views of one item have different labels."""
    labels: Tensor = batch["labels"]
    known, first = labels >= 0, int(labels.max()) + 1
    item = batch["item"] if "item" in batch else torch.arange(len(labels), device=labels.device)
    if "item" in batch:
        place = item.unique(return_inverse=True)[1]
        most, least = (
            labels.new_zeros(int(place.max()) + 1).scatter_reduce_(0, place, labels, how, include_self=False)
            for how in ("amax", "amin")
        )
        if not torch.equal(most, least):
            return None
    group = torch.where(known, labels, first + item - item.min())
    _, place, count = group.unique(return_inverse=True, return_counts=True)
    none_alone((count[place] == 1) & known)
    return group


def _squares(x: Tensor, part: slice, with_self: bool) -> Tensor:
    """[B, N], inf for the row itself unless it counts."""
    square = squared_distances(x[part], x)
    if not with_self:
        square[:, part].fill_diagonal_(math.inf)
    return square


def _blocks(rows: int, candidates: int) -> Iterator[slice]:
    size = max(1, ENTRIES // max(1, candidates))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


# --- in tiles ---------------------------------------------------------------------------------------------------------


def _in_tiles(
    loss: Contrast, z: Tensor, points: Tensor, allowed: Rows | None, p: Listed | Grouped
) -> tuple[Tensor, Tensor] | None:
    """The loss's rows, or None where these candidates are not for tiles."""
    assert isinstance(loss.kernel, Cosine | Dot)
    scale, bound = loss.kernel.temperature**-0.5, None
    if isinstance(loss.kernel, Cosine):
        bound = (1 + 1e-6) / loss.kernel.temperature  # directions have length 1 but for rounding
    a = _scaled(z, scale, bound is not None)
    b = a if points is z else _scaled(points, scale, bound is not None)
    if a is b and (allowed is None or isinstance(allowed, NotItself)):
        logs = within(a, itself=allowed is None, bound=bound, low=loss.low)
    elif allowed is None:
        logs = between(a, b, bound=bound, low=loss.low)[0]
    elif isinstance(allowed, OtherViews) and allowed.two:
        first = allowed.view == allowed.view[0]
        order = torch.cat([first.nonzero()[:, 0], (~first).nonzero()[:, 0]])
        logs = torch.cat(between(a[first], a[~first], bound=bound, low=loss.low))[order.argsort()]
    else:
        return None
    if isinstance(p, Grouped):
        sums = b.new_zeros(len(p.count), b.shape[1]).index_add(0, p.group, b)
        others_count = (p.count[p.group] - 1).to(b)
        mean, present = (sums[p.group] - b) / others_count.clamp_min(1)[:, None], (others_count > 0).to(b)
        entropy = -others_count.clamp_min(1).log()
    else:
        weight = p.weight.to(b)
        mean = F.embedding_bag(p.index, b, per_sample_weights=weight, mode="sum")  # nothing of size N x k x d
        present, entropy = weight.sum(1), torch.xlogy(weight, weight).sum(1)
    return entropy - (a * mean).sum(1) + present * logs, present


def _scaled(z: Tensor, scale: float, directions: bool) -> Tensor:
    """[N, d]; brought to one length and scaled in a single pass, since every pass keeps a copy."""
    return z * (scale / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp_min(1e-12) if directions else scale)


# --- in blocks --------------------------------------------------------------------------------------------------------


def _in_blocks(
    loss: Contrast, z: Tensor, points: Tensor, allowed: Rows | None, p: Listed | Rows
) -> tuple[Tensor, Tensor]:
    parts = list(_blocks(len(z), len(points)))
    pieces = z.split(parts[0].stop)

    def scores_of(piece: Tensor, points: Tensor, part: slice) -> tuple[Tensor, Tensor | None]:
        return loss.kernel(piece, points), None if allowed is None else allowed.rows(part, len(points))

    def logs(piece: Tensor, points: Tensor, part: slice) -> Tensor:
        scores, mask = scores_of(piece, points, part)
        return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).logsumexp(1)

    def rows(piece: Tensor, points: Tensor, normaliser: Tensor | None, part: slice) -> tuple[Tensor, Tensor]:
        mine = Listed(p.index[part], p.weight[part]) if isinstance(p, Listed) else p.rows(part, len(points))
        return loss.rows(*scores_of(piece, points, part), mine, normaliser)

    normaliser = None
    if loss.joint:
        each = [_again(logs, piece, points, part) for piece, part in zip(pieces, parts, strict=True)]
        normaliser = torch.cat(each).logsumexp(0) - math.log(len(z))
    found = [_again(rows, piece, points, normaliser, part) for piece, part in zip(pieces, parts, strict=True)]
    divergence, present = zip(*found, strict=True)
    return torch.cat(divergence), torch.cat(present)


def _again(function: Callable[..., Any], *given: Any) -> Any:
    """The function's answer, whose intermediates are computed anew for the gradient."""
    return checkpoint(function, *given, use_reentrant=False, preserve_rng_state=False)
