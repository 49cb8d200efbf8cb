"""A latent graph: who is linked to whom is drawn from a metric that learns, and messages pass over what was drawn.

    u = E(x);   logit_ij = -d(u_i, u_j) / T + Gumbel noise;   i hears its k largest j
    z = network(x, drawn [and given] edges)

The k largest of logits with Gumbel noise are k draws without replacement by softmax(-d / T). Outside training there is
no noise: the k nearest. d is that of any manifold: flat, sphere, ball, product (geometry/manifolds.py) or a neural
snowflake (geometry/snowflake.py). Drawing has no gradient; `drawn` keeps -d / T of the last pass's edges for the
objective that rewards those of nodes which came out right (objectives/drawn_edges.py). Of more than `NEAR_FROM` nodes
only the `NEAR` nearest by |u_i - u_j| are candidates.

References: Kazi et al. 2022, Differentiable graph module (DGM), arXiv:2002.04999; Borde et al. 2024, Neural snowflakes,
arXiv:2310.15003.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import features_of
from semblance.encoders.graphs.refine import united
from semblance.encoders.graphs.stack import Stack, embedded
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.manifolds import Manifold
from semblance.geometry.nearest import nearest

NEAR, NEAR_FROM = 300, 1000
PAIRS = 2**17
"""Distances at a time: a snowflake makes sixty numbers of each."""


class Latent(nn.Module):
    """coordinates: features [V, f], dense or sparse -> vectors [V, manifold.width]; stack: the network.
    given: the edges that the data has join those that are drawn."""

    drawn: Tensor | None = None

    def __init__(
        self,
        coordinates: nn.Module,
        manifold: Manifold,
        stack: Stack,
        k: int = 5,
        temperature: float = 1.0,
        given: bool = True,
    ):
        super().__init__()
        if k < 1 or temperature <= 0:
            raise SemblanceError(f"k is {k} and temperature {temperature}: give 1 or more (3 to 10), and more than 0")
        self.coordinates, self.manifold, self.stack = coordinates, manifold, stack
        self.k, self.temperature, self.given = k, temperature, given
        self.dim, self.geometry = stack.dim, stack.geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        states: Tensor = self.stack({**batch, "graph": self.infer(batch)})
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return embedded(self.forward(batch), batch, self.stack.readout)

    def infer(self, batch: Batch) -> Graph:
        """The graph that messages pass over; its edges point at who hears."""
        u = self.manifold.bring(self.coordinates(features_of(batch).to(next(self.coordinates.parameters()).dtype)))
        heard = self.draw(u)
        own = torch.arange(len(u))[:, None].expand_as(heard)
        if self.training:
            self.drawn = -self.manifold.distance(u[own], u[heard]) / self.temperature  # [V, k]
        graph: Graph = batch["graph"]
        ends = torch.stack([heard.ravel(), own.ravel()])
        if self.given:
            return united(graph, ends, graph.edge_index)
        return Graph(ends, graph.num_nodes, directed=True, member=graph.member, num_graphs=graph.num_graphs)

    @torch.no_grad()
    def draw(self, u: Tensor) -> Tensor:
        """Points [V, width] -> int64 [V, k] (fewer where there are fewer others): whom each node hears."""
        count = len(u)
        near = candidates(u)
        k = min(self.k, near.shape[1])
        rows = max(PAIRS // max(near.shape[1], 1), 1)
        found = []
        for low in range(0, count, rows):
            others = near[low : low + rows]
            logit = -self.manifold.distance(u[low : low + rows, None], u[others]) / self.temperature
            if self.training:
                logit = logit - torch.empty_like(logit).exponential_().log()  # Gumbel: -log of an exponential draw
            found.append(others.gather(1, logit.topk(k, 1).indices))
        return torch.cat(found) if found else torch.empty(0, k, dtype=torch.int64)


def candidates(u: Tensor) -> Tensor:
    """int64 [V, m]: for every point all others, or the nearest where there are many."""
    count = len(u)
    if count > NEAR_FROM:
        return torch.from_numpy(nearest(_float(u), _float(u), NEAR, "euclidean", leave_out="self")[0])
    others = torch.arange(max(count - 1, 0)).expand(count, -1)
    return others + (others >= torch.arange(count)[:, None])


def _float(u: Tensor) -> Any:
    return np.ascontiguousarray(u.detach().cpu().numpy(), np.float32)
