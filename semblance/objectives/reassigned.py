"""Reassigned: the network's own features are clustered every few epochs, and it predicts an item's cluster and its turn.

    loss = CE(super(z), (g, r)) + CE(sub_(g, r)(z), c),    z = f(turn r of the item)

g is the item's super-group, c its cluster within the group; both come from k-means on features of all items (the leading
principal components, whitened, brought to length 1). The groups times the turns are the super-classes, each with a linear
head of its own for the clusters within: P(g, r, c | z) = P(g, r | z) P(c | g, r, z), and an item reads the rows of the
super-head and those of one sub-head only, whatever the product. What varies:

    turns     1: none. With `groups` 1 and so many `parts` this is DeepCluster       Caron et al. 2018, arXiv:1807.05520
    groups,   1 and 1: the turns alone are asked, RotNet                             Gidaris et al. 2018, arXiv:1803.07728
    parts     else both at once, DeeperCluster                                       Caron et al. 2019, arXiv:1905.01278
    turned    each turn of an item has its own features and cluster, or (as in the authors' program) the upright item's
    every     epochs between two clusterings, the heads being drawn anew after each

`learning.survey.Reviewed` shows the items; `labels` are the clusters, which `data.even.Even` shows equally often, so that
one large cluster is no way out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.errors import SemblanceError
from semblance.geometry.groups import Turns, act_each
from semblance.geometry.k_means import k_means
from semblance.objectives.branches import precise


class Factorised(nn.Module):
    """A distribution over `supers` times `parts` answers, from linear heads of supers + parts rows an item."""

    def __init__(self, dim: int, supers: int, parts: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(supers, dim)), nn.Parameter(torch.empty(supers))
        self.sub_weight = nn.Parameter(torch.empty(supers, parts, dim))
        self.sub_bias = nn.Parameter(torch.empty(supers, parts))
        self.draw(None)

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None) -> None:
        """New weights, as a linear layer begins."""
        edge = self.weight.shape[1] ** -0.5
        for held in self.parameters():
            held.copy_(torch.empty(held.shape).uniform_(-edge, edge, generator=generator))

    def forward(self, z: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
        """z [N, d] and super-classes [N] -> logits [N, supers], and those within the named super-class [N, parts]."""
        # Item by item of a super-class at a time: none touches, and no copy is made of, the rows of another.
        order = of.argsort(stable=True)
        values, counts = of[order].unique_consecutive(return_counts=True)
        heads = list(zip(self.sub_weight.unbind(), self.sub_bias.unbind(), strict=True))
        parts = z[order].split(counts.tolist())
        within = [F.linear(part, *heads[s]) for s, part in zip(values.tolist(), parts, strict=True)]
        return F.linear(z, self.weight, self.bias), torch.cat(within)[order.argsort()]

    def log_probabilities(self, z: Tensor) -> Tensor:
        """[N, d] -> [N, supers, parts], of all answers."""
        within = torch.einsum("nd,skd->nsk", z, self.sub_weight) + self.sub_bias
        return F.linear(z, self.weight, self.bias).log_softmax(1)[:, :, None] + within.log_softmax(2)


class Reassigned(nn.Module):
    """The clusters of the moment are in `group` and `part` [units, turns or 1]; the heads are dropped after training."""

    needs: frozenset[str] = frozenset()
    group: Tensor
    part: Tensor
    latest: Tensor  # the epoch of the latest clustering, -1 before the first

    def __init__(
        self,
        units: int,
        dim: int,
        *,
        turns: int = 4,
        groups: int = 4,
        parts: int = 25,
        turned: bool = False,
        every: int = 3,
        first: int = 0,
        kept: int = 64,
        batch: int = 0,
    ):
        super().__init__()
        if groups < 1 or parts < 1 or turns * groups * parts < 2:
            raise SemblanceError(
                f"turns is {turns}, groups {groups} and parts {parts}: give 1 or more of each, not 1 of all"
            )
        if every < 1 or first < 0 or kept < 1:
            raise SemblanceError(
                f"every is {every}, first {first} and kept {kept}: they count epochs (1 or more, 0 or more) and components"
            )
        self.turns, self.groups, self.parts, self.turned = Turns(turns), groups, parts, turned and turns > 1
        self.every, self.first, self.kept, self.batch = every, first, kept, batch
        self.heads = Factorised(dim, groups * turns, parts)
        known = (units, turns if self.turned else 1)
        for name in ("group", "part"):
            self.register_buffer(name, torch.zeros(known, dtype=torch.int64))
        self.register_buffer("latest", torch.tensor(-1))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, ...] and index [N] -> scalar, {loss, groups and parts: shares of super-classes and of clusters within them
        that are told}."""
        x, turn = batch["x"], torch.zeros_like(batch["index"])
        if self.turns.order > 1:
            # Drawn where dropout draws: from torch's generator, which the loop sets anew at every step.
            turn = torch.randint(self.turns.order, (len(x),)).to(x.device)
            x = act_each(self.turns, turn, x)
        target, within = self.targets(batch["index"], turn)
        z = precise(model.embed({**batch, "x": x}))
        told, told_within = self.heads(z, target)
        loss = F.cross_entropy(told, target) + F.cross_entropy(told_within, within)
        right = [float((a.argmax(1) == b).float().mean()) for a, b in ((told, target), (told_within, within))]
        return loss, {"loss": float(loss.detach()), "groups": right[0], "parts": right[1]}

    def targets(self, index: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Items [N] and their turns [N] -> super-class and cluster within it, [N] each."""
        column = turn if self.turned else torch.zeros_like(turn)
        return self.group[index, column] * self.turns.order + turn, self.part[index, column]

    @property
    def labels(self) -> np.ndarray:
        """The cluster of every unit as it stands, [units]."""
        return (self.group[:, 0] * self.parts + self.part[:, 0]).cpu().numpy()

    def due(self, epoch: int) -> bool:
        """Whether features are to be clustered before this epoch."""
        if self.groups * self.parts == 1 or epoch < self.first:
            return False
        latest = int(self.latest)
        return latest < 0 or epoch >= latest + self.every

    @torch.no_grad()
    def review(self, network: Encoder, batches: Iterable[Batch], epoch: int, generator: torch.Generator) -> None:
        """Every unit in order -> new clusters and new heads."""
        turns = range(self.turns.order if self.turned else 1)
        features: list[list[Tensor]] = [[] for _ in turns]
        for batch in batches:
            for turn in turns:
                x = self.turns.act(turn, batch["x"])
                features[turn].append(network.embed({**batch, "x": x}).float())
        z = whitened(torch.cat([torch.cat(part) for part in features]), self.kept)
        group = k_means(z, self.groups, generator, batch=self.batch).owner
        part = torch.zeros_like(group)
        for g in range(self.groups):
            members = (group == g).nonzero()[:, 0]
            if len(members):
                part[members] = k_means(z[members], self.parts, generator, batch=self.batch).owner
        self.group.copy_(group.view(len(turns), -1).T)
        self.part.copy_(part.view(len(turns), -1).T)
        self.heads.draw(generator)
        self.latest.fill_(epoch)


def whitened(z: Tensor, kept: int) -> Tensor:
    """Features [N, d] -> [N, at most kept]: principal components of variance 1, rows of length 1. Components without
    variance are left out; where there is none, all rows are 0."""
    z = (z - z.mean(0)).double()
    variance, axes = torch.linalg.eigh(z.T @ z / len(z))
    worth = (variance > 1e-6 * variance[-1].clamp_min(1e-30)).nonzero()[:, 0][-kept:]
    return F.normalize(z @ (axes[:, worth] / variance[worth].sqrt()), dim=1).float()
