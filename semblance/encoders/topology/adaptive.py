"""Adaptive expansion: a hypergraph's pairs of nodes, weighted by how alike their features are, by learned measures.

    x' = f( D~^-1/2 (A + 1) D~^-1/2 x W^T + b ),      a_ij = exp( -|S x_i - S x_j|^2 )  where i and j share a hyperedge

S [r, inputs] is learned, D~ the row sums of A + 1: graph convolution on a clique expansion whose weights adapt. Of size
[pairs, r] only the differences are held. After the adaptive expansion in Kim et al. 2024, arXiv:2404.01039.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.message import linear, mapped
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread


class AdaptiveConvolution(nn.Module):
    """rank: r."""

    def __init__(self, inputs: int, outputs: int, rank: int = 8):
        super().__init__()
        self.map, self.measure, self.dim = linear(inputs, outputs), linear(inputs, rank, False), outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, inputs] -> [V, outputs]."""
        weight = self.weights(x, graph)
        degree = 1 + weight.new_zeros(len(x)).index_add(0, graph.edge_index[1], weight)
        root = degree.rsqrt()
        h = mapped(x, self.map.weight, None)
        out = root[:, None] * (spread(graph.rows(), graph.columns(), root[:, None] * h, weight) + root[:, None] * h)
        assert self.map.bias is not None
        return out + self.map.bias

    def weights(self, x: Tensor, graph: Graph) -> Tensor:
        """[E], in the order of `edge_index`, between 0 and 1."""
        measured = mapped(x, self.measure.weight, None)
        source, target = graph.edge_index
        return torch.exp(-(measured[source] - measured[target]).square().sum(1))
