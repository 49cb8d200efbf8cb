"""Random node features: a share of the first states is drawn at random, so that a network tells nodes apart which it could
not otherwise.

    x_0 = given or learned features || draws of every node,    z = mean over draws of f( network(x_0) )

In training every pass draws anew. Otherwise draw number t of a node is counted from (seed, t, its place in its graph): what
a graph embeds to does not depend on its companions and repeats, and `draws` of them are averaged. Numbering the nodes of a
graph otherwise changes z, and leaves its distribution as it is. What varies: the share, the distribution (normal | uniform
on -1 .. 1 | Xavier's of both, for a matrix of the graph's nodes by `width`), the number of draws.
Reference: Abboud et al. 2021, arXiv:2010.01179.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.stack import Stack
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry

DISTRIBUTIONS = ("normal", "uniform", "xavier-normal", "xavier-uniform")


class Drawn(nn.Module):
    """The `initial` of a stack: `width` draws a node beside what `given` makes of the batch (None: nothing)."""

    def __init__(self, width: int, given: nn.Module | None = None, distribution: str = "normal", seed: int = 0):
        super().__init__()
        if distribution not in DISTRIBUTIONS:
            raise unknown("distribution", distribution, DISTRIBUTIONS)
        if width < 0 or (given is None and width == 0):
            raise SemblanceError(f"{width} drawn features and none given: draw at least one, or give some")
        self.width, self.given, self.distribution, self.seed = width, given, distribution, seed
        self.dim = width + (0 if given is None else int(given.dim))  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim]; outside training the draw of number batch["draw"], 0 where it is absent."""
        graph = batch["graph"]
        known = None if self.given is None else self.given(batch)
        if self.width == 0:
            assert known is not None
            return known
        drawn = self._anew(graph) if self.training else self._counted(graph, int(batch.get("draw", 0)))
        if known is None:
            x = batch.get("x")
            return drawn if x is None else drawn.to(x.dtype)
        return torch.cat([known, drawn.to(known)], 1)

    def _anew(self, graph: Graph) -> Tensor:
        if self.distribution.endswith("normal"):
            return torch.randn(graph.num_nodes, self.width) * self._scale(graph)
        return (2 * torch.rand(graph.num_nodes, self.width) - 1) * self._scale(graph)

    def _counted(self, graph: Graph, number: int) -> Tensor:
        place, _ = places(graph)
        rng = np.random.default_rng([self.seed, number])
        shape = (int(place.max(initial=-1)) + 1, self.width)
        table = rng.standard_normal(shape) if self.distribution.endswith("normal") else rng.uniform(-1, 1, shape)
        return torch.from_numpy(table[place]) * self._scale(graph)

    def _scale(self, graph: Graph) -> Tensor:
        """[V, 1]: what the distribution's draws are multiplied by."""
        if not self.distribution.startswith("xavier"):
            return torch.ones(1, 1)
        ends = torch.from_numpy(places(graph)[1]).float()[:, None] + self.width
        return ((2 if self.distribution.endswith("normal") else 6) / ends).sqrt()


class Averaged(nn.Module):
    """A stack whose initial features are drawn, and a small network after its read-out: the mean over `draws` of what that
    answers. In training it is the answer of one draw."""

    def __init__(self, stack: Stack, after: nn.Module, dim: int, draws: int = 4, geometry: Geometry | None = None):
        super().__init__()
        if draws < 1:
            raise SemblanceError(f"the mean over {draws} draws: give 1 or more (the study has 1, 4 and 16)")
        self.stack, self.after, self.dim, self.draws = stack, after, dim, draws
        self.geometry = stack.geometry if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, d], of one draw."""
        states: Tensor = self.stack(batch)
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        if self.training:
            return self.answer(batch)
        return torch.stack([self.answer({**batch, "draw": number}) for number in range(self.draws)]).mean(0)

    def answer(self, batch: Batch) -> Tensor:
        """-> [n, dim], of one draw."""
        z: Tensor = self.after(self.stack.embed(batch))
        return z


def places(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """int64 [V] each: every node's place in its graph, and that graph's number of nodes."""

    def look() -> tuple[np.ndarray, np.ndarray]:
        if graph.member is None:
            return np.arange(graph.num_nodes), np.full(graph.num_nodes, graph.num_nodes)
        member = graph.member.numpy()
        sizes = np.bincount(member, minlength=graph.num_graphs)
        return np.arange(len(member)) - (np.cumsum(sizes) - sizes)[member], sizes[member]

    return graph.once("places", look)
