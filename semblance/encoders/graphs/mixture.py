"""Mixture: messages weighted by Gaussian bumps over where a neighbour lies, each bump with a map of its own.

    x_v' = f( sum over bumps k of W_k (1 / d_v) sum over u of w_k(e_uv) x_u + W x_v + b )
    w_k(e) = exp( -1/2 sum over axes of (e - mu_k)^2 s_k ),     e_uv = (1 / sqrt(d_u), 1 / sqrt(d_v))

Degrees count incoming edges. Reference: Monti et al. 2017, MoNet, arXiv:1611.08402.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.message import linear, mapped
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread


class Mixture(nn.Module):
    """bumps: K. Means start evenly over 0 to 1, widths at a quarter."""

    def __init__(self, inputs: int, outputs: int, bumps: int = 4, activation: str | None = None):
        super().__init__()
        self.map, self.itself = linear(inputs, bumps * outputs, bias=False), linear(inputs, outputs)
        self.mean = nn.Parameter(torch.linspace(0, 1, bumps)[:, None].repeat(1, 2))
        self.log_strength = nn.Parameter(torch.full((bumps, 2), 16.0).log())
        self.bumps, self.dim, self.activation = bumps, outputs, activation

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, outputs]."""
        degree = torch.from_numpy(graph.rows().degree).clamp(min=1).to(self.mean.dtype)
        where = degree.rsqrt()[graph.edge_index].T  # [E, 2]
        away = (where[:, None] - self.mean) ** 2 * self.log_strength.exp()  # [E, K, 2]
        weight = (-away.sum(2) / 2).exp()
        around = spread(graph.rows(), graph.columns(), mapped(x, self.map.weight, None), weight, 1 / degree)
        out = around.view(len(around), self.bumps, self.dim).sum(1) + mapped(x, self.itself.weight, self.itself.bias)
        return activation_named(self.activation)(out)
