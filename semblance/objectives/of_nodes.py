"""Targets of the nodes within graphs: alone, or together with targets of the graphs.

    OfNodes          another objective, whose labels are the nodes' (`node_labels`)
    NodesAndGraphs   mean over tasks of the squared error, tasks of nodes averaged over nodes, tasks of graphs over graphs

`node_labels` [V, ...] come with the batch (`data/graph_generators.py`). Several tasks at once: Corso et al. 2020,
arXiv:2004.05718.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics


class OfNodes(nn.Module):
    """An objective of units, asked about the nodes of graphs."""

    def __init__(self, objective: nn.Module):
        super().__init__()
        self.objective = objective
        self.needs = frozenset({"node_labels"})

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """What the objective gives for labels of the nodes."""
        answered: tuple[Tensor, Metrics] = self.objective(model, {**batch, "labels": batch["node_labels"]})
        return answered


class NodesAndGraphs(nn.Module):
    """Of a model that answers numbers of nodes [V, a] and of graphs [n, b]."""

    needs = frozenset({"node_labels", "labels"})

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss}."""
        of_nodes, of_graphs = model(batch)
        each = task_errors(of_nodes, of_graphs, batch)
        loss = each.mean()
        return loss, {"loss": float(loss.detach())}


def task_errors(of_nodes: Tensor, of_graphs: Tensor, batch: Batch) -> Tensor:
    """The mean squared error of every task, [a + b]."""
    nodes = (of_nodes.float() - batch["node_labels"]).square().mean(0)
    graphs = (of_graphs.float() - batch["labels"]).square().mean(0)
    return torch.cat([nodes, graphs.to(nodes)])
