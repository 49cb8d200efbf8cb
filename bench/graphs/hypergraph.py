"""One training step of hypergraph convolution beside PyTorch Geometric's: forward, cross-entropy, backward, Adam.

    python bench/graphs/hypergraph.py [--cores 1] [--rounds 3] [arm ...]

50,000 nodes, 50,000 hyperedges of 11 random nodes each (an item and ten others), 64 features, 64 hidden channels, 10
classes, two layers of the mean form (PyTorch Geometric's), the same weights. cells: two Hodge convolutions of that width
on a torus of 100 by 100 squares (10,000 vertices, 20,000 edges, 10,000 faces) beside the same by torch's compressed sparse
rows of D_k. `difference`: the largest between the two outputs.
"""

from __future__ import annotations

import sys
import warnings
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
from semblance.encoders.topology.cells import CellConvolution
from semblance.encoders.topology.hypergraph import HypergraphConvolution
from semblance.geometry.cell_builders import grid
from semblance.geometry.cells import CellComplex
from semblance.geometry.hypergraph import Hypergraph

NODES, SIZE, WIDTH, CLASSES, SIDE = 50_000, 11, 64, 10, 100


class Two(nn.Module):
    """Two layers over one structure, ReLU between."""

    def __init__(self, layers: list[nn.Module], structure: Any):
        super().__init__()
        self.layers, self.structure = nn.ModuleList(layers), structure

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.layers
        out: Tensor = second(F.relu(first(x, self.structure)), self.structure)
        return out


class Cells(nn.Module):
    """Two Hodge convolutions: vertices, edges and faces one after the other, rows in, rows out."""

    def __init__(self, layers: list[nn.Module], complex_: CellComplex):
        super().__init__()
        self.layers, self.complex = nn.ModuleList(layers), complex_

    def forward(self, x: Tensor) -> Tensor:
        parts = list(x.split(list(self.complex.num_cells)))
        for layer in self.layers:
            parts = layer(parts, self.complex)
        return torch.cat(parts)


class Plain(nn.Module):
    """The same layer with every D_k formed."""

    def __init__(self, like: CellConvolution, complex_: CellComplex):
        super().__init__()
        self.like, self.operators = like, []
        for k in range(len(complex_.num_cells)):
            lower, upper = abs(complex_.matrix(k)), abs(complex_.matrix(k + 1))
            whole = (lower.T @ lower + upper @ upper.T).tocsr().astype(np.float32)
            root = whole.diagonal() ** -0.5
            whole = whole.multiply(root[:, None]).multiply(root).tocsr()
            arrays = (
                torch.from_numpy(a) for a in (whole.indptr.astype(np.int64), whole.indices.astype(np.int64), whole.data)
            )
            self.operators.append(torch.sparse_csr_tensor(*arrays, whole.shape))

    def forward(self, x: list[Tensor], complex_: CellComplex) -> list[Tensor]:
        maps = zip(x, self.operators, self.like.maps, strict=True)
        bend = F.relu if self.like.activation else (lambda h: h)
        return [bend(operator @ (h @ own.weight.T) + own.bias) for h, operator, own in maps]


def nets() -> dict[str, Callable[[], tuple[nn.Module, int]]]:
    """Name -> the net and its rows; both arms of a pair have the same weights."""
    rng = np.random.default_rng(0)
    others = rng.integers(0, NODES - 1, (NODES, SIZE - 1))
    others += others >= np.arange(NODES)[:, None]
    node = torch.from_numpy(np.concatenate([np.arange(NODES)[:, None], others], 1).ravel())
    edge = torch.arange(NODES).repeat_interleave(SIZE)
    torch.manual_seed(0)
    theirs = [pyg.HypergraphConv(WIDTH, WIDTH), pyg.HypergraphConv(WIDTH, CLASSES)]
    ours = [HypergraphConvolution(WIDTH, c.out_channels, "mean", keep_isolated=False) for c in theirs]
    with torch.no_grad():
        for layer, other in zip(ours, theirs, strict=True):
            layer.map.weight.copy_(other.lin.weight)
            layer.map.bias.copy_(other.bias)
    torus = grid((SIDE, SIDE), (True, True))
    hodge = [CellConvolution([WIDTH] * 3, WIDTH), CellConvolution([WIDTH] * 3, CLASSES, activation=None)]
    return {
        "hypergraph-pyg": lambda: (Two(theirs, torch.stack([node, edge])), NODES),
        "hypergraph": lambda: (Two(ours, Hypergraph(node, edge, NODES, NODES)), NODES),
        "cells-csr": lambda: (Cells([Plain(layer, torus) for layer in hodge], torus), 4 * SIDE * SIDE),
        "cells": lambda: (Cells(hodge, torus), 4 * SIDE * SIDE),
    }


def arm(name: str) -> Callable[[], Mapping[str, float]]:
    """Median of 3 steps."""

    def run() -> Mapping[str, float]:
        warnings.filterwarnings("ignore", message="Sparse")
        made = nets()
        (net, rows), rng = made[name](), torch.Generator().manual_seed(1)
        x, y = torch.randn(rows, WIDTH, generator=rng), torch.randint(CLASSES, (rows,), generator=rng)
        peer = {"hypergraph": "hypergraph-pyg", "cells": "cells-csr"}.get(name, name)
        with torch.no_grad():
            difference = float((net(x) - made[peer]()[0](x)).abs().max())
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
        {name: arm(name) for name in ("hypergraph-pyg", "hypergraph", "cells-csr", "cells")},
        baseline="hypergraph-pyg",
        targets={
            "hypergraph": ("hypergraph / hypergraph-pyg", 5.0),
            "cells": ("cells / cells-csr", 1.0),
        },
        rounds=3,
        notes=__doc__ or "",
    )
