"""Views of a graph: the same nodes, some pairs no longer linked and some features hidden, drawn anew each time.

    edges      the share of the pairs that are left out, both directions of an edge together
    features   the share of the columns of x that are 0 for every node
    nodes      how many nodes are asked in a step, the same in all views; 0: all

Zhu et al. 2020, Deep graph contrastive representation learning, arXiv:2006.04131. Hypergraphs: `hypergraph_views.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


@dataclass(frozen=True)
class GraphViews:
    """`count` views of a graph."""

    count: int = 2
    edges: float = 0.3
    features: float = 0.3
    nodes: int = 1024

    def __post_init__(self) -> None:
        for name in ("edges", "features"):
            if not 0 <= getattr(self, name) < 1:
                raise SemblanceError(
                    f"{name} is {getattr(self, name)}, but it is the share left out: give 0 to below 1"
                )
        if self.count < 1 or self.nodes < 0:
            raise SemblanceError(
                f"count is {self.count} and nodes {self.nodes}: give 1 view or more, and 0 nodes or more"
            )

    def related(self, batch: Batch, chances: list[torch.Generator]) -> list[Batch]:
        """A batch with `graph`, and `x` [V, f] where there are features -> a batch for each chance, of the same nodes."""
        graph: Graph = batch["graph"]
        asked = torch.arange(graph.num_nodes)
        if 0 < self.nodes < graph.num_nodes:
            asked = torch.randperm(graph.num_nodes, generator=chances[0])[: self.nodes].sort().values
        return [self.view({**batch, "nodes": asked}, chance) for chance in chances]

    def view(self, batch: Batch, chance: torch.Generator) -> Batch:
        """One view of the batch."""
        graph: Graph = batch["graph"]
        pair, count = pairs(graph)
        stay = torch.rand(count, generator=chance) >= self.edges
        seen = {**batch, "graph": graph.with_edges(stay[pair])}
        if "x" in batch and self.features:
            seen["x"] = without_columns(batch["x"], torch.rand(batch["x"].shape[1], generator=chance) >= self.features)
        return seen


def pairs(graph: Graph) -> tuple[Tensor, int]:
    """[E], which pair of nodes an edge joins, whatever its direction, and how many pairs there are."""

    def number() -> tuple[Tensor, int]:
        low, high = (ends.numpy() for ends in (graph.edge_index.min(0).values, graph.edge_index.max(0).values))
        known, pair = np.unique(low * graph.num_nodes + high, return_inverse=True)
        return torch.from_numpy(pair), len(known)

    return graph.once("pair of each edge", number)


def without_columns(x: Tensor, stay: Tensor) -> Tensor:
    """x [V, f], dense or torch.sparse_csr, with zeros in the columns that do not stay (bool [f])."""
    if x.layout == torch.strided:
        return x * stay.to(x)
    values = x.values() * stay[x.col_indices()].to(x.dtype)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
