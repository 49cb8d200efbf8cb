"""k-means: a few centres that stand for many points, and which centre stands for which point.

    a_i = argmin_k |z_i - c_k|^2,    c_k = mean of the points with a_i = k,    in turns until no point moves

start     centres that are given (those of labelled classes: seeded); further ones are points drawn by their squared
          distance to the centres there are (k-means++)
held      who may not choose: `by_label`, labelled points stay with their class's centre (constrained); `by_link`, points
          that must go together choose together, and groups that cannot go together choose different centres
batch     0: all points a round; else so many drawn ones, the centres being running means of what they were given
empty     the largest cluster is split in two along the way to its farthest point

Sums and counts of shards add up to those of the whole, so `sums` is all that several machines have to exchange.

MacQueen 1967; Arthur & Vassilvitskii 2007 (k-means++); Basu et al. 2002 (seeded, constrained); Wagstaff et al. 2001
(links); Sculley 2010 (mini-batches).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from semblance.errors import SemblanceError

BLOCK = 2**22  # distances held at a time
Held = Callable[[Tensor, Tensor], Tensor]


class Clusters(NamedTuple):
    """centres [k, d], whose each point is [N], and the mean squared distance of a point to its centre."""

    centres: Tensor
    owner: Tensor
    within: float


def k_means(
    z: Tensor,
    k: int,
    generator: torch.Generator,
    *,
    start: Tensor | None = None,
    held: Held | None = None,
    rounds: int = 30,
    starts: int = 1,
    batch: int = 0,
) -> Clusters:
    """Points [N, d] -> the best of `starts` runs. `start` [m, d], m <= k; `held(owner, centres) -> owner` has the last
    word."""
    if k < 1 or not len(z):
        raise SemblanceError(f"{len(z)} points shall have {k} centres: give 1 or more of both")
    given = z[:0] if start is None else start.to(z)
    if len(given) > k:
        raise SemblanceError(f"{len(given)} centres are given, and there shall be {k}: give as many or fewer")
    runs = [_run(z, k, generator, given, held, rounds, batch) for _ in range(starts)]
    return min(runs, key=lambda found: found.within)


def _run(
    z: Tensor, k: int, generator: torch.Generator, start: Tensor, held: Held | None, rounds: int, batch: int
) -> Clusters:
    centres = spread_out(z, k, generator, start)
    owner = _owned(z, centres, held)
    seen = torch.zeros(k, dtype=z.dtype, device=z.device)
    for _ in range(rounds):
        if batch and batch < len(z):
            rows = torch.randint(len(z), (batch,), generator=generator).to(z.device)
            total, count = sums(z[rows], nearest_centre(z[rows], centres), k)
            seen = seen + count
            centres = centres + (total - count[:, None] * centres) / seen.clamp_min(1)[:, None]
            continue
        centres = means(z, owner, centres)
        moved = _owned(z, centres, held)
        if torch.equal(moved, owner):
            break
        owner = moved
    if batch and batch < len(z):
        owner = _owned(z, centres, held)
    return Clusters(centres, owner, float((z - centres[owner]).square().sum(1).mean()))


def nearest_centre(z: Tensor, centres: Tensor) -> Tensor:
    """[N, d], [k, d] -> [N], in memory bounded by a block."""
    half = centres.square().sum(1) / 2
    step = max(1, BLOCK // len(centres))
    parts = [(z[i : i + step] @ centres.T - half).argmax(1) for i in range(0, len(z), step)]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64, device=z.device)


def sums(z: Tensor, owner: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Points [N, d] and whose they are [N] -> their sums [k, d] and counts [k]."""
    total = z.new_zeros(k, z.shape[1]).index_add_(0, owner, z)
    return total, torch.bincount(owner, minlength=k).to(z.dtype)


def means(z: Tensor, owner: Tensor, centres: Tensor) -> Tensor:
    """The mean of each cluster's points [k, d]; an empty one keeps its centre."""
    total, count = sums(z, owner, len(centres))
    return torch.where(count[:, None] > 0, total / count.clamp_min(1)[:, None], centres)


def spread_out(z: Tensor, k: int, generator: torch.Generator, start: Tensor | None = None) -> Tensor:
    """`start` and further points, each drawn by its squared distance to those chosen before -> [k, d]. Where all points
    are chosen already, any."""
    chosen = z.new_zeros(k, z.shape[1])
    known = 0 if start is None else len(start)
    if known:
        assert start is not None
        chosen[:known] = start
        far = (z - chosen[nearest_centre(z, chosen[:known])]).square().sum(1)
    else:
        far = z.new_ones(len(z))
    for i in range(known, k):
        # Drawn on the processor, where the generator is, in double: float32 sums of many squares drift.
        share = far.detach().cpu().double().cumsum(0)
        drawn = torch.rand((), generator=generator, dtype=torch.float64) * share[-1]
        row = int(torch.searchsorted(share, drawn, right=True).clamp_max(len(z) - 1))
        chosen[i] = z[row]
        apart = (z - z[row]).square().sum(1)
        far = apart if i == 0 else torch.minimum(far, apart)
    return chosen


def by_label(labels: Tensor) -> Held:
    """Points whose label [N] is known (0 or more) go to the centre of this number."""
    known = labels >= 0

    def hold(owner: Tensor, centres: Tensor) -> Tensor:
        if bool(known.any()) and int(labels.max()) >= len(centres):
            raise SemblanceError(f"there is a label {int(labels.max())}, and {len(centres)} centres: give k as classes")
        return torch.where(known, labels, owner)

    return hold


def by_link(z: Tensor, group: Tensor, apart: Tensor) -> Held:
    """Points of one group [N] (-1: of none) go to one centre, the nearest to their mean; the larger group chooses first,
    and two of which `apart` [G, G] says so choose differently while there are centres left."""
    known = group >= 0
    total, count = sums(z[known], group[known], len(apart))
    middle = total / count.clamp_min(1)[:, None]
    order = count.argsort(descending=True, stable=True).tolist()

    def hold(owner: Tensor, centres: Tensor) -> Tensor:
        dear = torch.cdist(middle, centres)  # [G, k]
        choice = torch.full((len(apart),), -1, dtype=torch.int64, device=z.device)
        for g in order:
            taken = choice[apart[g] & (choice >= 0)]
            free = dear[g].index_fill(0, taken, torch.inf)
            choice[g] = int((free if bool(free.isfinite().any()) else dear[g]).argmin())
        return torch.where(known, choice[group.clamp_min(0)], owner)

    return hold


def _owned(z: Tensor, centres: Tensor, held: Held | None) -> Tensor:
    """Whose each point is, with no cluster empty that can be filled."""
    owner = nearest_centre(z, centres)
    if held is not None:
        owner = held(owner, centres)
        return owner
    count = torch.bincount(owner, minlength=len(centres))
    for empty in (count == 0).nonzero()[:, 0].tolist():
        largest = int(count.argmax())
        if count[largest] < 2:
            break
        members = (owner == largest).nonzero()[:, 0]
        offset = z[members] - centres[largest]
        along = offset @ offset[offset.square().sum(1).argmax()]
        far = members[along.argsort(stable=True)[len(members) // 2 :]]
        owner[far] = empty
        count[empty], count[largest] = len(far), len(members) - len(far)
    return owner
