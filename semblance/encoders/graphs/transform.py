"""Transform: linear maps and ReLUs one after the other on every node by itself, and how a layer is joined to those before.

    plain      h_l = f(h_(l-1))                    f(h) = dropout(ReLU(h W + b))
    residual   h_l = f(h_(l-1)) + h_(l-1)          where widths agree
    dense      h_l = f([h_0 | h_1 | ... | h_(l-1)])

Reference: Zhang et al. 2022, arXiv:2108.00955 (how deep a transformation may be, apart from how far is propagated).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.inputs import InputLinear
from semblance.errors import unknown

JOINS = ("plain", "residual", "dense")


class Transform(nn.Module):
    """[n, inputs] -> [n, width] by `layers` layers; without layers the input. `dim` is the width of what comes out."""

    def __init__(self, inputs: int, width: int, layers: int, join: str = "residual", dropout: float = 0.0):
        super().__init__()
        if join not in JOINS:
            raise unknown("join of layers", join, JOINS)
        self.join, self.dropout = join, nn.Dropout(dropout)
        widths = [inputs + i * width if join == "dense" else width if i else inputs for i in range(layers)]
        self.maps = nn.ModuleList(InputLinear(held, width) for held in widths)
        self.dim = width if layers else inputs

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] -> [n, dim]."""
        before = x
        for layer in self.maps:
            out = self.dropout(torch.relu(layer(before)))
            x = out + x if self.join == "residual" and out.shape == x.shape else out
            before = torch.cat([before, x], 1) if self.join == "dense" else x
        return x
