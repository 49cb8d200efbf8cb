"""Profiles rebuilt: from its embedding a node shall tell its neighbours, and neighbours shall lie near.

    loss = mean over v of | (decoder(z_v) - a_v) * b_v |^2 / V  +  alpha * mean over edges of |z_u - z_v|^2
    b_vu = beta where there is an edge, 1 where there is none

Every step looks at `batch` random nodes and `batch` random edges. Reference: Wang, Cui & Zhu 2016, Structural Deep Network
Embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, ranges


class Rebuilt(nn.Module):
    """The decoder, of a hidden layer, trains along and is dropped afterwards."""

    needs = frozenset({"edges"})

    def __init__(self, nodes: int, dim: int, hidden: int, batch: int = 512, alpha: float = 1.0, beta: float = 10.0):
        super().__init__()
        if batch < 1 or beta < 1:
            raise SemblanceError(f"batch is {batch} and beta {beta}: give 1 or more of each")
        self.decoder = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, nodes))
        self.batch, self.alpha, self.beta = batch, alpha, beta

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, near: the mean squared distance along edges}."""
        graph: Graph = batch["graph"]
        z: Tensor = model.encoder(batch)  # type: ignore[operator]
        chosen = torch.randint(graph.num_nodes, (min(self.batch, graph.num_nodes),))
        wanted = profiles_of(graph, chosen).to(z)
        weight = torch.where(wanted != 0, self.beta, 1.0)
        error = ((self.decoder(z[chosen]) - wanted) * weight).square().mean()
        if not graph.num_edges:
            return error, {"loss": float(error.detach()), "near": 0.0}
        source, target = graph.edge_index[:, torch.randint(graph.num_edges, (self.batch,))]
        near = (z[source] - z[target]).square().sum(1).mean()
        loss = error + self.alpha * near
        return loss, {"loss": float(loss.detach()), "near": float(near.detach())}


def profiles_of(graph: Graph, nodes: Tensor) -> Tensor:
    """[n, V]: the weights of the edges that enter these nodes, by source."""
    rows = graph.rows()
    taken, counts = ranges(rows.start, nodes.numpy())
    at = torch.repeat_interleave(torch.arange(len(nodes)), torch.from_numpy(counts))
    value = (
        torch.ones(len(taken)) if graph.weight is None else graph.weight[torch.from_numpy(rows.order[taken])].float()
    )
    found = torch.zeros(len(nodes), graph.num_nodes)
    return found.index_put_((at, torch.from_numpy(rows.index[taken]).long()), value, accumulate=True)
