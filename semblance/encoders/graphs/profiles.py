"""Profiles: a node as the row of its neighbours, through a perceptron.

    z_v = W_2 tanh( W_1 a_v + b_1 ) + b_2,     a_v: the weights of v's edges, one column a node of the graph

A row is never written out: W_1 a_v is a weighted sum over neighbours of the columns of W_1. The number of nodes is fixed,
and a column belongs to a node by its number. Reference: Wang, Cui & Zhu 2016, Structural Deep Network Embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError
from semblance.geometry.products import spread
from semblance.geometry.spaces import Euclidean, Geometry


class Profiles(nn.Module):
    """nodes: V of the graph it is learned on."""

    def __init__(self, nodes: int, hidden: int, dim: int, geometry: Geometry | None = None):
        super().__init__()
        self.columns = nn.Parameter(torch.randn(nodes, hidden) / hidden**0.5)
        self.bias, self.out = nn.Parameter(torch.zeros(hidden)), nn.Linear(hidden, dim)
        self.dim, self.geometry = dim, Euclidean() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        graph = batch["graph"]
        if graph.num_nodes != len(self.columns):
            raise SemblanceError(
                f"the graph has {graph.num_nodes} nodes and profiles were learned of {len(self.columns)}: give that graph"
            )
        heard = spread(graph.rows(), graph.columns(), self.columns, weight=graph.weight)
        z: Tensor = self.out(torch.tanh(heard + self.bias))
        return z

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]."""
        return embedded(self.forward(batch), batch, "mean")
