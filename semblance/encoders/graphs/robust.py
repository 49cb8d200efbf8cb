"""Robust: a network over a refined graph, whose refinement rests on embeddings that were learned without labels.

    reader   z = PReLU( S X W + b )  on the graph without the edges whose ends share no features; trained by contrast
    graph    refined(observed, z), weighed: A_ij = (d_i d_j)^power on edges and loops, rows divided by their sums
    states   A dropout( ReLU( A z W_1 + b_1 ) );  a linear map of them scores classes, as GCN's last layer does

The reader is at rest while the rest learns: z and the graph are made once for its weights. reader=None: the features
themselves take z's place.
Reference: Li et al. 2022, Reliable representations make a stronger defender (STABLE), arXiv:2207.00012.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import InputLinear, features_of
from semblance.encoders.graphs.message import Convolution, factors
from semblance.encoders.graphs.refine import alike, refined, weighed
from semblance.encoders.graphs.stack import embedded
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread
from semblance.geometry.spaces import Geometry, Sphere


class Reader(nn.Module):
    """One convolution. `project` then `over` a graph: several graphs share the first."""

    def __init__(self, inputs: int, dim: int, least: float = 0.03):
        super().__init__()
        self.map, self.bend = InputLinear(inputs, dim), nn.PReLU()
        self.least, self.dim = least, dim

    def project(self, batch: Batch) -> Tensor:
        """-> X W + b, [V, dim]."""
        projected: Tensor = self.map(features_of(batch).to(self.map.weight.dtype))
        return projected

    def over(self, projected: Tensor, graph: Graph) -> Tensor:
        """[V, dim] -> states [V, dim]."""
        inner, weight, left, right, own = factors(graph, "symmetric", True, False, projected.dtype)
        states: Tensor = self.bend(spread(inner.rows(), inner.columns(), projected, weight, left, right, own))
        return states

    def stays(self, batch: Batch) -> Tensor:
        """bool [E]: the edges that the rough cleaning leaves."""
        graph, x = batch["graph"], features_of(batch)
        mask: Tensor = graph.once(("alike", self.least), lambda: alike(graph, x, self.least))
        return mask

    def cleaned(self, batch: Batch) -> Graph:
        """The graph of those edges."""
        graph, stays = batch["graph"], self.stays(batch)
        found: Graph = graph.once(("cleaned", self.least), lambda: graph.with_edges(stays))
        return found

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], on the cleaned graph."""
        return self.over(self.project(batch), self.cleaned(batch))


class Robust(nn.Module):
    """inputs: width of the features; reader: None to refine by them."""

    def __init__(
        self,
        inputs: int,
        reader: Reader | None,
        hidden: int = 16,
        threshold: float = 0.1,
        k: int = 5,
        degree: int = 2,
        power: float = 0.5,
        dropout: float = 0.5,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        self.reader = reader
        self.layer = Convolution(inputs if reader is None else reader.dim, hidden, normalise="mean", loops=False)
        self.threshold, self.k, self.degree, self.power, self.dropout = threshold, k, degree, power, dropout
        self.dim, self.geometry = hidden, Sphere() if geometry is None else geometry
        self._held: tuple[Graph, Any, Tensor, Graph] | None = None

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, hidden]."""
        z, graph = self.seen(batch)
        h = torch.relu(self.layer(z, graph))
        inner, weight, left, right, own = factors(graph, "mean", False, True, h.dtype)
        return spread(
            inner.rows(), inner.columns(), F.dropout(h, self.dropout, self.training), weight, left, right, own
        )

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, hidden], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")

    @torch.no_grad()
    def seen(self, batch: Batch) -> tuple[Tensor, Graph]:
        """What is read of every node [V, d], and the refined, weighed graph."""
        read = [] if self.reader is None else list(self.reader.parameters())
        weights = tuple((p.data_ptr(), p._version, p.dtype) for p in read)
        if self._held is None or self._held[0] is not batch["graph"] or self._held[1] != weights:
            x = features_of(batch).to(self.layer.map.weight.dtype)
            z = (x if x.layout == torch.strided else x.to_dense()) if self.reader is None else self.reader(batch)
            graph = refined(batch["graph"], z, self.threshold, self.k, self.degree)
            self._held = (batch["graph"], weights, z, weighed(graph, self.power))
        return self._held[2:]
