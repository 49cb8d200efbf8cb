"""Alone: a node by its own features, through linear maps and ReLUs. Who is linked to whom is never looked at.

What a student learns to be that was taught by a network on the graph: to embed a node takes its row of features and
nothing else, neither neighbours nor even a graph in the batch.
"""

from __future__ import annotations

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.inputs import read_rows
from semblance.encoders.graphs.transform import Transform
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry, Sphere


class Alone(nn.Module):
    """A `Transform` of `inputs` features as an encoder of nodes."""

    def __init__(
        self,
        inputs: int,
        width: int,
        layers: int = 1,
        join: str = "plain",
        dropout: float = 0.0,
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if inputs < 1:
            raise SemblanceError(
                "the nodes have no features, and this network reads nothing else of them: give features, or a recipe that "
                "reads the graph, such as gcn"
            )
        self.transform = Transform(inputs, width, layers, join, dropout)
        self.dim, self.geometry = self.transform.dim, Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, dim], every node."""
        states: Tensor = self.transform(batch["x"])
        return states

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim], the nodes asked for; only their rows are read."""
        if "nodes" not in batch:
            return self.forward(batch)
        states: Tensor = self.transform(read_rows(batch["x"], batch["nodes"]))
        return states
