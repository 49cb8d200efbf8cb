"""Links: a score for pairs of nodes, from their states and from a structural set of the pair.

    Product     s(i, j) = h_i . h_j
    Pooled      s(i, j) = MLP( h_i * h_j  ||  sum over u in S(i, j) of P_u h_u )
    Counted     s(i, j) = sum over common neighbours u of w(degree of u)                  no learning

S: nobody (the Hadamard MLP), the common neighbours (NCN), or the neighbours of either (NCNC), where P completes what the
graph lacks: P_u = 1 for common neighbours, else how likely the missing link of u is by the same scorer with a depth less,

    P_u = (1 - absent) sigmoid(s(i, u))   for u in N(j) only,       (1 - absent) sigmoid(s(j, u))   for u in N(i) only

w: 1 (common neighbours), 1 / log d (Adamic & Adar 2003), 1 / d (resource allocation, Zhou, Lu & Zhang 2009).
Scores do not change when i and j trade places. Reference: Wang, Yang & Zhang 2024, arXiv:2302.00890.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph, Rows
from semblance.geometry.nearest import nearest
from semblance.geometry.overlap import BOTH, SECOND, neighbours_of, overlap

SETS = ("none", "common", "union")
COUNTS = ("common-neighbours", "adamic-adar", "resource-allocation")
BLOCK = 4096
"""Pairs scored at a time where nothing is learned."""
ASKED = 512
"""Nodes whose next link is looked for at a time."""


class PairScores(nn.Module):
    """A scorer of pairs as a head. Asked about nodes, it names for each the likeliest link that it does not have yet: the
    best pair with one of the `shortlist` nodes whose states have the largest product with its own."""

    reads, answers = "representation", "units"

    def __init__(self, score: nn.Module, shortlist: int = 10):
        super().__init__()
        if shortlist < 1:
            raise SemblanceError(f"shortlist is {shortlist}, but a link is chosen among so many nodes: give 1 or more")
        self.score, self.shortlist = score, shortlist

    def pairs(self, states: Tensor, graph: Graph, one: Tensor, two: Tensor) -> Tensor:
        """states [V, d], int64 [m], [m] -> logits [m]: is there a link?"""
        if torch.is_grad_enabled():
            found: Tensor = self.score(states, graph, one, two)
            return found
        parts = zip(one.split(BLOCK), two.split(BLOCK), strict=True)
        return torch.cat([self.score(states, graph, i, j) for i, j in parts])

    def forward(self, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """[V, d] -> logits [n, shortlist] and who they are about, int64 [n, shortlist]; -1 where there is nobody."""
        graph: Graph = batch["graph"]
        near = neighbours_of(graph)
        asked = batch.get("nodes")
        every = torch.arange(graph.num_nodes) if asked is None else asked
        found = [self._strangers(states, near, nodes) for nodes in every.split(ASKED)]
        other = torch.cat(found) if found else torch.empty(0, self.shortlist, dtype=torch.int64)
        one = every[:, None].expand_as(other)
        there = other >= 0
        logits = torch.full(other.shape, -torch.inf)
        logits[there] = self.pairs(states, graph, one[there], other[there]).float()
        return logits, other

    def decode(self, prediction: tuple[Tensor, Tensor]) -> list[int | None]:
        """-> the number of the likeliest next neighbour of every node; None for one that is linked to all."""
        logits, other = prediction
        best = other.gather(1, logits.argmax(1, keepdim=True))[:, 0].tolist()
        return [None if node < 0 else node for node in best]

    def _strangers(self, states: Tensor, near: Rows, nodes: Tensor) -> Tensor:
        """int64 [n, shortlist]: nodes without a link to these, of the largest product first."""
        out = torch.full((len(nodes), self.shortlist), -1)
        asked = nodes.numpy()
        most = int(near.degree[asked].max(initial=0))
        count = min(self.shortlist + most, len(states) - 1)
        if count < 1 or not len(asked):
            return out
        position, _ = nearest(states[nodes], states, count, "inner", leave_out=asked)
        linked = np.zeros(position.shape, bool)
        owner = np.repeat(np.arange(len(asked)), near.degree[asked])
        held = np.concatenate([near.index[near.start[v] : near.start[v + 1]] for v in asked])
        known = np.sort(owner * len(states) + held)
        key = np.arange(len(asked))[:, None] * len(states) + position
        if len(known):
            linked = known[np.searchsorted(known, key).clip(max=len(known) - 1)] == key
        order = np.argsort(linked, axis=1, kind="stable")[:, : self.shortlist]
        first = np.where(np.take_along_axis(linked, order, 1), -1, np.take_along_axis(position, order, 1))
        out[:, : first.shape[1]] = torch.from_numpy(first)
        return out


class Product(nn.Module):
    """The inner product of two states: no structure but what the encoder saw."""

    def forward(self, states: Tensor, graph: Graph, one: Tensor, two: Tensor) -> Tensor:
        """-> [m]."""
        return (states[one] * states[two]).sum(1)


class Pooled(nn.Module):
    """over: the set S. depth: how often what the graph lacks is completed (union only). absent: the share by which a
    completed link counts less, 1 for not at all. through: whether gradients pass P."""

    def __init__(
        self,
        dim: int,
        hidden: int,
        over: str = "common",
        depth: int = 1,
        absent: float = 0.0,
        through: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        if over not in SETS:
            raise unknown("structural set of a pair", over, SETS)
        if over == "union" and depth < 1:
            raise SemblanceError(f"depth is {depth}, but the union is completed: give 1 or 2, or over='common'")
        if not 0 <= absent <= 1:
            raise SemblanceError(f"absent is {absent}, but it is a share: give a number from 0 to 1")
        self.over, self.absent, self.through = over, absent, through
        self.depth = depth if over == "union" else 0
        self.answer = nn.Sequential(
            nn.Linear(dim if over == "none" else 2 * dim, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, states: Tensor, graph: Graph, one: Tensor, two: Tensor) -> Tensor:
        """-> [m]."""
        if self.over == "none":
            logits: Tensor = self.answer(states[one] * states[two])
            return logits[:, 0]
        return self._scored(states, neighbours_of(graph), one, two, self.depth)

    def _scored(self, states: Tensor, near: Rows, one: Tensor, two: Tensor, depth: int) -> Tensor:
        sets = overlap(near, one, two, union=depth > 0)
        weight = None
        if depth:
            side, owner = torch.from_numpy(sets.side), sets.owner()
            apart = side != BOTH
            far = torch.where(side == SECOND, one[owner], two[owner])[apart]  # the end that lacks the link to u
            node = torch.from_numpy(sets.node).long()[apart]
            with torch.set_grad_enabled(self.through and torch.is_grad_enabled()):
                missing = self._missing(states, near, far, node, depth - 1)
            weight = states.new_ones(len(side)).masked_scatter(apart, (1 - self.absent) * missing)
        pooled = sets.summed(states, weight)
        logits: Tensor = self.answer(torch.cat([states[one] * states[two], pooled], 1))
        return logits[:, 0]

    def _missing(self, states: Tensor, near: Rows, far: Tensor, node: Tensor, depth: int) -> Tensor:
        """The probability of each link (far, node), each pair asked once."""
        key = torch.minimum(far, node) * len(states) + torch.maximum(far, node)
        pairs, place = torch.unique(key, return_inverse=True)
        low, high = torch.div(pairs, len(states), rounding_mode="floor"), pairs % len(states)
        return self._scored(states, near, low, high, depth).sigmoid()[place]


class Counted(nn.Module):
    """Common neighbours, each counted by its degree: what the edges alone say."""

    def __init__(self, how: str = "common-neighbours"):
        super().__init__()
        if how not in COUNTS:
            raise unknown("count of common neighbours", how, COUNTS)
        self.how = how

    def forward(self, states: Tensor, graph: Graph, one: Tensor, two: Tensor) -> Tensor:
        """-> [m]; the states are not read."""
        near = neighbours_of(graph)
        degree = torch.from_numpy(near.degree).double()
        worth = {
            "common-neighbours": torch.ones_like(degree),
            "adamic-adar": 1 / degree.clamp(min=2).log(),
            "resource-allocation": 1 / degree.clamp(min=1),
        }[self.how]
        return overlap(near, one, two).summed(worth[:, None])[:, 0]
