"""Summaries: a node is to go with what sums up the graph, and a node of shuffled features is not.

    s = sigmoid( mean_v z_v ) of a view;   score(z, s) = z^T B s
    loss = mean over views and nodes of  -log sigmoid(score(z_v, s)) - log(1 - sigmoid(score(z~_v, s)))

z are the nodes on the cleaned graph, z~ the same with their features shuffled. A view is the cleaned graph with a share
of the edges that the cleaning dropped put back at random, each pair in both directions or not at all. The encoder's
`reader` says what is clean (encoders/graphs/robust.py).
References: Velickovic et al. 2019, Deep graph infomax, arXiv:1809.10341; Li et al. 2022, STABLE, arXiv:2207.00012.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.geometry.graph import Graph


class Summaries(nn.Module):
    """dim: width of z. recover: the share of dropped edges that a view has back."""

    needs: frozenset[str] = frozenset()

    def __init__(self, dim: int, recover: float = 0.2, views: int = 2):
        super().__init__()
        self.recover, self.views = recover, views
        self.bilinear = nn.Parameter(torch.empty(dim, dim))
        nn.init.xavier_uniform_(self.bilinear)

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, told: how often a node and a shuffled one are told apart}."""
        reader: Any = model.encoder.reader  # type: ignore[union-attr]
        projected, clean, stays = reader.project(batch), reader.cleaned(batch), reader.stays(batch)
        shuffled = projected[torch.randperm(len(projected))]
        z, other = (reader.over(p, clean) for p in (projected, shuffled))
        graphs = [put_back(batch["graph"], stays, self.recover) for _ in range(self.views)]
        sums = torch.stack([reader.over(projected, graph).mean(0).sigmoid() for graph in graphs], 1)  # [d, views]
        towards = self.bilinear @ sums
        real, false = z @ towards, other @ towards  # [V, views]
        loss = F.softplus(-real).mean() + F.softplus(false).mean()
        with torch.no_grad():
            told = torch.cat([real > 0, false <= 0]).float().mean()
        return loss, {"loss": float(loss.detach()), "told": float(told)}


def put_back(graph: Graph, stays: Tensor, share: float) -> Graph:
    """Edges that stay (bool [E]) and a share of the others, from torch's stream."""
    source, target = graph.edge_index
    low, high = torch.minimum(source, target), torch.maximum(source, target)
    _, pair = torch.unique(low * graph.num_nodes + high, return_inverse=True)
    back = torch.rand(int(pair.max()) + 1 if len(pair) else 0) < share
    return graph.with_edges(stays | back[pair])
