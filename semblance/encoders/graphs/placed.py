"""Nodes placed so that the distances between them are those in the graph: a table of points, solved at once.

`place(lengths, dim, seed)` is any of the solvers of geometry/: a tree's construction, scaling, gradients. What `solve`
tells is measured on the points as they are kept, in float32: average and worst distortion (at the best scale) and MAP,
over all pairs of `ASKED` nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.encoders.graphs.cooccurrence import CoOccurrence, Factors
from semblance.geometry.distortion import average_distortion, best_scale, mean_average_precision, stretches
from semblance.geometry.distortion import worst_distortion as worst
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry
from semblance.geometry.trees import lengths_of

Place = Callable[[sparse.csr_array, int, int], NDArray[Any]]  # lengths [V, V], dim, seed -> points [V, dim]
ASKED = 1000


class Placed(nn.Module):
    """A point for each of `nodes`; a node without edges is 0. weighted: an edge is as long as its weight, else 1."""

    def __init__(self, nodes: int, dim: int, place: Place, geometry: Geometry, weighted: bool = False):
        super().__init__()
        self.place, self.weighted = place, weighted
        self.table = CoOccurrence(nodes, dim, self._points, geometry=geometry)
        self.dim, self.geometry = dim, geometry

    def _points(self, graph: Graph, dim: int, seed: int) -> Factors:
        points = self.place(lengths_of(graph, self.weighted), dim, seed)
        return points, points

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """Fill the table from the batch's graph."""
        self.table.solve(batch, seed)
        return self._scores(lengths_of(batch["graph"], self.weighted))

    def _scores(self, lengths: sparse.csr_array) -> Metrics:
        linked = np.flatnonzero(np.diff(lengths.indptr))
        if not len(linked):
            return {}
        asked = linked if len(linked) <= ASKED else np.sort(np.random.default_rng(0).permutation(linked)[:ASKED])
        points = self.geometry.prepare(self.table.vectors.cpu().numpy())
        embedded = self.geometry.distance(points[asked], points).astype(np.float64)
        stretch = stretches(embedded[:, asked], csgraph.dijkstra(lengths, indices=asked)[:, asked])
        stretch = stretch * best_scale(stretch)
        scores = {"distortion": average_distortion(stretch), "worst": worst(stretch)}
        return {**scores, "map": mean_average_precision(embedded, lengths[asked], asked)}

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes."""
        return self.table(batch)  # type: ignore[no-any-return]

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        with torch.no_grad():
            return self.table.embed(batch)
