"""Links: what is related shall score higher than what is not, score(i, j) = z_i . z_j.

    bpr             -log sigmoid(s_ij - s_ik)                     Rendle et al. 2009, arXiv:1205.2618
    cross-entropy   -log sigmoid(s_ij) - log sigmoid(-s_ik)       Kipf & Welling 2016, arXiv:1611.07308 (graph autoencoder)
    + decay / 2 * (|e_i|^2 + |e_j|^2 + |e_k|^2)                   e: the encoder's own table, where it has one

Every step draws edges i -> j of the training graph, and for each one or several k that i has no edge to, uniformly: among
the items where users and items are told apart, else among all nodes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph

LOSSES = ("bpr", "cross-entropy")
ROUNDS = 4  # times that drawn negatives which are edges are drawn again; a node linked to nearly all keeps a few


class Links(nn.Module):
    """batch edges a step; users: nodes below this number are users, the others items (0: no sides)."""

    needs = frozenset({"edges"})

    def __init__(self, loss: str = "bpr", batch: int = 8192, negatives: int = 1, decay: float = 0.0, users: int = 0):
        super().__init__()
        if loss not in LOSSES:
            raise unknown("loss of links", loss, LOSSES)
        if batch < 1 or negatives < 1:
            raise SemblanceError(f"batch is {batch} and negatives {negatives}: give 1 or more of each")
        self.loss, self.batch, self.negatives, self.decay, self.users = loss, batch, negatives, decay, users

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, accuracy: how often the edge scores higher}."""
        source, target, other = self.draw(batch["graph"])
        z: Tensor = model.encoder(batch)  # type: ignore[operator]
        linked = (z[source] * z[target]).sum(1, keepdim=True)  # [n, 1]
        apart = (z[source][:, None] * z[other]).sum(2)  # [n, negatives]
        if self.loss == "bpr":
            loss = F.softplus(apart - linked).mean()
        else:
            loss = F.softplus(-linked).mean() + F.softplus(apart).mean()
        with torch.no_grad():
            right = (linked > apart).float().mean()
        metrics = {"loss": float(loss.detach()), "accuracy": float(right)}
        own = getattr(model.encoder, "own", None)
        if self.decay and own is not None:
            size = own[source].square().sum() + own[target].square().sum() + own[other].square().sum() / self.negatives
            loss = loss + self.decay / 2 * size / len(source)
        return loss, metrics

    def draw(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """source, target int64 [n], other int64 [n, negatives], from torch's stream."""
        forward, known = graph.once(("links", self.users), lambda: _edges(graph, self.users))
        if not len(known):
            raise SemblanceError("the graph has no edge to learn from: give some, or a recipe that reads features")
        picked = torch.randint(len(forward), (self.batch,))
        source, target = graph.edge_index[:, forward[picked]]
        first = self.users
        count = graph.num_nodes - first
        other = first + torch.randint(count, (self.batch, self.negatives))
        for _ in range(ROUNDS):
            key = source[:, None] * graph.num_nodes + other
            place = torch.searchsorted(known, key).clamp_(max=len(known) - 1)
            taken = known[place] == key
            number = int(taken.sum())
            if not number:
                break
            other[taken] = first + torch.randint(count, (number,))
        return source, target, other


def _edges(graph: Graph, users: int) -> tuple[Tensor, Tensor]:
    """Positions of the edges to draw from (the users' where there are users, no loops), and all pairs as sorted numbers."""
    source, target = graph.edge_index
    forward = torch.nonzero((source < users) if users else (source != target)).ravel()
    loops = torch.arange(graph.num_nodes)
    known = torch.cat([source * graph.num_nodes + target, loops * graph.num_nodes + loops])
    return forward, torch.unique(known) if len(forward) else known[:0]
