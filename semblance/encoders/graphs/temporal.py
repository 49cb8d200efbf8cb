"""Temporal: what the nodes of a graph have measured, step by step, as one state a node. x [V, T] holds T measurements.

    DiffusionGru    z, r = sigmoid( G_1 [u_t | h] ),  c = tanh( G_2 [u_t | r * h] ),  h <- z * h + (1 - z) * c
    Gated           blocks of:  a convolution over time plus its input, gated by the sigmoid of another;  relu( G u_t ) at
                    every step;  another gated convolution;  layer norm before the next block
    Dilated         convolutions over time at distance 1, 2, 4, .., tanh gated by sigmoid, each followed by steps over the
                    edges and over a graph that is learned, softmax of relu(E_1 E_2^T); the layers' last states summed

G is a filter over the graph with a matrix for every order (propagate.py), of depth 0 a map of every node by itself.
References: Li et al. 2018, DCRNN, arXiv:1707.01926; Yu et al. 2018, STGCN, arXiv:1709.04875; Wu et al. 2019, Graph WaveNet,
arXiv:1906.00121.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.drawn import places
from semblance.encoders.graphs.inputs import features_of
from semblance.encoders.graphs.operators import operator_of
from semblance.encoders.graphs.propagate import Filter, Matrices
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere


class Temporal(nn.Module):
    """An encoder around `network`(x [V, T, 1], graph) -> [V, dim]; graphs are the mean over their nodes."""

    def __init__(self, network: nn.Module, geometry: Geometry | None = None):
        super().__init__()
        self.network, self.dim = network, int(network.dim)  # type: ignore[arg-type]
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        x = features_of(batch)
        x = x if x.layout == torch.strided else x.to_dense()
        states: Tensor = self.network(x[:, :, None], batch["graph"])
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return embedded(self.forward(batch), batch, "mean")


class DiffusionGru(nn.Module):
    """A gated recurrent unit whose maps are filters."""

    def __init__(self, dim: int, depth: int = 2, operator: str = "row"):
        super().__init__()
        self.gates = Filter(depth, Matrices(1 + dim, 2 * dim, depth), operator=operator)
        self.candidate = Filter(depth, Matrices(1 + dim, dim, depth), operator=operator)
        self.dim = dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x [V, T, 1] -> [V, dim]."""
        state = x.new_zeros(len(x), self.dim)
        for step in x.unbind(1):
            keep, reset = torch.sigmoid(self.gates(torch.cat([step, state], 1), graph)).chunk(2, 1)
            found = torch.tanh(self.candidate(torch.cat([step, reset * state], 1), graph))
            state = keep * state + (1 - keep) * found
        return state


class GatedTime(nn.Module):
    """A convolution over time [V, T, C] -> [V, T, out], padded with zeros before the first step; half of it is a gate. The
    other half is bent by tanh, or has the input added to it."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, dilation: int = 1, bend: bool = False):
        super().__init__()
        self.map = nn.Conv1d(inputs, 2 * outputs, size, dilation=dilation)
        self.before, self.bend = (size - 1) * dilation, bend

    def forward(self, x: Tensor) -> Tensor:
        """[V, T, C] -> [V, T, out]."""
        value, gate = self.map(F.pad(x.transpose(1, 2), (self.before, 0))).transpose(1, 2).chunk(2, 2)
        value = torch.tanh(value) if self.bend else value + F.pad(x, (0, value.shape[2] - x.shape[2]))
        return value * torch.sigmoid(gate)


class Gated(nn.Module):
    """`blocks` of time, graph, time; `layer` makes a filter from its numbers of inputs and outputs."""

    def __init__(self, filters: Sequence[Filter], dim: int, size: int = 3):
        super().__init__()
        self.first = nn.ModuleList(GatedTime(1 if i == 0 else dim, dim, size) for i in range(len(filters)))
        self.filters = nn.ModuleList(filters)
        self.second = nn.ModuleList(GatedTime(dim, dim, size) for _ in filters)
        # None after the last block: how warm it is must not be normalised away.
        self.norms = nn.ModuleList(
            nn.LayerNorm(dim) if i + 1 < len(filters) else nn.Identity() for i in range(len(filters))
        )
        self.dim = dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x [V, T, 1] -> [V, dim]."""
        for first, layer, second, norm in zip(self.first, self.filters, self.second, self.norms, strict=True):
            x = norm(second(F.relu(at_every_step(layer, first(x), graph))))
        return x[:, -1]


class Dilated(nn.Module):
    """`layers` at distance 1, 2, 4, ..; sensors: nodes of a graph that have a place in the learned one, 0 for none."""

    def __init__(self, dim: int, layers: int = 3, depth: int = 2, sensors: int = 64, rank: int = 8):
        super().__init__()
        self.enter = nn.Linear(1, dim)
        self.time = nn.ModuleList(GatedTime(dim, dim, 2, 2**i, bend=True) for i in range(layers))
        self.filters = nn.ModuleList(Filter(depth, Matrices(dim, dim, depth), operator="row") for _ in range(layers))
        self.learned = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(layers if sensors else 0))
        self.source = nn.Parameter(torch.randn(sensors, rank)) if sensors else None
        self.target = nn.Parameter(torch.randn(sensors, rank)) if sensors else None
        self.dim = dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x [V, T, 1] -> [V, dim]."""
        x, total = self.enter(x), x.new_zeros(len(x), self.dim)
        for number, (time, layer) in enumerate(zip(self.time, self.filters, strict=True)):
            found = time(x)
            total = total + found[:, -1]
            heard = at_every_step(layer, found, graph)
            if self.source is not None:
                heard = heard + self.learned[number](self.over_learned(found, graph))
            x = x + heard
        return F.relu(total + x[:, -1])

    def over_learned(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, T, C] -> the same after a step over the learned graph, within every graph."""
        assert self.source is not None and self.target is not None
        place = torch.from_numpy(places(graph)[0])
        most = int(place.max()) + 1 if len(place) else 0
        if most > len(self.source):
            raise SemblanceError(
                f"a graph has {most} nodes and {len(self.source)} have a place in the learned one: set sensors={most}"
            )
        weight = F.relu(self.target[:most] @ self.source[:most].T).softmax(1)  # [target, source]
        member = torch.zeros_like(place) if graph.member is None else graph.member
        flat = x.flatten(1)
        rows = x.new_zeros(graph.num_graphs, most, flat.shape[1]).index_put((member, place), flat)
        return (weight.to(x) @ rows)[member, place].view(x.shape)


def at_every_step(layer: Filter, x: Tensor, graph: Graph) -> Tensor:
    """A filter with matrices, [V, T, C] -> [V, T, out]: all steps move over the edges at once."""
    terms = layer.basis.terms(operator_of(graph, layer.operator, layer.exponents), x.flatten(1), layer.depth)
    mixed: Tensor = layer.mix(term.reshape(-1, x.shape[2]) for term in terms)
    return mixed.view(x.shape[0], x.shape[1], mixed.shape[1])
