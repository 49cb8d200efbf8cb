"""Gradients and effects of edges and features, and the part of a graph that a node sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from semblance.analysis.graph_attribution import around, edge_effects, edge_gradients, feature_gradients
from semblance.encoders.graphs import Attention, Convolution, Sage, Stack
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

LINKS = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 5, 3]])
RING = Graph(LINKS, 8).undirected()
X = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def net(layer: Callable[..., nn.Module] = Convolution) -> nn.Module:
    torch.manual_seed(1)
    return Stack([layer(3, 4), layer(4, 2)], activation="tanh").double()


def score_of(encoder: nn.Module):
    return lambda batch: encoder(batch)[2, 0]


@pytest.mark.parametrize("layer", [Convolution, Sage, Attention])
def test_gradients_of_features_are_finite_differences(layer: type[nn.Module]) -> None:
    score, batch = score_of(net(layer)), {"x": X, "graph": RING}
    found = feature_gradients(score, batch)
    for at in ((1, 0), (3, 2), (7, 1)):
        step = torch.zeros_like(X)
        step[at] = 1e-6
        change = (score({**batch, "x": X + step}) - score({**batch, "x": X - step})) / 2e-6
        assert found[at].item() == pytest.approx(change.item(), abs=1e-8)
    assert found[7].abs().sum() == 0  # a node that nobody hears


@pytest.mark.parametrize("normalise", ["symmetric", "mean", "none"])
def test_gradients_of_edges_are_finite_differences_of_their_weights(normalise: str) -> None:
    score = score_of(net(partial(Convolution, normalise=normalise)))
    found = edge_gradients(score, {"x": X, "graph": RING})
    for edge in range(RING.num_edges):
        changed = [torch.ones(RING.num_edges, dtype=torch.float64) for _ in range(2)]
        changed[0][edge] += 1e-6
        changed[1][edge] -= 1e-6
        up, down = (score({"x": X, "graph": Graph(RING.edge_index, 8, weight=w)}) for w in changed)
        assert found[edge].item() == pytest.approx(((up - down) / 2e-6).item(), abs=1e-7)


def test_an_encoder_that_reads_no_weights_is_sent_to_effects() -> None:
    with pytest.raises(SemblanceError, match="use edge_effects"):
        edge_gradients(score_of(net(Attention)), {"x": X, "graph": RING})


@pytest.mark.parametrize("layer", [Convolution, Attention])
def test_the_effect_of_an_edge_is_what_is_lost_without_it(layer: type[nn.Module]) -> None:
    score, batch = score_of(net(layer)), {"x": X, "graph": RING}
    found = edge_effects(score, batch, torch.arange(RING.num_edges))
    ends = [set(edge) for edge in RING.edge_index.T.tolist()]
    without = Graph(LINKS[:, torch.tensor([0, 2, 3, 4, 5])], 8).undirected()  # 1-2 is gone
    expected = score(batch) - score({"x": X, "graph": without})
    assert found[ends.index({1, 2})].item() == pytest.approx(expected.item(), abs=1e-12)
    far = ends.index({4, 5})
    assert (found[far].abs() < 1e-12) == (layer is Attention)  # three steps away; its end's degree is nearer


def test_what_a_node_sees_is_all_that_its_answer_needs() -> None:
    score = net(Attention)
    part, nodes = around(RING, torch.tensor([2]), 2)
    assert nodes[0] == 2
    assert sorted(nodes.tolist()) == [0, 1, 2, 3, 4]
    whole = score({"x": X, "graph": RING})[2]
    torch.testing.assert_close(score({"x": X[nodes], "graph": part})[0], whole)
    alone, self_only = around(RING, torch.tensor([7, 2]), 0)
    assert self_only.tolist() == [7, 2]
    assert alone.num_edges == 0
    with pytest.raises(SemblanceError, match="hops is -1"):
        around(RING, torch.tensor([0]), -1)


def test_directions_decide_who_is_seen() -> None:
    chain = Graph(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4, directed=True)
    assert around(chain, torch.tensor([2]), 5)[1].tolist() == [2, 1, 0]


def test_a_score_is_one_number() -> None:
    with pytest.raises(SemblanceError, match="the score has shape"):
        feature_gradients(lambda batch: net()(batch), {"x": X, "graph": RING})


def test_gradients_of_edges_are_the_same_in_single_precision() -> None:
    exact = edge_gradients(score_of(net()), {"x": X, "graph": RING})
    single = edge_gradients(score_of(net().float()), {"x": X.float(), "graph": RING})
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-6)
