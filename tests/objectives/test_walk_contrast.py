from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from torch import nn

from semblance.encoders.graphs.table import Table
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.objectives.walk_contrast import WalkContrast, other_nodes


class Held(nn.Module):
    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder


def path(nodes: int = 8) -> Graph:
    return Graph(torch.tensor(list(nx.path_graph(nodes).edges())).T, nodes).undirected()


def test_pairs_are_joined_by_a_walk_within_the_window_and_are_two_nodes() -> None:
    torch.manual_seed(0)
    for window in (1, 3):
        start, met = WalkContrast(500, window).draw(path())
        apart = (start - met).abs()
        assert apart.min() >= 1 and apart.max() == window and len(start) > 250


def test_directions_and_dead_ends_are_respected() -> None:
    torch.manual_seed(0)
    graph = Graph(torch.tensor([[0, 1], [1, 2]]), 4, directed=True)
    start, met = WalkContrast(200, 2).draw(graph)
    assert set(zip(start.tolist(), met.tolist(), strict=True)) == {(0, 1), (0, 2), (1, 2)}


def test_the_loss_is_its_plain_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    start, met = torch.tensor([0, 1, 0]), torch.tensor([2, 3, 4])
    objective, table = WalkContrast(3, temperature=0.5), Table(5, 6)
    monkeypatch.setattr(objective, "draw", lambda graph: (start, met))
    loss, _ = objective(Held(table), {"graph": path(5)})
    z = nn.functional.normalize(table.own.detach(), dim=1)
    node, total = [*start.tolist(), *met.tolist()], 0.0
    for i in range(6):
        scores = {j: math.exp(float(z[node[i]] @ z[node[j]]) / 0.5) for j in range(6) if node[j] != node[i]}
        total -= math.log(scores[(i + 3) % 6] / sum(scores.values()))
    assert float(loss.detach()) == pytest.approx(total / 6, rel=1e-5)


def test_a_node_that_was_drawn_twice_is_not_its_own_negative() -> None:
    _, allowed = other_nodes(torch.zeros(3, 2), {"node": torch.tensor([4, 7, 4])})
    assert allowed is not None and allowed.tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_learning_brings_together_who_meets() -> None:
    torch.manual_seed(0)
    ends = torch.tensor(list(nx.planted_partition_graph(2, 15, 0.5, 0.02, seed=0).edges())).T
    graph, y = Graph(ends, 30).undirected(), torch.arange(30) // 15
    model = Held(Table(30, 8))
    objective, rule = WalkContrast(128, 3), torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        rule.zero_grad()
        objective(model, {"graph": graph})[0].backward()
        rule.step()
    z = nn.functional.normalize(model.encoder.own.detach(), dim=1)
    likeness, same = z @ z.T, y[:, None] == y
    assert likeness[same].mean() > likeness[~same].mean() + 0.5


def test_a_graph_to_walk_on_is_needed() -> None:
    with pytest.raises(SemblanceError, match="no edge to walk along"):
        WalkContrast().draw(Graph(torch.empty(2, 0, dtype=torch.int64), 3))
    with pytest.raises(SemblanceError, match="no walk reaches another node"):
        WalkContrast(8).draw(Graph(torch.tensor([[0], [0]]), 2))
    with pytest.raises(SemblanceError, match="give 2 pairs or more"):
        WalkContrast(1)
