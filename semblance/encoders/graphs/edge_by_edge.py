"""Edge by edge: a graph as a sequence of nodes, each with its links to those before it, each link told from the last.

    state_i = GRU( state_i-1, links of node i to the `reach` nodes before it )
    p(link j of node i + 1 | all before) = sigmoid( w . GRU'( start from state_i; link j - 1 ) )

A node without links to earlier ones ends the graph. Nodes stand breadth first, so that links do not reach far back. The
embedding is the state after the last node. Reference: You et al. 2018, GraphRNN, arXiv:1802.08773.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.orders import graphs_of, ordered
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Euclidean, Geometry


class EdgeByEdge(nn.Module):
    """nodes: that are read and written at most; reach: how far back links are told, 0: to all."""

    def __init__(
        self, dim: int = 64, nodes: int = 20, reach: int = 0, of_links: int = 16, geometry: Geometry | None = None
    ):
        super().__init__()
        if nodes < 2 or reach < 0:
            raise SemblanceError(f"{nodes} nodes and a reach of {reach}: give 2 or more, and 0 or more")
        self.nodes, self.reach = nodes, min(reach or nodes - 1, nodes - 1)
        self.outer = nn.GRU(self.reach, dim, batch_first=True)
        self.start, self.inner, self.link = nn.Linear(dim, of_links), nn.GRUCell(1, of_links), nn.Linear(of_links, 1)
        self.dim, self.geometry = dim, Euclidean() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]: that after the node, for what lies behind the last one read the last."""
        links, _ = self._links(batch["graph"])
        place = ordered(batch["graph"], "breadth", self.nodes)[2].clamp(max=self.nodes - 1)
        member = batch["graph"].member
        states = self._states(links)[:, 1:]
        found: Tensor = states[torch.zeros_like(place) if member is None else member, place]
        return found

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        links, sizes = self._links(batch["graph"])
        return self._states(links)[torch.arange(len(links)), sizes]

    def log_likelihood(self, batch: Batch) -> Tensor:
        """-> [n], in nats, of the links in this order and of the end."""
        return self.of_links(*self._links(batch["graph"]))

    def of_links(self, links: Tensor, sizes: Tensor) -> Tensor:
        """links [n, N, M], of every node to those before it, sizes [n] -> [n]."""
        # The states before each node, the first aside, which links to none; what follows the last node are no links.
        before = self._states(links)[:, 1:]  # [n, N, d]: state i tells of node i + 1
        asked = torch.cat([links[:, 1:], links.new_zeros(len(links), 1, self.reach)], 1)  # [n, N, M]
        state = self.start(before).flatten(0, 1)
        last, total = state.new_zeros(len(state), 1), []
        for j in range(self.reach):
            state = self.inner(last, state)
            last = asked[:, :, j].reshape(-1, 1).to(state)
            total.append(F.binary_cross_entropy_with_logits(self.link(state), last, reduction="none"))
        each = torch.cat(total, 1).view(len(links), self.nodes, self.reach)
        number = torch.arange(self.nodes)
        # Node i + 1 can only link to i + 1 nodes; the graph's end is told where there is room for one more node.
        told = (torch.arange(self.reach) <= number[:, None]) & (number < sizes[:, None])[:, :, None]
        told = told & (number < self.nodes - 1)[:, None]
        return -(each * told).sum((1, 2))

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> list[Graph]:
        """Graphs, one node after the other."""
        found = torch.zeros(count, self.nodes, self.nodes, dtype=torch.bool)
        sizes, grows = torch.ones(count, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
        links, held = torch.zeros(count, 1, self.reach), None
        for node in range(1, self.nodes):
            state, held = self.outer(links, held)
            inside, last = self.start(state[:, 0]), torch.zeros(count, 1)
            links = torch.zeros(count, 1, self.reach)
            for j in range(min(self.reach, node)):
                inside = self.inner(last, inside)
                chance = torch.sigmoid(self.link(inside))
                last = (torch.rand(chance.shape, generator=generator) < chance).float()
                links[:, 0, j] = last[:, 0]
            grows = grows & (links[:, 0] > 0).any(1)
            if not bool(grows.any()):
                break
            back = min(self.reach, node)
            found[:, node - back : node, node] = (links[:, 0, :back].flip(1) > 0) & grows[:, None]
            sizes += grows
        return graphs_of(found, sizes)

    def _links(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """[n, N, M]: of every node to the nodes before it, the nearest first; and the sizes [n]."""
        adjacency, sizes, _ = ordered(graph, "breadth", self.nodes)
        back = torch.arange(self.nodes)[:, None] - 1 - torch.arange(self.reach)
        links = adjacency.gather(2, back.clamp(min=0).expand(len(adjacency), -1, -1)) * (back >= 0)
        return links, sizes

    def _states(self, links: Tensor) -> Tensor:
        """[n, N + 1, d]: at first zeros, then that after every node."""
        dtype = self.start.weight.dtype
        states = self.outer(links.to(dtype))[0] if len(links) else links.new_zeros(0, self.nodes, self.dim, dtype=dtype)
        return torch.cat([states.new_zeros(len(links), 1, self.dim), states], 1)
