"""Positions: where a node is, told by numbers that do not depend on how nodes are numbered.

    walks      P^k_vv for k = 1 .. K: how likely a random walk is back after k steps
    spectral   the entries of the eigenvectors of the K least eigenvalues above the first of I - D^-1/2 A D^-1/2, of either
               sign: in training the signs are drawn, else the entry of largest magnitude is positive

Both look at unweighted edges without their directions. (D^-1 A)^k has the diagonal of S^k with S = D^-1/2 A D^-1/2, and
that of S^(a+b) is the row sum of S^a * S^b: half of the powers are enough. References: Dwivedi et al. 2022,
arXiv:2110.07875; Dwivedi & Bresson 2021, arXiv:2012.09699.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.drawn import places
from semblance.encoders.graphs.operators import operator_of
from semblance.errors import unknown
from semblance.geometry.graph import Graph

POSITIONS = ("none", "walks", "spectral")
TOGETHER = 2048  # columns of a power at a time


class Positions(nn.Module):
    """The `initial` of an encoder: what `given` makes of the batch, plus `count` numbers that say where a node is, through
    batch norm, without which what tells two walks apart is a thousandth of what they share, and a linear map."""

    def __init__(self, given: nn.Module, kind: str = "walks", count: int = 16):
        super().__init__()
        if kind not in POSITIONS:
            raise unknown("positions", kind, POSITIONS)
        self.given, self.kind, self.count, self.dim = given, kind, count, int(given.dim)  # type: ignore[arg-type]
        self.map = nn.Sequential(nn.BatchNorm1d(count), nn.Linear(count, self.dim)) if kind != "none" else None

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim]."""
        states: Tensor = self.given(batch)
        if self.map is None:
            return states
        graph = batch["graph"]
        if self.kind == "walks":
            where = walks(graph, self.count)
        else:
            where = spectral(graph, self.count)
            if self.training:
                where = where * (2.0 * torch.randint(0, 2, (graph.num_graphs, self.count)) - 1)[_member(graph)]
        placed: Tensor = self.map(where.to(states.dtype))
        return states + placed


def walks(graph: Graph, steps: int = 16) -> Tensor:
    """[V, steps] float64; kept with the graph."""
    return graph.once(("walks", steps), lambda: torch.from_numpy(_returns(graph, steps)))


def _returns(graph: Graph, steps: int) -> np.ndarray:
    matrix = _bare(graph)
    found = np.zeros((graph.num_nodes, steps))
    for low in range(0, graph.num_nodes, TOGETHER):
        part = np.arange(low, min(low + TOGETHER, graph.num_nodes))
        one = sparse.csr_array((np.ones(len(part)), (part, np.arange(len(part)))), shape=(graph.num_nodes, len(part)))
        powers = [one]
        for _ in range((steps + 1) // 2):
            powers.append(matrix @ powers[-1])
        for k in range(1, steps + 1):
            found[part, k - 1] = np.asarray(powers[(k + 1) // 2].multiply(powers[k // 2]).sum(0)).ravel()
    return found


def spectral(graph: Graph, count: int) -> Tensor:
    """[V, count] float64, zeros where a graph has fewer eigenvectors; kept with the graph."""
    return graph.once(("spectral", count), lambda: torch.from_numpy(_vectors(graph, count)))


def _vectors(graph: Graph, count: int) -> np.ndarray:
    matrix, found = _bare(graph), np.zeros((graph.num_nodes, count))
    _, sizes = places(graph)
    v = 0
    while v < graph.num_nodes:
        size = int(sizes[v])
        _, vectors = np.linalg.eigh(np.eye(size) - matrix[v : v + size, v : v + size].toarray())
        held = vectors[:, 1 : count + 1]
        if held.size:
            most = np.take_along_axis(held, np.abs(held).argmax(0)[None], 0)
            found[v : v + size, : held.shape[1]] = held * np.where(most < 0, -1, 1)
        v += size
    return found


def _bare(graph: Graph) -> sparse.csr_array:
    """D^-1/2 A D^-1/2 of the edges alone."""
    plain = replace(graph, weight=None, sign=None, time=None, kind=None, edge_x=None, kept={})
    return operator_of(plain.undirected(), "symmetric").matrix()


def _member(graph: Graph) -> Tensor:
    return torch.zeros(graph.num_nodes, dtype=torch.int64) if graph.member is None else graph.member
