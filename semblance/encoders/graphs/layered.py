"""Layered: layers one after the other, and a mix of what went in and of what each of them gave.

    z = mix(h_0, h_1, ..., h_L),      h_0 = x,  h_l = layer_l(h_(l-1), graph)

With layers that only propagate and equal weights this is LightGCN; `mix` is any module that takes the states in turn
(`Weights`, fixed or learned, or `Gate`, both of `propagate.py`). He et al. 2020, arXiv:2002.02126.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from semblance.geometry.graph import Graph


class Layered(nn.Module):
    """Layers that keep the width of x."""

    def __init__(self, layers: Sequence[nn.Module], mix: nn.Module):
        super().__init__()
        self.layers, self.mix = nn.ModuleList(layers), mix

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, C] -> [V, C]."""
        z: Tensor = self.mix(self.states(x, graph))
        return z

    def states(self, x: Tensor, graph: Graph) -> Iterator[Tensor]:
        """x and what every layer gives, L + 1 times [V, C]."""
        yield x
        for layer in self.layers:
            x = layer(x, graph)
            yield x
