"""Views of a graph: what is left out is left out of both directions, and of every node alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semblance.data.graph_views import GraphViews, pairs, without_columns
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.pairs import pairs_of
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small


def a_batch() -> dict:
    rng = np.random.default_rng(0)
    low, high = np.triu_indices(60, 1)
    there = rng.random(len(low)) < 0.2
    ends = torch.from_numpy(np.stack([low[there], high[there]]))
    graph = Graph(torch.cat([ends, ends.flip(0)], 1), 60, weight=torch.arange(float(there.sum())).repeat(2))
    return {"graph": graph, "x": torch.randn(60, 40), "labels": torch.zeros(60), "nodes": torch.arange(5)}


def chances(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_about_so_many_pairs_and_columns_are_left_out_and_no_direction_alone() -> None:
    batch = a_batch()
    views = GraphViews(2, edges=0.3, features=0.5, nodes=0).related(batch, chances(0, 1))
    for view in views:
        assert view["graph"].is_symmetric() and view["graph"].num_nodes == 60
        assert 0.6 < view["graph"].num_edges / batch["graph"].num_edges < 0.8
        kept = view["x"].abs().sum(0) > 0
        assert 8 < int(kept.sum()) < 32
        torch.testing.assert_close(view["x"][:, kept], batch["x"][:, kept])
        assert len(view["nodes"]) == 60
    assert views[0]["graph"].num_edges != views[1]["graph"].num_edges
    again = GraphViews(2, edges=0.3, features=0.5, nodes=0).related(batch, chances(0, 1))
    assert torch.equal(views[0]["graph"].edge_index, again[0]["graph"].edge_index)


def test_all_views_ask_the_same_nodes() -> None:
    one, other = GraphViews(2, nodes=10).related(a_batch(), chances(3, 4))
    assert len(one["nodes"].unique()) == 10 and torch.equal(one["nodes"], other["nodes"])


def test_nothing_left_out_leaves_all() -> None:
    batch = a_batch()
    (view,) = GraphViews(1, 0.0, 0.0, 0).related(batch, chances(0))
    assert torch.equal(view["graph"].edge_index, batch["graph"].edge_index) and view["x"] is batch["x"]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_columns_of_sparse_features_are_hidden_as_of_dense_ones() -> None:
    x, stay = (torch.rand(6, 9) < 0.4).float(), torch.arange(9) % 3 > 0
    assert torch.equal(without_columns(x.to_sparse_csr(), stay).to_dense(), without_columns(x, stay))


def test_an_edge_and_its_reverse_are_one_pair() -> None:
    number, count = pairs(Graph(torch.tensor([[0, 1, 2, 2], [1, 0, 1, 2]]), 3))
    assert count == 3 and number[0] == number[1] and len(number.unique()) == 3


@pytest.mark.parametrize("wrong", [{"edges": 1.0}, {"features": -0.1}, {"count": 0}, {"nodes": -1}])
def test_impossible_views_are_refused(wrong: dict) -> None:
    with pytest.raises(SemblanceError):
        GraphViews(**wrong)


def test_nodes_learn_to_find_themselves() -> None:
    model = train(small("graph"), build("grace", epochs=12, lr=0.01))
    losses = [epoch["loss"] for epoch in model.history]
    assert losses[-1] < losses[0] - 0.1


def test_what_views_keep_with_a_graph_is_not_what_sheaves_keep_with_it() -> None:
    graph = small("graph").graph
    pairs(graph)
    assert pairs_of(graph).num_nodes == graph.num_nodes
    assert len(pairs(graph)[0]) == graph.num_edges
