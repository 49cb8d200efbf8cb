"""Constrained clusters: an autoencoder whose codes gather around centres, a few labels or links saying who goes with whom.

    loss    = |x' - x|^2 + r (cluster * mean_i |z_i - mu_a(i)|^2 + pair * P),    x' = decoder(z), r rising from 0 to 1
    a(i)    the nearest centre; of an item of which something is known, the centre of its class or group
    P       mean over pairs that must go together of KL(p_i||p_j) + KL(p_j||p_i), and over pairs that cannot of
            max(0, margin - KL(p_i||p_j)) + max(0, margin - KL(p_j||p_i)),    p_i = softmax_k(-|z_i - mu_k|^2)

Squared distances are counted in units of their mean when centres are first found. (In the code's own, p would say of every
item that it is surely in one cluster, and pairs that must would pull all items into one.)

For `warm` epochs pictures are only rebuilt; then constrained k-means on the codes of all items gives the centres, which
learn along or are `recomputed` before every epoch. Pairs are all those of a batch of which something is known. What varies:

    known    labels, as many as there are (-1: none); or `links`, pairs that must and pairs that cannot go together: items
             that must form groups, and labels are groups of which no two can go together. None at all: deep k-means
    read     p from the centres, or from a linear map of the code of its own (`layer`)

ClusterNet: Shukla et al. 2018, arXiv:1806.01547. Deep k-means: Yang et al. 2017, arXiv:1610.04794.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.geometry.k_means import by_link, k_means, means, nearest_centre
from semblance.heads.prototypes.class_means import squared_euclidean
from semblance.objectives.branches import precise

READS = ("centres", "layer")
STARTS = 10  # of k-means where nothing is known


class Linked:
    """Pairs of items that must, [P, 2], and cannot go together, [Q, 2] -> groups that must, and which groups cannot.

    group [units]: -1 for items in no pair. apart [G, G].
    """

    def __init__(self, units: int, must: Tensor, cannot: Tensor):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        both = torch.cat([must.view(-1, 2), cannot.view(-1, 2)]).cpu()
        if len(both) and not 0 <= int(both.min()) <= int(both.max()) < units:
            raise SemblanceError(f"links name items {int(both.min())} to {int(both.max())}, and there are {units}")
        named = both.unique()
        rows, columns = must.view(-1, 2).T.cpu().numpy()
        joined = coo_array((rows * 0 + 1, (rows, columns)), shape=(units, units))
        part = torch.from_numpy(connected_components(joined, directed=False)[1]).long()
        self.group = torch.full((units,), -1)
        _, self.group[named] = part[named].unique(return_inverse=True)
        count = int(self.group.max()) + 1
        self.apart = torch.zeros(count, count, dtype=torch.bool)
        first, second = self.group[cannot.view(-1, 2).cpu()].T
        if bool((first == second).any()):
            i = int((first == second).nonzero()[0])
            raise SemblanceError(f"items {cannot.view(-1, 2)[i].tolist()} cannot go together and, by other links, must")
        self.apart[first, second] = self.apart[second, first] = True


class ConstrainedClusters(nn.Module):
    """The network's head holds the centres (`heads.prototypes.centres`); the decoder is dropped after training."""

    needs: frozenset[str] = frozenset()
    group: Tensor  # [units], the class or group of an item, -1 where nothing is known
    apart: Tensor  # [G, G], which groups cannot go together
    place: Tensor  # [G], the centre of each group
    unit: Tensor  # the mean squared distance of a code to its centre when centres were first found
    began: Tensor  # the share of the run that was done when centres were first found; -1 before

    def __init__(
        self,
        decoder: nn.Module,
        dim: int,
        clusters: int,
        units: int,
        *,
        labelled: bool = True,
        links: Linked | None = None,
        cluster: float = 0.1,
        pair: float = 1.0,
        margin: float = 2.0,
        warm: int = 5,
        ramp: float = 0.5,
        recomputed: bool = False,
        read: str = "centres",
    ):
        super().__init__()
        if read not in READS:
            raise unknown("way to read clusters", read, READS)
        for name, value in (("cluster", cluster), ("pair", pair), ("margin", margin), ("warm", warm), ("ramp", ramp)):
            if value < 0:
                raise SemblanceError(f"{name} is {value}: give 0 or more")
        self.decoder, self.labelled, self.linked = decoder, labelled and links is None, links is not None
        self.cluster, self.pair, self.margin = cluster, pair, margin
        self.warm, self.ramp, self.recomputed = warm, ramp, recomputed
        self.layer = nn.Linear(dim, clusters) if read == "layer" else None
        groups = clusters if links is None else len(links.apart)
        self.register_buffer("group", torch.full((units,), -1) if links is None else links.group)
        self.register_buffer("apart", ~torch.eye(groups, dtype=torch.bool) if links is None else links.apart)
        self.register_buffer("place", torch.arange(groups))
        self.register_buffer("unit", torch.tensor(1.0))
        self.register_buffer("began", torch.tensor(-1.0, dtype=torch.float64))
        self._progress = 0.0

    def advance(self, progress: float) -> None:
        """How far the run is."""
        self._progress = progress

    @property
    def labels(self) -> np.ndarray | None:
        """For the sampler: the groups where links are what is known (else the data's own labels)."""
        return self.group.cpu().numpy() if self.linked else None

    def due(self, epoch: int) -> bool:
        """Whether centres are to be found before this epoch."""
        return epoch >= self.warm and (float(self.began) < 0 or self.recomputed)

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W] and index [N] -> scalar, {loss, rebuilt, within, pairs}."""
        z = model.embed(batch)
        rebuilt = F.mse_loss(precise(self.decoder(z)), precise(batch["x"]))
        told = {"rebuilt": float(rebuilt.detach()), "within": 0.0, "pairs": 0.0}
        if float(self.began) < 0:
            return rebuilt, {"loss": told["rebuilt"], **told}
        z, group = precise(z), self.group[batch["index"]]
        points = model.head.points.detach() if self.recomputed else model.head.points
        apart = squared_euclidean(z, points) / self.unit  # [N, K]
        within = self.within(apart, group)
        scores = -apart if self.layer is None else self.layer(z)
        pairs = self.pairs(scores[group >= 0], group[group >= 0])
        loss = rebuilt + self.weight() * (self.cluster * within + self.pair * pairs)
        told |= {"within": float(within.detach()), "pairs": float(pairs.detach())}
        return loss, {"loss": float(loss.detach()), **told}

    def weight(self) -> float:
        """From 0 when centres are found to 1 after the share `ramp` of what was then left of the run."""
        since = (self._progress - float(self.began)) / max(1 - float(self.began), 1e-9)
        return min(1.0, max(0.0, since) / self.ramp) if self.ramp else 1.0

    def within(self, apart: Tensor, group: Tensor) -> Tensor:
        """Squared distances [N, K] and groups [N] -> the mean of those to the items' own centres."""
        own = torch.where(group >= 0, self.place[group.clamp_min(0)], apart.argmin(1))
        return apart.gather(1, own[:, None]).mean()

    def pairs(self, scores: Tensor, group: Tensor) -> Tensor:
        """Logits of clusters [n, K] of items of which something is known, their groups [n] -> scalar in nats."""
        if len(group) < 2:
            return scores.sum() * 0
        logs = scores.log_softmax(1)
        p = logs.exp()
        kl = (p * logs).sum(1, keepdim=True) - p @ logs.T  # [n, n], KL(p_i || p_j)
        upper = torch.ones_like(kl, dtype=torch.bool).triu(1)
        must, cannot = (group[:, None] == group) & upper, self.apart[group[:, None], group] & upper
        far = (self.margin - kl).relu()
        terms = [(t + t.T)[which].mean() for t, which in ((kl, must), (far, cannot)) if bool(which.any())]
        return torch.stack(terms).sum() if terms else scores.sum() * 0

    @torch.no_grad()
    def review(self, network: Any, batches: Iterable[Batch], epoch: int, generator: torch.Generator) -> None:
        """Every unit in order -> centres, and what is known of whom."""
        seen = [(precise(network.embed(batch)), batch.get("labels")) for batch in batches]
        z, points = torch.cat([codes for codes, _ in seen]), network.head.points
        if self.labelled and all(_classes(labels) for _, labels in seen):
            self.group.copy_(torch.cat([labels for _, labels in seen]))  # type: ignore[misc]  # _classes saw to it
            if int(self.group.max()) >= len(points):
                raise SemblanceError(
                    f"clusters is {len(points)}, but labels go to {int(self.group.max())}: give one for each class"
                )
        if float(self.began) < 0:
            self.began.fill_(self._progress)
            points.copy_(self._found(z, len(points), generator))
            self.unit.copy_(squared_euclidean(z, points).amin(1).mean().clamp_min(1e-12))
        else:
            own = nearest_centre(z, points)
            own = torch.where(self.group >= 0, self.place[self.group.clamp_min(0)], own)
            points.copy_(means(z, own, points))

    def _found(self, z: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Codes [units, d] -> centres [k, d] by constrained k-means, begun from the groups that are told apart; `place`
        says where each group went."""
        known = self.group >= 0
        if not bool(known.any()):
            return k_means(z, k, generator, starts=STARTS).centres
        middle = means(z[known], self.group[known], z.new_zeros(len(self.apart), z.shape[1]))
        size = torch.bincount(self.group[known], minlength=len(self.apart))
        leaders: list[int] = []
        for g in size.argsort(descending=True, stable=True).tolist():
            if size[g] and len(leaders) < k and bool(self.apart[g, leaders].all()):
                leaders.append(g)
        held = by_link(z, self.group, self.apart)
        found = k_means(z, k, generator, start=middle[leaders], held=held)
        self.place[self.group[known]] = found.owner[known]
        if self.linked:
            return found.centres
        # Classes have numbers: each centre goes where its class is, and those of no class to the places that are left.
        seen = (size > 0).nonzero()[:, 0]
        free = [i for i in range(k) if i not in set(seen.tolist())]
        spare = [i for i in range(k) if i not in set(self.place[seen].tolist())]
        order = torch.empty(k, dtype=torch.int64)
        order[seen.cpu()], order[free] = self.place[seen].cpu(), torch.tensor(spare, dtype=torch.int64)
        self.place.copy_(torch.arange(len(self.place)))
        return found.centres[order.to(z.device)]


def _classes(labels: Tensor | None) -> bool:
    """Whether a batch says of its items which class each is of."""
    return labels is not None and labels.ndim == 1 and not labels.is_floating_point()
