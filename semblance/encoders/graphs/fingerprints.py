"""Fingerprints of molecules: a graph as a histogram over the neighbourhoods of its atoms, hashed or learned.

    Circular       c_0 = hash of an atom's features, c_l = hash( c_l-1, multiset of neighbours' ), bit c_l mod length is set
    Fingerprint    v_a = x_a + sum over neighbours x_b [bond features beside them],   x_a = f( H_l^(degree) v_a + b )
                   z = sum over atoms a and l = 0 .. R of softmax( W_l x_a )

The second replaces hash and index of the first by a layer and a softmax: large random weights make hashes of layers.
Its entries add up to atoms x (R + 1). Hashes are those of the neighbourhood trees in `subtrees.py`. What varies: layers,
one matrix per degree (the last for all larger ones), batch norm over atoms, f, length, scale of the weights.
References: Duvenaud et al. 2015, arXiv:1509.09292; Rogers & Hahn 2010, Extended-Connectivity Fingerprints.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.stack import Stack, embedded
from semblance.encoders.graphs.subtrees import Subtrees
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread
from semblance.geometry.spaces import Geometry, Sphere


class Circular(nn.Module):
    """graphs -> [n, length] of zeros and ones; nothing is learned. Nodes, where there is one graph, are their own trees."""

    def __init__(self, radius: int = 4, length: int = 2048, geometry: Geometry | None = None):
        super().__init__()
        if length < 1:
            raise SemblanceError(f"a fingerprint of length {length}: give 1 or more (50 to 2048 is usual)")
        self.trees, self.dim = Subtrees(radius, radius + 1), length
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, length]: the bits of every atom's neighbourhoods."""
        hashes = self.trees(batch).numpy().view(np.uint64)
        place = torch.from_numpy((hashes % np.uint64(self.dim)).astype(np.int64))
        return torch.zeros(len(place), self.dim).scatter_(1, place, 1.0)

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, length]."""
        return embedded(self.forward(batch), batch, "max")


class ByDegree(nn.Module):
    """A layer with a matrix for every number of neighbours, 1 .. degrees: fewer count as 1, more as `degrees`.

    bonds: width of the edge features, which stand beside a neighbour's where the graph has them (0: not read).
    """

    def __init__(self, inputs: int, outputs: int, degrees: int = 5, bonds: int = 0):
        super().__init__()
        if degrees < 1:
            raise SemblanceError(f"matrices for {degrees} degrees: give 1 or more")
        self.weight = nn.Parameter(torch.empty(degrees, outputs, inputs + bonds))
        self.bias = nn.Parameter(torch.zeros(outputs))
        for each in self.weight:
            nn.init.xavier_uniform_(each)
        self.bonds, self.dim = bonds, outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, outputs]."""
        around = spread(graph.rows(), graph.columns(), x, own=1.0)
        if self.bonds:
            around = torch.cat([around, self._bonds(x, graph)], 1)
        order, back, counts = self._by_degree(graph)
        parts = around[order].split(counts)
        mapped = torch.cat([part @ weight.T for part, weight in zip(parts, self.weight, strict=True)])
        return mapped[back] + self.bias

    def _bonds(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, bonds]: the sum over each atom's edges."""
        if graph.edge_x is None or graph.edge_x.shape[1] != self.bonds:
            held = "none" if graph.edge_x is None else str(graph.edge_x.shape[1])
            raise SemblanceError(f"edges have {held} features and {self.bonds} are read: set bonds to what they have")
        return x.new_zeros(graph.num_nodes, self.bonds).index_add(0, graph.edge_index[1], graph.edge_x.to(x.dtype))

    def _by_degree(self, graph: Graph) -> tuple[Tensor, Tensor, list[int]]:
        """The atoms ordered by degree, where each of them went, and how many share a matrix."""

        def look() -> tuple[Tensor, Tensor, list[int]]:
            kind = np.clip(graph.rows().degree, 1, len(self.weight)) - 1
            order = np.argsort(kind, kind="stable")
            counts = np.bincount(kind, minlength=len(self.weight)).tolist()
            return torch.from_numpy(order), torch.from_numpy(np.argsort(order)), counts

        return graph.once(("by degree", len(self.weight)), look)


class Fingerprint(nn.Module):
    """The learned fingerprint: graphs -> [n, length].

    norm: None, or "batch" over atoms. scale: what all weights are multiplied by at the start; 10 or more makes hashes.
    """

    def __init__(
        self,
        inputs: int,
        layers: int = 4,
        hidden: int = 64,
        length: int = 50,
        activation: str = "relu",
        norm: str | None = "batch",
        degrees: int = 5,
        bonds: int = 0,
        scale: float = 1.0,
        initial: nn.Module | None = None,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        self.widths = [inputs, *[hidden] * layers]
        made = [ByDegree(a, b, degrees, bonds) for a, b in pairwise(self.widths)]
        self.stack = Stack(
            made, activation, norm, jump="concatenation", include_input=True, inputs=inputs, initial=initial
        )
        index = [nn.Linear(width, length) for width in self.widths]
        self.index = nn.ModuleList(index)
        self.dim = length
        self.geometry = Sphere() if geometry is None else geometry
        with torch.no_grad():
            for weight in [*(layer.weight for layer in made), *(map.weight for map in index)]:
                weight.mul_(scale)

    def parts(self, batch: Batch) -> list[Tensor]:
        """R + 1 times [V, length]: what every atom adds, with its neighbourhood of radius 0 .. R."""
        states = self.stack(batch).split(self.widths, 1)
        return [map(x).softmax(1) for map, x in zip(self.index, states, strict=True)]

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, length]: what every atom adds in all."""
        return torch.stack(self.parts(batch)).sum(0)

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, length]."""
        return embedded(self.forward(batch), batch, "sum")


@dataclass(frozen=True)
class Fragment:
    """An atom's neighbourhood: the atoms within `radius` of `atom`, ascending, and how much of it an entry takes."""

    atom: int
    radius: int
    activation: float
    atoms: np.ndarray


@torch.no_grad()
def fragments(encoder: Fingerprint, batch: Batch, entry: int, count: int = 20) -> list[Fragment]:
    """The neighbourhoods that most activate an entry of the fingerprint, the strongest first."""
    taken = torch.stack([part[:, entry] for part in encoder.eval().parts(batch)], 1).numpy()
    best = np.argsort(-taken, axis=None, kind="stable")[:count]
    places = [divmod(int(place), taken.shape[1]) for place in best]
    return [Fragment(a, r, float(taken[a, r]), within(batch["graph"], a, r)) for a, r in places]


def within(graph: Graph, node: int, radius: int) -> np.ndarray:
    """The nodes from which at most `radius` edges lead to this one, ascending."""
    rows, found = graph.rows(), np.array([node])
    for _ in range(radius):
        reached = [rows.index[rows.start[v] : rows.start[v + 1]] for v in found]
        found = np.unique(np.concatenate([found, *reached]))
    return found


def tanimoto(a: Tensor, b: Tensor) -> Tensor:
    """Distance of counts, rows of [n, d] each -> [n]: 1 - sum of minima / sum of maxima; 0 where both are empty."""
    most = torch.maximum(a, b).sum(1)
    return torch.where(most > 0, 1 - torch.minimum(a, b).sum(1) / most.clamp(min=1e-30), 0.0)
