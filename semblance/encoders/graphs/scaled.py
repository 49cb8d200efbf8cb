"""Scaled products: a linear map of summaries that are scaled by functions of the degree, without making the scaled
copies.

    y_v = f( base_v + sum over scalers s of s(d_v) K_s z_v )

Rows of one degree share the map sum_s s(d) K_s, so with rows in the order of their degrees (`statistics.py`) each tile
is one product: as many times fewer operations, and as much less memory, as there are scalers. A graph of E edges has
at most sqrt(2 E) distinct degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semblance.encoders.graphs.fused import masked
from semblance.encoders.graphs.statistics import by_degree
from semblance.geometry.graph import Graph
from semblance.geometry.lent import lender_of
from semblance.geometry.rows import compiled

ROWS = 1024  # of a tile: its summaries stay in the cache


def scaled_product(graph: Graph, z: Tensor, maps: Tensor, base: Tensor, scales: Tensor, bend: bool) -> Tensor:
    """float32 z [V, m] by degree, maps [out, scalers, m], base [V, out] by node, scales [distinct degrees, scalers],
    which get no gradient -> [V, out] by node."""
    y: Tensor = _Scaled.apply(z, maps, base, graph, scales, bend)
    return y


def _tiles(graph: Graph) -> list[tuple[int, int, int]]:
    """(number of the degree, first row, last row), at most ROWS rows of one degree each."""
    ends = by_degree(graph)[2].tolist()
    starts = [0, *ends[:-1]] if ends else []
    return [
        (number, a, min(a + ROWS, end))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        for a in range(start, end, ROWS)
    ]


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, maps: Tensor, base: Tensor, graph: Graph, scales: Tensor, bend: bool) -> Tensor:
        lender = lender_of(graph.rows())
        order, outputs = by_degree(graph)[0], len(maps)
        y, tile = lender.lend(len(z), outputs), lender.lend(ROWS, outputs)
        given = base.detach().contiguous().numpy()
        last, map = -1, maps
        for number, a, end in _tiles(graph):
            if number != last:
                last, map = number, torch.matmul(scales[number], maps.detach())
            torch.mm(z[a:end], map.T, out=tile[: end - a])
            _place(order, tile.numpy(), given, bend, y.numpy(), a, end)
        ctx.save_for_backward(z, maps, scales, y if bend else None)
        ctx.graph = graph
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        z, maps, scales, y = ctx.saved_tensors
        lender = lender_of(ctx.graph.rows())
        order, outputs = by_degree(ctx.graph)[0], len(maps)
        g = masked(g, y, lender, False)[0].contiguous()
        of_z, tile = lender.lend(*z.shape), lender.lend(ROWS, outputs)
        of_maps, of_map = torch.zeros_like(maps), torch.zeros(outputs, z.shape[1])
        last, map = -1, maps
        for number, a, end in [*_tiles(ctx.graph), (len(scales), 0, 0)]:
            if number != last:
                if last >= 0:
                    of_maps.addcmul_(of_map[:, None], scales[last][None, :, None])
                    of_map.zero_()
                if number == len(scales):
                    break
                last, map = number, torch.matmul(scales[number], maps)
            part = tile[: end - a]
            _take(order, g.numpy(), tile.numpy(), a, end)
            torch.mm(part, map, out=of_z[a:end])
            of_map.addmm_(part.T, z[a:end])
        return of_z, of_maps, g, None, None, None


@compiled
def _place(order, tile, base, bend, out, first, last):  # type: ignore[no-untyped-def]
    for r in range(first, last):
        i = order[r]
        for k in range(out.shape[1]):
            v = base[i, k] + tile[r - first, k]
            out[i, k] = np.float32(0) if bend and v < 0 else v


@compiled
def _take(order, g, tile, first, last):  # type: ignore[no-untyped-def]
    for r in range(first, last):
        for k in range(g.shape[1]):
            tile[r - first, k] = g[order[r], k]
