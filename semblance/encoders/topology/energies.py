"""Energies of a hypergraph: states that descend from what a network says of each node to what its hyperedges agree on.

    E(Y) = |Y - F|^2 + l0 sum_e sum_{i, j in e} |y_i H0 - y_j|^2 + l1 sum_e sum_{i in e} |y_i H1 - z_e|^2  (+ Y >= 0)

with z_e the mean of y over e. One step is a preconditioned gradient step, then (where Y >= 0) the projection:

    Y <- relu( (1 - a) Y + a Q^-1 G ),      Q = l0 D_C + l1 D_S + 1
    G = F + l0 [A_C Y (H0 + H0^T) - D_C Y H0 H0^T] + l1 [L_S Y + A_S Y (H1 + H1^T) - D_S Y H1 H1^T]
    G = F + l0 A_C Y + l1 A_S Y             plain: H0 = H1 = 1 and every pair of a hyperedge counted once

A_C, D_C: pairs that share hyperedges and their degrees; A_S = B D_e^-1 B^T, D_S its row sums, L_S = D_S - A_S. Plain and
without the projection the steps end in (1 + l0 L_C + l1 L_S)^-1 F, L_C = D_C - A_C, and the energy never rises. B holds
memberships and is weighted by hyperedges; no pair is ever listed: A_C is B B^T less its diagonal. A graph is read as the
hypergraph of its neighbourhoods. Wang et al. 2023, arXiv:2306.09623 (PhenomNN). The gradient goes through all steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.encoders.topology.hypergraph import as_hypergraph, to_hyperedges, to_nodes
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph

POSITIVE = ("every", "last", "never")


@dataclass(frozen=True)
class Scales:
    """Of a hypergraph, in one precision: w [M] the hyperedges' weights, share [M] = w / D_e, itself [V] the diagonal of
    B W B^T, clique [V] = D_C and star [V] = D_S."""

    weight: Tensor
    share: Tensor
    itself: Tensor
    clique: Tensor
    star: Tensor


def scales_of(hypergraph: Hypergraph, dtype: torch.dtype) -> Scales:
    """Found once and kept with the hypergraph."""
    return hypergraph.once(("energy scales", dtype), lambda: _scales(hypergraph, dtype))


def _scales(hypergraph: Hypergraph, dtype: torch.dtype) -> Scales:
    node, edge = hypergraph.node, hypergraph.edge
    held = torch.ones(len(node)) if hypergraph.membership is None else hypergraph.membership
    held = held.to(dtype)
    weight = torch.ones(hypergraph.num_edges) if hypergraph.weight is None else hypergraph.weight
    weight = weight.to(dtype)
    size = held.new_zeros(hypergraph.num_edges).index_add(0, edge, held)
    share = torch.where(size > 0, weight / torch.where(size > 0, size, 1), 0)

    def at_nodes(values: Tensor) -> Tensor:
        return values.new_zeros(hypergraph.num_nodes).index_add(0, node, values)

    itself = at_nodes(weight[edge] * held**2)
    clique = at_nodes(held * (weight * size)[edge]) - itself
    return Scales(weight, share, itself, clique, at_nodes(held * weight[edge]))


class EnergyDescent(nn.Module):
    """The layer: F [V, C], graph -> Y [V, C] after `steps` steps from Y = F.

    clique, star: l0 and l1. mixed: H0 and H1 are learned, from 1 + noise of deviation 1 / C; else plain. step: a; None: 1 /
    (1 + l0 + l1). positive: where Y >= 0 is asked for: after every step, after the last, or never.
    """

    def __init__(
        self,
        channels: int,
        clique: float = 1.0,
        star: float = 1.0,
        steps: int = 16,
        mixed: bool = False,
        step: float | None = None,
        positive: str = "every",
    ):
        super().__init__()
        if positive not in POSITIVE:
            raise unknown("place of the projection", positive, POSITIVE)
        if clique < 0 or star < 0:
            raise SemblanceError(f"the energy weighs its terms by {clique:g} and {star:g}: give weights of 0 or more")
        if steps < 0:
            raise SemblanceError(f"steps is {steps}: descend 0 times or more")
        self.clique, self.star, self.steps, self.positive, self.dim = clique, star, steps, positive, channels
        self.step = 1 / (1 + clique + star) if step is None else step
        self.mixed = mixed
        self.of_clique = _near_identity(channels) if mixed and clique else None
        self.of_star = _near_identity(channels) if mixed and star else None

    def forward(self, x: Tensor, graph: Hypergraph | Graph) -> Tensor:
        """x: [V, C], what the energy pulls towards."""
        return self.states(x, graph)[-1] if self.steps else x

    def states(self, x: Tensor, graph: Hypergraph | Graph) -> list[Tensor]:
        """Y after every step, the start first; the last one as `forward` gives it."""
        hypergraph = as_hypergraph(graph)
        scales = scales_of(hypergraph, x.dtype)
        inverse = self.step / (1 + self.clique * scales.clique + self.star * scales.star)[:, None]
        y = F.relu(x) if self.positive == "every" else x
        found = [y]
        target = self._mixed_target if self.mixed else self._plain_target
        for number in range(self.steps):
            y = torch.addcmul((1 - self.step) * y, inverse, target(x, y, hypergraph, scales))
            last = number == self.steps - 1
            y = F.relu(y) if self.positive == "every" or (last and self.positive == "last") else y
            found.append(y)
        return found

    def _plain_target(self, x: Tensor, y: Tensor, hypergraph: Hypergraph, scales: Scales) -> Tensor:
        # Both terms go through the hyperedges together: B (l0 W + l1 W D_e^-1) B^T.
        middle = self.clique * scales.weight + self.star * scales.share
        around = to_nodes(to_hyperedges(y, hypergraph), hypergraph, right=middle)
        return x + around - self.clique * scales.itself[:, None] * y

    def _mixed_target(self, x: Tensor, y: Tensor, hypergraph: Hypergraph, scales: Scales) -> Tensor:
        edges, out = to_hyperedges(y, hypergraph), x
        if self.of_clique is not None:
            h = self.of_clique
            near = to_nodes(edges, hypergraph, right=scales.weight) - scales.itself[:, None] * y
            out = out + self.clique * (near @ (h + h.t()) - scales.clique[:, None] * (y @ (h @ h.t())))
        if self.of_star is not None:
            h, degree = self.of_star, scales.star[:, None]
            near = to_nodes(edges, hypergraph, right=scales.share)
            out = out + self.star * (degree * y - near + near @ (h + h.t()) - degree * (y @ (h @ h.t())))
        return out

    @torch.no_grad()
    def energies(self, x: Tensor, graph: Hypergraph | Graph) -> list[float]:
        """E of the states before every step and after the last, without the indicator of Y >= 0."""
        hypergraph = as_hypergraph(graph)
        return [float(self.energy(x, y, hypergraph)) for y in self.states(x, graph)]

    def energy(self, x: Tensor, y: Tensor, hypergraph: Hypergraph) -> Tensor:
        """E(Y), from Laplacians: no pair is listed."""
        scales = scales_of(hypergraph, x.dtype)
        edges = to_hyperedges(y, hypergraph)
        around = to_nodes(edges, hypergraph, right=scales.weight) - scales.itself[:, None] * y
        shared = to_nodes(edges, hypergraph, right=scales.share)
        total = (y - x).square().sum()
        if self.clique:
            h = y if self.of_clique is None else y @ self.of_clique
            # Mixed, the pairs are ordered; plain, each counts once.
            both = (scales.clique[:, None] * (h.square() + y.square())).sum() - 2 * (h * around).sum()
            total = total + self.clique * (both if self.mixed else both / 2)
        if self.star:
            h = y if self.of_star is None else y @ self.of_star
            apart = (scales.star[:, None] * h.square()).sum() - 2 * (h * shared).sum() + (y * shared).sum()
            total = total + self.star * apart
        return total


def _near_identity(channels: int) -> nn.Parameter:
    # Deviation 1 / C, as in the public code: with 1 / sqrt(C) the noise has twice the norm of the identity, and steps of 1
    # do not descend.
    return nn.Parameter(torch.eye(channels) + torch.randn(channels, channels) / channels)
