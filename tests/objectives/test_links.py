"""Links as an objective: its loss against a loop, and negatives that are no edges."""

import pytest
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from semblance.encoders.graphs.table import Table
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.learning.parts import Network
from semblance.objectives.links import Links


def bipartite(seed=0, users=6, items=9, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    user, item = torch.nonzero(torch.rand(users, items, generator=generator) < share).T
    ends = torch.stack([user, item + users])
    return Graph(torch.cat([ends, ends.flip(0)], 1), users + items)


class Fixed(Links):
    """Draws what it is told."""

    def draw(self, graph):
        return self.drawn


@pytest.mark.parametrize("loss", ["bpr", "cross-entropy"])
def test_the_loss_is_what_a_loop_over_the_drawn_edges_gives(loss):
    torch.manual_seed(0)
    graph, objective = bipartite(), Fixed(loss, batch=4, negatives=2, decay=0.3)
    objective.drawn = torch.tensor([0, 1, 2, 0]), torch.tensor([6, 7, 8, 9]), torch.tensor([[10, 11]] * 4)
    network = Network(Table(15, 3, deviation=1.0))
    value, metrics = objective(network, {"graph": graph})
    e = network.encoder.own.detach()
    each, size = [], 0.0
    for i, j, others in zip(*(d.tolist() for d in objective.drawn), strict=True):
        linked = e[i] @ e[j]
        apart = [e[i] @ e[k] for k in others]
        if loss == "bpr":
            each += [-logsigmoid(linked - a) for a in apart]
        else:
            each += [-logsigmoid(linked) - sum(logsigmoid(-a) for a in apart) / len(apart)]
        size += e[i] @ e[i] + e[j] @ e[j] + sum(e[k] @ e[k] for k in others) / len(others)
    assert metrics["loss"] == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)
    assert value.item() == pytest.approx(metrics["loss"] + 0.15 * size.item() / 4, rel=1e-5)


def test_drawn_edges_are_the_users_and_negatives_are_items_without_an_edge():
    graph = bipartite(share=0.3)
    edges = {tuple(e) for e in graph.edge_index.T.tolist()}
    torch.manual_seed(0)
    source, target, other = Links(batch=2000, negatives=2, users=6).draw(graph)
    assert source.max() < 6 <= target.min()
    assert other.min() >= 6
    assert {tuple(e) for e in zip(source.tolist(), target.tolist(), strict=True)} == {e for e in edges if e[0] < 6}
    # Four further draws leave the share of a user's items to the fifth power.
    wrong = [(i, k) in edges for i, ks in zip(source.tolist(), other.tolist(), strict=True) for k in ks]
    assert sum(wrong) / len(wrong) < 0.05
    assert len({k for ks in other.tolist() for k in ks}) == 9


def test_a_graph_without_edges_and_a_table_of_other_nodes_are_refused():
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 3)
    with pytest.raises(SemblanceError, match="no edge to learn from"):
        Links(batch=4)(Network(Table(3, 2)), {"graph": empty})
    with pytest.raises(SemblanceError, match="3 nodes and the data has 15"):
        Table(3, 2)({"graph": bipartite()})
    with pytest.raises(SemblanceError, match="bpr"):
        Links("bprr")


def test_training_brings_linked_nodes_together():
    graph = bipartite(share=0.3)
    torch.manual_seed(0)
    network, objective = Network(Table(15, 8)), Links(batch=64, users=6)
    optimizer = torch.optim.Adam(nn.ModuleList([network]).parameters(), lr=0.05)
    accuracy = []
    for _ in range(150):
        optimizer.zero_grad()
        loss, metrics = objective(network, {"graph": graph})
        loss.backward()
        optimizer.step()
        accuracy.append(metrics["accuracy"])
    assert accuracy[0] < 0.7
    assert sum(accuracy[-5:]) / 5 > 0.95
