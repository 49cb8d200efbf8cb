"""Answers for every node of several graphs, alone or beside answers for the graphs themselves.

EveryNode        map(x_v) for every node v of the batch: a class
EveryNumber      the same: a number
NodesAndGraphs   map(x_v) for every node, map(pool over v of x_v) for every graph
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.readout import pool
from semblance.heads.classify import named


class EveryNode(nn.Module):
    """A linear classifier of all nodes of the graphs in the batch."""

    reads = "representation"

    def __init__(self, dim: int, classes: int, names: Sequence[str] = ()):
        super().__init__()
        self.map, self.names = nn.Linear(dim, classes), tuple(names)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """[V, d] -> logits [V, K]."""
        logits: Tensor = self.map(states)
        return logits

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[V, K] -> the best class of every node."""
        return named(logits.argmax(1).tolist(), self.names)


class NodesAndGraphs(nn.Module):
    """Numbers for nodes and for graphs, each by a perceptron of one hidden layer."""

    reads = "representation"

    def __init__(self, dim: int, nodes: int, graphs: int, readout: str = "mean"):
        super().__init__()
        self.nodes = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, nodes))
        self.graphs = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, graphs))
        self.readout = readout

    def forward(self, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """[V, d] -> numbers of nodes [V, a], of graphs [n, b]."""
        graph = batch["graph"]
        pooled = pool(states, graph.member, graph.num_graphs, self.readout)
        return self.nodes(states), self.graphs(pooled)

    def decode(self, answered: tuple[Tensor, Tensor]) -> list[list[float]]:
        """-> the numbers of every graph."""
        found: list[list[float]] = answered[1].tolist()
        return found


class EveryNumber(nn.Module):
    """A number for every node of the graphs in the batch, by a linear map."""

    reads = "representation"

    def __init__(self, dim: int):
        super().__init__()
        self.map = nn.Linear(dim, 1)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """[V, d] -> [V]."""
        found: Tensor = self.map(states)[:, 0]
        return found

    def decode(self, prediction: Tensor) -> list[float]:
        """[V] -> the numbers."""
        values: list[float] = prediction.tolist()
        return values
