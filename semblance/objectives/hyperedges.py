"""Hyperedges: sets of nodes that belong together shall score higher than sets that do not.

    s(e) = u . relu( A norm[mean of z over e | mean of z^2 - (mean of z)^2] ),     loss = softplus(-s(e)) + softplus(s(e'))

e: a share of the hyperedges, which the encoder does not see in this step; e': as many sets of their sizes, drawn in one of
the ways of `data/hyperedge_negatives.py`, or made by a generator that learns to be taken for real ("learned": numbers drawn
for every set become scores of all nodes; the best k are its members, through which the gradient comes back turned around).
Hwang et al. 2022, arXiv:2204.04930 (AHP, the generator); Yadati et al. 2020, NHP.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.data.hyperedge_negatives import NEGATIVES, negatives_of
from semblance.data.hypergraph_views import with_memberships
from semblance.errors import SemblanceError, unknown
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.products import spread
from semblance.objectives.turned import turned

NOISE = 16
WAYS = (*NEGATIVES, "learned")


class Hyperedges(nn.Module):
    """dim: of the embedding; nodes: V, of which a generator chooses; batch: hyperedges a step at most; hide: the share of
    all that a step asks for."""

    needs = frozenset({"hyperedges"})

    def __init__(
        self, dim: int, nodes: int, negatives: str = "size", batch: int = 512, hide: float = 0.3, hidden: int = 64
    ):
        super().__init__()
        if negatives not in WAYS:
            raise unknown("way to draw negatives", negatives, WAYS)
        if not 0 < hide < 1 or batch < 1:
            raise SemblanceError(f"hide is {hide} and batch {batch}: give a share between 0 and 1, and 1 or more")
        self.negatives, self.batch, self.hide = negatives, batch, hide
        # States that were summed over many are large, their squares larger: layer norm keeps the judge's steps small.
        self.judge = nn.Sequential(nn.LayerNorm(2 * dim), nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        made = negatives == "learned"
        self.generator = nn.Sequential(nn.Linear(NOISE, hidden), nn.ReLU(), nn.Linear(hidden, nodes)) if made else None

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy: how often the hyperedge scores higher}."""
        hypergraph: Hypergraph = batch["graph"]
        degree = hypergraph.by_edge().degree
        several = np.flatnonzero(degree > 1)
        if len(several) < 2:
            raise SemblanceError(f"{len(several)} hyperedges have two members or more: give two such, or more")
        count = min(self.batch, max(1, round(self.hide * len(several))))
        asked = np.sort(several[torch.randperm(len(several))[:count].numpy()])
        hidden = torch.zeros(hypergraph.num_edges, dtype=torch.bool)
        hidden[torch.from_numpy(asked)] = True
        gone = hidden[hypergraph.edge]
        z: Tensor = model.encoder({**batch, "graph": with_memberships(hypergraph, ~gone)})
        number = torch.cumsum(hidden, 0) - 1
        real = Hypergraph(hypergraph.node[gone], number[hypergraph.edge[gone]], hypergraph.num_nodes, count)
        linked = self.score(*moments(z, real))
        if self.generator is None:
            rng = np.random.default_rng(int(torch.randint(1 << 62, ())))
            apart = self.score(*moments(z, negatives_of(hypergraph, asked, self.negatives, rng)))
        else:
            apart = self.score(*self._generated(z, torch.from_numpy(degree[asked])))
        loss = F.softplus(-linked).mean() + F.softplus(apart).mean()
        right = (linked > apart).float().mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float(right)}

    def score(self, mean: Tensor, variance: Tensor) -> Tensor:
        """[n, d] each -> [n]."""
        found: Tensor = self.judge(torch.cat([mean, variance], 1))[:, 0]
        return found

    def _generated(self, z: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Moments of the sets that the generator makes, of these sizes [n]."""
        assert self.generator is not None
        scores = turned(self.generator(torch.randn(len(sizes), NOISE)))  # [n, V]
        ordered = scores.argsort(1, descending=True)
        rank = torch.empty_like(ordered).scatter_(1, ordered, torch.arange(scores.shape[1]).expand_as(ordered))
        chosen = (rank < sizes[:, None]).to(z)
        soft = torch.sigmoid(scores).to(z)
        members = chosen + soft - soft.detach()  # the choice forward, the scores backward
        members = members / sizes[:, None]
        mean = members @ z
        return mean, members @ z.square() - mean.square()


def moments(z: Tensor, sets: Hypergraph) -> tuple[Tensor, Tensor]:
    """z [V, d] -> mean and variance over the members of every set, [n, d] each."""
    share = 1 / torch.from_numpy(sets.by_edge().degree).to(z).clamp(min=1)
    mean, square = (spread(sets.by_edge(), sets.by_node(), v, left=share) for v in (z, z.square()))
    return mean, square - mean.square()
