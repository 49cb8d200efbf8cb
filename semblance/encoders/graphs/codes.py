"""Codes: every node's neighbourhood as one entry of a codebook, from which state and edges are read back.

    h = layer_1(x, graph)                           tokens: what a node and its neighbours are
    c_v = the code of largest cosine with h_v       forward: c_v;  backward: as if it were h_v (straight-through)
    z = layer_2(W_e c, graph)                       what a head reads
    penalty = commitment |h - c|^2  +  state |W_n c - h|^2  +  edges sqrt( mean over pairs u != v of (A_uv - s_uv)^2 )

s_uv = (1 + cos(W_e c_u, W_e c_v)) / 2 lies in 0..1. Its squares sum up by the Gram matrix of the directions, so all pairs
count and none is formed. Codes are running means of the states that they stand for; those of the first pass are states, and
those that nobody takes any more become states again.
Reference: Yang et al. 2024, arXiv:2308.02117; van den Oord et al. 2017, arXiv:1711.00937 (vector quantisation).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread
from semblance.geometry.spaces import Geometry, Sphere

DEAD = 0.05
"""Mass of a code (a running mean of how many states take it) below which it is laid on a state anew: states move quickly in
the first steps, and codes that stay behind are nobody's nearest for good. Without it 7 of 1,024 were in use on Cora."""


class Codes(nn.Module):
    """`count` codes of a width. decay: the share of the past in a code's mean."""

    codes: Tensor
    mass: Tensor
    total: Tensor
    filled: Tensor

    def __init__(self, count: int, width: int, decay: float = 0.8):
        super().__init__()
        if count < 2:
            raise SemblanceError(f"a codebook of {count}: give 2 codes or more (1024 to 4096 is usual)")
        if not 0 <= decay < 1:
            raise SemblanceError(f"decay is {decay}, but it is the share of the past: give 0 up to below 1")
        self.decay = decay
        for name, start in (("codes", torch.randn(count, width)), ("total", torch.zeros(count, width))):
            self.register_buffer(name, start)
        self.register_buffer("mass", torch.ones(count))
        self.register_buffer("filled", torch.tensor(False))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """h [V, width] -> codes [V, width], with the gradient of h, and their numbers [V]; in training the codes follow."""
        with torch.no_grad():
            if self.training and not bool(self.filled):
                self._fill(h)
            number = self.numbers(h)
            chosen = self.codes[number]
            if self.training:
                self._follow(h, number)
        return h + (chosen - h).detach(), number

    def numbers(self, h: Tensor) -> Tensor:
        """int64 [V]: the code of largest cosine."""
        return (F.normalize(h, dim=1) @ F.normalize(self.codes, dim=1).T).argmax(1)

    def _fill(self, h: Tensor) -> None:
        count = len(self.codes)
        order = torch.randperm(len(h), device=h.device)
        # Where there are fewer states than codes, the rest are states moved a little, so that no two codes are one.
        taken = h[order.repeat(-(-count // len(h)))[:count]]
        extra = 1e-2 * h.std() * torch.randn_like(taken)
        extra[: len(h)] = 0
        self.codes.copy_(taken + extra)
        self.total.copy_(self.codes)
        self.filled.fill_(True)

    def _follow(self, h: Tensor, number: Tensor) -> None:
        found = torch.bincount(number, minlength=len(self.codes)).to(h.dtype)
        self.mass.lerp_(found, 1 - self.decay)
        self.total.lerp_(torch.zeros_like(self.total).index_add_(0, number, h), 1 - self.decay)
        used = found > 0
        self.codes[used] = self.total[used] / self.mass[used, None]
        dead = torch.nonzero(self.mass < DEAD).ravel()
        if len(dead):
            self.codes[dead] = self.total[dead] = h[torch.randint(len(h), (len(dead),), device=h.device)]
            self.mass[dead] = 1.0


class Tokenised(nn.Module):
    """first, second: layers on the graph, the first as wide as the codes. The weights are those of the penalty, which is
    left in `penalty` at every pass in training (`objectives/penalised.py`)."""

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        codes: Codes,
        initial: nn.Module | None = None,
        dropout: float = 0.0,
        commitment: float = 0.25,
        state: float = 1.0,
        edges: float = 1.0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        width = codes.codes.shape[1]
        self.initial, self.first, self.second, self.codes = initial, first, second, codes
        self.state, self.link = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout, self.weights = nn.Dropout(dropout), (commitment, state, edges)
        self.dim = int(second.dim)  # type: ignore[arg-type]
        self.geometry = Sphere() if geometry is None else geometry
        self.penalty: Tensor | float = 0.0

    def tokens(self, batch: Batch) -> Tensor:
        """-> h [V, width], before it is a code."""
        x = batch["x"] if self.initial is None else self.initial(batch)
        states: Tensor = torch.relu(self.first(self.dropout(x), batch["graph"]))
        return states

    def numbers(self, batch: Batch) -> Tensor:
        """-> int64 [V], every node's code."""
        return self.codes.numbers(self.tokens(batch))

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim]."""
        h = self.tokens(batch)
        chosen, number = self.codes(h)
        linked = self.link(chosen)
        if self.training:
            commitment, state, edges = self.weights
            kept = F.mse_loss(h, self.codes.codes[number].detach())
            read = F.mse_loss(self.state(chosen), h.detach())
            self.penalty = commitment * kept + state * read + edges * edge_error(linked, batch["graph"]).sqrt()
        out: Tensor = torch.relu(self.second(self.dropout(linked), batch["graph"]))
        return out

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]: the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")


def edge_error(x: Tensor, graph: Graph) -> Tensor:
    """x [V, c] -> the mean over ordered pairs u != v of (A_uv - s_uv)^2, from V c^2 + E c operations."""
    simple = graph.once("no loops", graph.without_loops)
    unit = F.normalize(x, dim=1)
    nodes, gram = len(x), unit.T @ unit
    every = (nodes**2 + 2 * unit.sum(0).square().sum() + gram.square().sum()) / 4  # of s^2, u = v included, where s = 1
    linked = (simple.num_edges + (unit * spread(simple.rows(), simple.columns(), unit)).sum()) / 2  # of s over edges
    total = every - nodes + simple.num_edges - 2 * linked
    return total.clamp_min(1e-12) / max(nodes * (nodes - 1), 1)
