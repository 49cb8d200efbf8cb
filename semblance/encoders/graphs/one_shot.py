"""One shot: a graph from one vector, all edges at once.

    z = mean(graph) + deviation e;   decoder(z) -> chances of every node and pair, given z independent
    log p(graph) >= log p(graph | z) - weight KL( N(mean, deviation^2) || N(0, 1) )

Nodes stand in an order that follows from the structure (orders.py), instead of being matched to the decoder's. What has
more than `nodes` nodes is rebuilt of its first ones. Reference: Simonovsky & Komodakis 2018, GraphVAE, arXiv:1802.03480.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.orders import graphs_of, ordered
from semblance.encoders.graphs.variational import Variational
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


class OneShot(nn.Module):
    """inner: an encoder of graphs whose embedding has twice the width of z."""

    def __init__(
        self, inner: nn.Module, nodes: int = 20, hidden: int = 128, weight: float = 1.0, order: str = "fiedler"
    ):
        super().__init__()
        if nodes < 2:
            raise SemblanceError(f"graphs of {nodes} nodes have no pairs: give 2 or more")
        self.variational = Variational(inner)
        self.dim, self.geometry = self.variational.dim, self.variational.geometry
        self.nodes, self.weight, self.order = nodes, weight, order
        pairs = nodes * (nodes - 1) // 2
        self.decoder = nn.Sequential(
            nn.Linear(self.dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, nodes + pairs),
        )

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        states: Tensor = self.variational(batch)
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return self.variational.embed(batch)

    def log_likelihood(self, batch: Batch) -> Tensor:
        """-> [n]: the bound, in nats."""
        adjacency, sizes, _ = ordered(batch["graph"], self.order, self.nodes)
        told = self.decoder(self.embed(batch))
        there = torch.arange(self.nodes) < sizes[:, None]
        of_nodes = F.binary_cross_entropy_with_logits(told[:, : self.nodes], there.to(told), reduction="none").sum(1)
        low, high = torch.triu_indices(self.nodes, self.nodes, 1)
        pairs = F.binary_cross_entropy_with_logits(
            told[:, self.nodes :], adjacency[:, low, high].to(told), reduction="none"
        )
        of_pairs = (pairs * (there[:, low] & there[:, high])).sum(1)
        # The penalty is a mean over the batch; every graph bears an equal share.
        return -(of_nodes + of_pairs) - self.weight * self.variational.penalty

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> list[Graph]:
        """Graphs from z drawn of N(0, 1)."""
        chance = torch.sigmoid(self.decoder(torch.randn(count, self.dim, generator=generator)))
        drawn = torch.rand(chance.shape, generator=generator) < chance
        low, high = torch.triu_indices(self.nodes, self.nodes, 1)
        found = torch.zeros(count, self.nodes, self.nodes, dtype=torch.bool)
        found[:, low, high] = drawn[:, self.nodes :]
        return graphs_of(found, drawn[:, : self.nodes].sum(1).clamp(min=1))
