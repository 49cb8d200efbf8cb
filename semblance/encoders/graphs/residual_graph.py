"""Residual graph: a layer that passes messages over the given edges and over a graph of its own, learned from the states.

    x' = f( (S + r R) x W + b ),     R_ij = softmax over j of -|P x_i - P x_j|^2

P is a learned metric; r starts at 0. R joins all pairs of nodes of one graph: for graphs of a few thousand nodes.
Reference: Li et al. 2018, Adaptive Graph Convolutional Neural Networks, arXiv:1801.03226."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.inputs import linear_of
from semblance.encoders.graphs.message import linear
from semblance.encoders.graphs.operators import operator_of
from semblance.geometry.graph import Graph


class ResidualGraph(nn.Module):
    """metric: the width of P x."""

    def __init__(self, inputs: int, outputs: int, metric: int = 8, activation: str | None = None):
        super().__init__()
        self.map, self.metric = linear(inputs, outputs), linear(inputs, metric, bias=False)
        self.share = nn.Parameter(torch.zeros(()))
        self.dim, self.activation = outputs, activation

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, outputs]."""
        y = linear_of(x, self.map.weight)
        out = operator_of(graph, "symmetric-loops")(y) + self.share * (self.residual(x, graph) @ y) + self.map.bias
        return activation_named(self.activation)(out)

    def residual(self, x: Tensor, graph: Graph) -> Tensor:
        """R [V, V], rows of sum 1."""
        place = linear_of(x, self.metric.weight)
        # |a - b|^2 less |a|^2, which every entry of a row has: softmax does not see it.
        raw = 2 * place @ place.T - place.square().sum(1)
        if graph.member is not None:
            raw = raw.masked_fill(graph.member[:, None] != graph.member, torch.finfo(raw.dtype).min)
        return raw.softmax(1)
