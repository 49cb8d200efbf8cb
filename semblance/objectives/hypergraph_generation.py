"""Generation on a hypergraph: what is masked shall be told from what is left.

    memberships   a share is left out; who was a member, told from nodes drawn uniformly:
                  softplus(-t) + softplus(t'),  t = z_v^T W h_e,  h_e the mean of the members that e is left with
    features      rows of a share of the nodes become zeros; a linear map of z gives them back: 1 - cosine, averaged over
                  the masked nodes (the length of a bag of words says little)

Du et al. 2022, Self-supervised hypergraph transformer; Kim et al. 2024, arXiv:2404.00638 (HypeBoy).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.data.hypergraph_views import with_memberships, without_rows
from semblance.errors import SemblanceError, unknown
from semblance.geometry.hypergraph import Hypergraph
from semblance.objectives.hyperedges import moments

TARGETS = ("memberships", "features")


class HypergraphGeneration(nn.Module):
    """dim: of the embedding; features: columns of x, where they are to be given back; mask: the share that is masked."""

    def __init__(self, dim: int, target: str = "memberships", features: int = 0, mask: float = 0.3):
        super().__init__()
        if target not in TARGETS:
            raise unknown("target of generation", target, TARGETS)
        if target == "features" and not features:
            raise SemblanceError("the nodes have no features to give back: take target=memberships")
        if not 0 < mask < 1:
            raise SemblanceError(f"the share that is masked is {mask}: give a number between 0 and 1")
        self.target, self.mask = target, mask
        self.judge = nn.Bilinear(dim, dim, 1) if target == "memberships" else None
        self.back = nn.Linear(dim, features) if target == "features" else None
        self.needs: frozenset[str] = frozenset()

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss}."""
        loss = self._memberships(model, batch) if self.judge is not None else self._features(model, batch)
        return loss, {"loss": float(loss.detach())}

    def _memberships(self, model: Any, batch: Batch) -> Tensor:
        assert self.judge is not None
        hypergraph: Hypergraph = batch["graph"]
        masked = _some(len(hypergraph.node), self.mask)
        rest = with_memberships(hypergraph, ~masked)
        z: Tensor = model.encoder({**batch, "graph": rest}).float()
        of_edges = moments(z, rest)[0]
        node, edge = hypergraph.node[masked], hypergraph.edge[masked]
        other = torch.randint(hypergraph.num_nodes, (len(node),))
        real, drawn = (self.judge(z[v], of_edges[edge])[:, 0] for v in (node, other))
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    def _features(self, model: Any, batch: Batch) -> Tensor:
        assert self.back is not None
        x: Tensor = batch["x"]
        masked = _some(len(x), self.mask)
        z: Tensor = model.encoder({**batch, "x": without_rows(x, ~masked)}).float()
        rows = (x if x.layout == torch.strided else x.to_dense())[masked]
        return (1 - F.cosine_similarity(self.back(z[masked]), rows, dim=1)).mean()


def _some(count: int, share: float) -> Tensor:
    """bool [count], this share of it and at least one, drawn from torch's stream."""
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.randperm(count)[: max(1, round(share * count))]] = True
    return chosen
