"""One training step of propagation filters beside PyTorch Geometric's: forward, cross-entropy, backward, Adam.

    python bench/graphs/filters.py [--cores 1] [--rounds 5] [arm ...]

50,000 nodes, 500,000 undirected edges, 64 features, 10 classes. appnp: ten steps of the 10 class scores; lazy: one,
from where the last training step ended. cheb: one layer of order 2 to 64 channels, ReLU, one to the classes. optimal:
linear to 64 channels, ReLU, ten orders of the optimal basis, linear (no peer). `difference`: the largest between the
two libraries' outputs with copied weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times
from semblance.encoders.graphs.bases import Chebyshev, Optimal
from semblance.encoders.graphs.lazy import Lazy
from semblance.encoders.graphs.propagate import Filter, Matrices, Weights, geometric
from semblance.geometry.graph import Graph

NODES, EDGES, WIDTH, CLASSES, DEPTH = 50_000, 500_000, 64, 10, 10


class Net(nn.Module):
    """Linear, a layer over the graph; or two layers."""

    def __init__(self, layers: list[nn.Module], hidden: list[nn.Module], structure: Any):
        super().__init__()
        self.layers, self.hidden, self.structure = nn.ModuleList(layers), nn.ModuleList(hidden), structure

    def forward(self, x: Tensor) -> Tensor:
        for before, layer in zip(self.hidden, self.layers, strict=True):
            x = layer(before(x), self.structure)
        return x


def nets() -> dict[str, Callable[[], Net]]:
    """Name -> the net, both libraries' with the same weights."""
    rng = np.random.default_rng(0)
    ends = torch.from_numpy(rng.integers(0, NODES, (2, EDGES)))
    ends = ends[:, ends[0] != ends[1]]
    ends = torch.cat([ends, ends.flip(0)], 1)
    graph = Graph(ends, NODES)
    torch.manual_seed(0)
    scores, theirs = nn.Linear(WIDTH, CLASSES), [pyg.ChebConv(WIDTH, 64, 3), pyg.ChebConv(64, CLASSES, 3)]
    ours = [Filter(2, Matrices(c.in_channels, c.out_channels, 2), Chebyshev(), "symmetric") for c in theirs]
    with torch.no_grad():
        for layer, other in zip(ours, theirs, strict=True):
            layer.mix.weight.copy_(torch.stack([(-1) ** k * m.weight.T for k, m in enumerate(other.lins)]))
            layer.mix.bias.copy_(other.bias)
    plain: list[nn.Module] = [nn.Identity(), nn.ReLU()]
    last = nn.Linear(64, CLASSES)
    weights = Weights([1.0] * (DEPTH + 1), learned=True, channels=64)
    after = Then(Filter(DEPTH, weights, Optimal("spread"), "symmetric"), last)
    return {
        "appnp-pyg": lambda: Net([pyg.APPNP(DEPTH, 0.1)], [scores], ends),
        "appnp": lambda: Net([Filter(DEPTH, Weights(geometric(DEPTH, 0.1)))], [scores], graph),
        "lazy": lambda: Net([Lazy(NODES, CLASSES)], [scores], graph),
        "cheb-pyg": lambda: Net(theirs, plain, ends),
        "cheb": lambda: Net(ours, plain, graph),
        "optimal": lambda: Net([after], [nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU())], graph),
    }


class Then(nn.Module):
    """A layer, then a map."""

    def __init__(self, layer: nn.Module, map: nn.Module):
        super().__init__()
        self.layer, self.map = layer, map

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        mapped: Tensor = self.map(self.layer(x, graph))
        return mapped


def arm(name: str) -> Callable[[], Mapping[str, float]]:
    """Median of 3 steps."""

    def run() -> Mapping[str, float]:
        made = nets()
        net, rng = made[name](), torch.Generator().manual_seed(1)
        x, y = torch.randn(NODES, WIDTH, generator=rng), torch.randint(CLASSES, (NODES,), generator=rng)
        peer = name.removesuffix("-pyg") + "-pyg"
        with torch.no_grad():
            difference = float((net(x) - made[peer]()(x)).abs().max()) if peer in made else 0.0
        optimiser = torch.optim.Adam(net.parameters())

        def step() -> None:
            optimiser.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimiser.step()

        return {**times(step, 3), "difference": difference}

    return run


if __name__ == "__main__":
    bench(
        __file__,
        {name: arm(name) for name in ("appnp-pyg", "appnp", "lazy", "cheb-pyg", "cheb", "optimal")},
        baseline="cheb-pyg",
        targets={
            "appnp": ("appnp / appnp-pyg", 5.0),
            "cheb": ("cheb / cheb-pyg", 5.0),
            "a lazy step at most half of ten": ("lazy / appnp", 2.0),
        },
        rounds=3,
        notes=__doc__ or "",
    )
