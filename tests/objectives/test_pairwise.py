"""Links under a learned score: what is asked about is out of sight, and what is left is learned from."""

import numpy as np
import pytest
import torch
from torch import nn

from semblance.encoders.graphs.table import Table
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.heads.links import PairScores, Product
from semblance.learning.parts import Network
from semblance.objectives.pairwise import Pairwise, without_pairs


def a_graph(nodes=20, edges=80, seed=0):
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, nodes, (2, edges)))
    ends = ends[:, ends[0] != ends[1]]
    return Graph(torch.cat([ends, ends.flip(0)], 1).unique(dim=1), nodes)


class Watching(nn.Module):
    """A score that remembers the graph and the pairs that it was asked about."""

    def forward(self, states, graph, one, two):
        self.seen = graph, one, two
        return (states[one] * states[two]).sum(1)


@pytest.mark.parametrize("removed", [0.0, 0.5, 1.0])
def test_the_asked_edges_are_out_of_sight_in_both_directions(removed):
    torch.manual_seed(0)
    graph, score = a_graph(), Watching()
    objective = Pairwise(batch=8, removed=removed)
    loss, metrics = objective(Network(Table(20, 4), PairScores(score)), {"graph": graph})
    inner, one, two = score.seen
    count = len(one) // 2
    left = {tuple(e) for e in inner.edge_index.T.tolist()}
    gone = round(removed * count)
    asked = list(zip(one.tolist(), two.tolist(), strict=True))
    assert all((i, j) not in left and (j, i) not in left for i, j in asked[:gone])
    away = {tuple(sorted(e)) for e in asked[:gone]}
    assert left == {tuple(e) for e in graph.edge_index.T.tolist() if tuple(sorted(e)) not in away}
    assert torch.isfinite(loss) and metrics["loss"] == pytest.approx(loss.item())


def test_a_small_graph_keeps_most_of_its_edges():
    torch.manual_seed(0)
    graph, score = a_graph(), Watching()
    Pairwise(batch=1000)(Network(Table(20, 4), PairScores(score)), {"graph": graph})
    assert score.seen[0].num_edges >= 0.75 * graph.num_edges


def test_no_pairs_leave_the_graph_as_it_is():
    graph, nobody = a_graph(), torch.empty(0, dtype=torch.int64)
    assert without_pairs(graph, nobody, nobody) is graph


def test_a_share_beyond_one_is_refused():
    with pytest.raises(SemblanceError, match="share"):
        Pairwise(removed=1.5)


def test_vectors_learn_to_tell_edges_from_other_pairs():
    torch.manual_seed(0)
    graph, network = a_graph(), Network(Table(20, 8), PairScores(Product()))
    objective, optimiser = Pairwise(batch=16), torch.optim.Adam(network.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss, _ = objective(network, {"graph": graph})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
