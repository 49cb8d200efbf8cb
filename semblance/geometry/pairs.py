"""The undirected pairs of a graph, each once: what operators that treat both ends alike are built on.

    pair q joins i = row of q  and  j = other[q],  i < j,  grouped by i, j ascending

Self-loops say nothing to a Laplacian and are left out; a directed list counts as the pairs that it mentions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semblance.geometry.graph import Graph
from semblance.geometry.kept import Keeps


@dataclass(frozen=True, eq=False)
class Pairs(Keeps):
    """m pairs of V nodes. start: int64 [V + 1], other: int32 [m] (compressed rows, for compiled code); low, high: int64
    [m], the two ends as tensors; weight, sign, kind: [m] or None, as the graph has them."""

    num_nodes: int
    start: np.ndarray
    other: np.ndarray
    low: Tensor
    high: Tensor
    weight: Tensor | None = None
    sign: Tensor | None = None
    kind: Tensor | None = None

    def __len__(self) -> int:
        return len(self.other)

    @property
    def degree(self) -> Tensor:
        """int64 [V], pairs that a node is an end of."""
        return self.once("degree", lambda: torch.bincount(torch.cat([self.low, self.high]), minlength=self.num_nodes))


def pairs_of(graph: Graph) -> Pairs:
    """The pairs of a graph, found once and kept with it. Repeated edges are repeated pairs."""
    return graph.once("pairs", lambda: _found(graph))


def _found(graph: Graph) -> Pairs:
    both = graph.without_loops().undirected()
    rows = both.rows()
    row = np.repeat(np.arange(graph.num_nodes), rows.degree)
    up = rows.index > row
    # Of a symmetric graph rows and columns agree, so that what stands in row i stands for both directions.
    position = torch.from_numpy(rows.order[up])
    return Pairs(
        num_nodes=graph.num_nodes,
        start=np.concatenate([[0], np.cumsum(np.bincount(row[up], minlength=graph.num_nodes))]),
        other=rows.index[up],
        low=torch.from_numpy(row[up]),
        high=torch.from_numpy(rows.index[up].astype(np.int64)),
        weight=None if both.weight is None else both.weight[position],
        sign=None if both.sign is None else both.sign[position],
        kind=None if both.kind is None else both.kind[position],
    )
