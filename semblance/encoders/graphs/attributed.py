"""Attributed nodes: a vector for each node and for each feature, in a space that other graphs with the same features join.

    solve      both tables from the pairs of node and feature that walks on one graph meet (`visits.py`)
    forward    of that graph, the table; of another, vectors learned from walks on it with the features frozen

What varies: one pair of tables for every offset r = 1 .. t, set side by side (multi-scale), or one for all (pooled);
whether a node's own name is one of its features (ego).

Rozemberczki, Allen & Sarkar 2021, Multi-scale attributed node embedding, arXiv:1909.13021.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.encoders.graphs.skip_gram import fresh
from semblance.encoders.graphs.stack import embedded
from semblance.encoders.graphs.visits import Visits, features_of, learn_visits
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.spaces import Geometry, Sphere
from semblance.geometry.walks import Moves, moves

Array = NDArray[np.float32]


class Attributed(nn.Module):
    """A vector for each of `nodes` and for each feature, learned from one graph by `solve`; nodes of another graph with the
    same features are embedded when they come. What met no feature is 0.

    On several threads other graphs' vectors differ in their last digits from call to call.
    """

    vectors: Tensor
    features: Tensor
    key: Tensor

    def __init__(
        self,
        nodes: int,
        features: int,
        dim: int,
        visits: Visits | None = None,
        pooled: bool = False,
        ego: bool = False,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        self.visits, self.pooled, self.ego = visits or Visits(), pooled, ego
        reach = self.visits.reach
        if dim < (1 if pooled else reach) or reach < 1:
            raise SemblanceError(
                f"{reach} scales share {dim} dimensions: give a reach of 1 or more and at least one dimension each"
            )
        self.dim, self.features_given = dim, features
        self.scales = [list(range(1, reach + 1))] if pooled else [[r] for r in range(1, reach + 1)]
        self.geometry = Sphere() if geometry is None else geometry
        self.register_buffer("vectors", torch.zeros(nodes, dim))
        self.register_buffer("features", torch.zeros(features + nodes * ego, dim))
        # The seed of the walks, and what the graph that was learned from is known by.
        self.register_buffer("key", torch.zeros(2, dtype=torch.int64))
        self._last: tuple[Graph, int, Tensor] | None = None

    def solve(self, batch: Batch, seed: int) -> Metrics:
        """Learn nodes and features from the batch's graph."""
        graph = batch["graph"]
        if graph.num_nodes != len(self.vectors):
            raise SemblanceError(f"the table has {len(self.vectors):,} rows and the graph {graph.num_nodes:,} nodes")
        vectors, features = self._learned(batch, seed, None)
        self.vectors.copy_(vectors)
        self.features.copy_(features)
        self.key.copy_(torch.tensor([seed, known_by(graph)]))
        return {}

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes."""
        graph = batch["graph"]
        solved, (seed, known) = bool(self.features.any()), self.key.tolist()
        if graph.num_nodes == len(self.vectors) and (not solved or known_by(graph) == known):
            return self.vectors
        # Kept, since a space asks for its nodes block by block.
        version = self.features._version
        if self._last is None or self._last[0] is not graph or self._last[1] != version:
            self._last = (graph, version, self._learned(batch, seed, self.features.float().cpu().numpy())[0])
        return self._last[2].to(self.vectors)

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")

    def _learned(self, batch: Batch, seed: int, frozen: Array | None) -> tuple[Tensor, Tensor]:
        """Vectors [V, dim] and features [F, dim], the latter given where they are frozen."""
        graph, rng = batch["graph"], np.random.default_rng(seed)
        held = self._held(batch, names=self.ego and frozen is None)
        made = []
        for part in np.array_split(np.arange(self.dim), len(self.scales)):
            tables = fresh(graph.num_nodes, len(self.features), len(part), rng)
            if frozen is not None:
                tables.contexts[:, : len(part)] = frozen[:, part]
            made.append(tables)
        learn_visits(made, self.scales, moves(graph), held, self.visits, rng, frozen is not None)
        vectors, features = (np.concatenate([tables.found()[side] for tables in made], 1) for side in (0, 1))
        joined = (graph.rows().degree > 0) | (graph.columns().degree > 0)
        return torch.from_numpy(np.where(joined[:, None], vectors, 0)), torch.from_numpy(features)

    def _held(self, batch: Batch, names: bool) -> Moves:
        x = batch.get("x")
        if x is None:
            raise SemblanceError("the nodes have no features, which this method reads: give some, or take node2vec")
        if x.shape[1] != self.features_given:
            raise SemblanceError(
                f"the nodes have {x.shape[1]:,} features and the method learned {self.features_given:,}"
            )
        return features_of(x, names)


def known_by(graph: Graph) -> int:
    """A number that graphs of other nodes or edges do not have."""

    def make() -> int:
        digest = hashlib.blake2b(str(graph.num_nodes).encode(), digest_size=8)
        for part in (graph.edge_index, graph.weight):
            if part is not None:
                digest.update(np.ascontiguousarray(part.detach().cpu().numpy()).tobytes())
        return int.from_bytes(digest.digest(), "little") >> 1

    return graph.once("known by", make)
