"""Hops: what lies one, two, .. K steps away, side by side instead of summed.

    Beside     z = [ w_0 * x | w_1 * P x | .. | w_K * P^K x ],  * by channel       the mix of a filter (propagate.py)
    Hearing    x_l = f( W_l x_0 + sum over u of V_l [x_0 | .. | x_l-1]_u + b ),    z = [x_1 | .. | x_L]

Hearing is a layer of layers, each of which hears its neighbours' states of all rounds before. References: diffusion
convolution, Atwood & Towsley 2016, arXiv:1511.02136; NN4G, Micheli 2009, IEEE TNN 20, whose layers were trained one after
the other and are trained together here."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.message import linear
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread


class Beside(nn.Module):
    """Terms of `channels` each, weighed by channel and order, side by side: `out` = (depth + 1) channels."""

    learned = True

    def __init__(self, channels: int, depth: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(depth + 1, channels))
        self.out = channels * (depth + 1)

    def forward(self, terms: Iterable[Tensor]) -> Tensor:
        """Terms [V, C], one per order -> [V, out]."""
        return torch.cat([term * weight for term, weight in zip(terms, self.weight, strict=True)], 1)


class Hearing(nn.Module):
    """`layers` of `width`, over x of `inputs`; the sum over neighbours is their mean where `mean`."""

    def __init__(self, inputs: int, width: int, layers: int = 3, mean: bool = True, activation: str = "tanh"):
        super().__init__()
        self.own = nn.ModuleList(linear(inputs, width) for _ in range(layers))
        self.others = nn.ModuleList(linear(inputs + number * width, width, False) for number in range(layers))
        self.mean, self.activation, self.dim = mean, activation, layers * width

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, layers width]."""
        states = [x]
        left = 1 / torch.from_numpy(graph.rows().degree).clamp(min=1).to(x) if self.mean else None
        for own, others in zip(self.own, self.others, strict=True):
            around = spread(graph.rows(), graph.columns(), others(torch.cat(states, 1)), left=left)
            states.append(activation_named(self.activation)(own(x) + around))
        return torch.cat(states[1:], 1)
