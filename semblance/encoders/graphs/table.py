"""A table: every node has a vector of its own, which is learned; a layer may carry it over the graph.

    z = layer(E0, graph)        matrix factorisation: no layer;   LightGCN: the mean of E0, S E0, ..., S^K E0

Nodes that the table does not hold cannot be embedded.
References: Rendle et al. 2009, arXiv:1205.2618 (BPR-MF); He et al. 2020, arXiv:2002.02126 (LightGCN).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.stack import embedded
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Euclidean, Geometry


class Table(nn.Module):
    """nodes by dim, normal with this deviation at the start; `layer` keeps the width, and sees who is linked, not how
    strongly: a low rating is a visit too."""

    def __init__(
        self,
        nodes: int,
        dim: int,
        layer: nn.Module | None = None,
        deviation: float = 0.1,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        self.own = nn.Parameter(torch.randn(nodes, dim) * deviation)
        self.layer, self.dim = layer, dim
        self.geometry = Euclidean() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], all nodes."""
        graph = batch["graph"]
        if graph.num_nodes != len(self.own):
            raise SemblanceError(
                f"the model holds a vector for each of {len(self.own):,} nodes and the data has {graph.num_nodes:,}: "
                "fit it anew, or take a recipe that reads features"
            )
        states: Tensor = self.own if self.layer is None else self.layer(self.own, graph.without_weights())
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for."""
        return embedded(self.forward(batch), batch, "mean")
