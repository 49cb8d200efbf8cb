from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.data.load import load
from semblance.data.neighbour_samples import ClusterSamples, NeighbourSamples, blocks, sampled
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph


def random_graph(nodes=60, edges=300, seed=0):
    rng = np.random.default_rng(seed)
    ends = torch.from_numpy(rng.integers(0, nodes, (2, edges)))
    return Graph(ends, nodes, directed=True, weight=torch.rand(edges, generator=torch.Generator().manual_seed(seed)))


def dataset(nodes=60, edges=300, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {
        "edge_index": rng.integers(0, nodes, (2, edges)),
        "x": rng.normal(size=(nodes, 5)),
        "y": rng.integers(0, 3, nodes),
    }
    return load(arrays, directed=True)


def mean_of_sources(x, graph, layers):
    """A plain network, layer after layer: a state is itself plus the mean of the states that point to it."""
    source, target = graph.edge_index
    for _ in range(layers):
        sums = torch.zeros_like(x).index_add(0, target, x[source])
        x = torch.tanh(x + sums / torch.bincount(target, minlength=len(x)).clamp(min=1)[:, None])
    return x


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_with_fan_outs_of_the_degrees_a_network_gives_what_it_gives_on_the_whole_graph(layers):
    graph, x = random_graph(), torch.randn(60, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seeds = np.array([3, 17, 40, 5])
    part, nodes = sampled(graph, seeds, (1000,) * layers, 0)
    whole = mean_of_sources(x, graph, layers)[seeds]
    torch.testing.assert_close(mean_of_sources(x[nodes], part, layers)[:4], whole)
    if layers > 1:
        few, inside = sampled(graph, seeds, (1000,) * (layers - 1), 0)
        assert not torch.allclose(mean_of_sources(x[inside], few, layers)[:4], whole)  # one hop less is not enough


@given(st.integers(0, 1000), st.integers(1, 4))
def test_a_part_holds_edges_of_the_graph_with_their_weights_and_no_more_than_the_fan_out(seed, fan_out):
    graph = random_graph(seed=seed)
    seeds = np.random.default_rng(seed).choice(60, 7, replace=False)
    part, nodes = sampled(graph, seeds, (fan_out, 2), seed)
    assert (nodes[:7] == seeds).all() and len(set(nodes.tolist())) == len(nodes) == part.num_nodes
    known = sorted(zip(*graph.edge_index.tolist(), graph.weight.tolist(), strict=True))
    drawn = list(
        zip(nodes[part.edge_index[0]].tolist(), nodes[part.edge_index[1]].tolist(), part.weight.tolist(), strict=True)
    )
    assert set(drawn) <= set(known) and len(set(drawn)) == len(drawn)  # none is drawn twice
    degree = part.rows().degree
    full = graph.rows().degree
    assert (degree[:7] == np.minimum(full[seeds], fan_out)).all() and (degree[7:] <= 2).all()


def test_every_in_edge_is_drawn_equally_often():
    source = torch.arange(1, 11)
    graph = Graph(torch.stack([source, torch.zeros(10, dtype=torch.int64)]), 11, directed=True)
    counts = np.zeros(11)
    for seed in range(3000):
        _, nodes = sampled(graph, np.array([0]), (3,), seed)
        counts[nodes[1:]] += 1
    assert abs(counts[1:] - 900).max() < 5 * np.sqrt(3000 * 0.3 * 0.7)


def test_an_epoch_shows_every_unit_once_and_a_place_in_the_run_draws_the_same_again():
    data = dataset()
    rows = data.splits["train"]
    sampler = NeighbourSamples((3, 2), batch=7).bind(data, rows)
    order = sampler.epoch(len(rows), None, np.random.default_rng(0))
    assert sorted(np.concatenate(order).tolist()) == list(range(len(rows)))
    first, again = (sampler.read(data, rows[order[0]], np.random.default_rng([1, 2])) for _ in range(2))
    other = sampler.read(data, rows[order[0]], np.random.default_rng([1, 3]))
    assert torch.equal(first["graph"].edge_index, again["graph"].edge_index)
    assert not torch.equal(first["x"], other["x"])
    np.testing.assert_allclose(first["x"][first["nodes"]], data.x[rows[order[0]]])
    assert (first["labels"] == data.targets["labels"][rows[order[0]]]).all()


def test_blocks_part_the_nodes_evenly_and_cut_fewer_edges_than_chance_would():
    side = 20
    at = np.arange(side * side).reshape(side, side)
    ends = np.concatenate(
        [np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()]), np.stack([at[:-1].ravel(), at[1:].ravel()])], 1
    )
    graph = Graph(torch.from_numpy(np.concatenate([ends, ends[::-1]], 1)), side * side)
    block = blocks(graph, 8)
    assert np.bincount(block, minlength=8).max() <= 50 and block.min() == 0
    assert (block[ends[0]] == block[ends[1]]).mean() > 0.6  # by chance: 1/8
    assert (np.bincount(blocks(Graph(torch.empty(2, 0, dtype=torch.int64), 10), 3)) > 0).all()  # no edges at all


def test_a_batch_of_clusters_holds_all_edges_between_their_nodes_and_every_unit_comes_once():
    data = dataset(nodes=200, edges=900)
    rows = data.splits["train"]
    sampler = ClusterSamples(size=25, together=2).bind(data, rows)
    order = sampler.epoch(len(rows), None, np.random.default_rng(0))
    assert sorted(np.concatenate(order).tolist()) == list(range(len(rows))) and len(order) == 4
    batch = sampler.read(data, rows[order[0]], np.random.default_rng(0))
    chosen = np.isin(sampler.block, np.unique(sampler.block[rows[order[0]]]))
    part = data.graph.part(torch.from_numpy(np.flatnonzero(chosen)))
    assert sorted(map(tuple, batch["graph"].edge_index.T.tolist())) == sorted(map(tuple, part.edge_index.T.tolist()))
    np.testing.assert_allclose(batch["x"][batch["nodes"]], data.x[rows[order[0]]])


def test_sparse_features_are_read_for_the_sampled_nodes_alone():
    rng = np.random.default_rng(0)
    x = (rng.random((60, 200)) < 0.02).astype(np.float32)
    data = load({"edge_index": rng.integers(0, 60, (2, 100)), "x": x}, directed=True)
    batch = NeighbourSamples((2,)).read(data, np.array([4, 9]), np.random.default_rng(0))
    assert batch["x"].layout == torch.sparse_csr and batch["x"].shape[0] == batch["graph"].num_nodes < 60
    np.testing.assert_array_equal(batch["x"].to_dense()[:2], x[[4, 9]])


def test_what_cannot_be_sampled_is_answered_with_the_value():
    with pytest.raises(SemblanceError, match=r"fan_outs is \(3, 0\)"):
        NeighbourSamples((3, 0))
    with pytest.raises(SemblanceError, match="size is 0"):
        ClusterSamples(0)
    with pytest.raises(SemblanceError, match="11 blocks are asked for and there are 10 nodes"):
        blocks(random_graph(10, 5), 11)
    cells = load({"pos": np.eye(3), "faces": np.array([[0, 1, 2]])})
    with pytest.raises(SemblanceError, match="the data is complex"):
        NeighbourSamples().bind(cells, np.arange(2))
