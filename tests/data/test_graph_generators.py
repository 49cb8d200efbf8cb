"""Drawn graphs and their targets, against plain counting."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

from semblance.data import graph_families
from semblance.data.graph_generators import (
    NodeTargets,
    dictionary_lookup,
    heterophily,
    inseparable_pairs,
    multitask,
    random_pairs,
)
from semblance.encoders.graphs.refinement import wl_distinguishes

COUNTS = {"train": 30, "val": 5, "test": 10}


def far_from(neighbours, start):
    far, line = {start: 0}, deque([start])
    while line:
        node = line.popleft()
        for other in neighbours[node]:
            if other not in far:
                far[other] = far[node] + 1
                line.append(other)
    return far


def test_targets_of_nodes_and_graphs_are_what_a_search_finds():
    data = multitask(COUNTS, seed=3)
    batch = data.read(np.arange(len(data)))
    member, x = batch["graph"].member.numpy(), batch["x"].numpy()
    source, target = batch["graph"].edge_index.numpy()
    found, whole = np.zeros((len(x), 3)), np.zeros((len(data), 3))
    for g in range(len(data)):
        nodes = np.flatnonzero(member == g)
        neighbours = {v: target[source == v].tolist() for v in nodes}
        start = nodes[x[nodes, 1] == 1]
        assert len(start) == 1
        far = {v: far_from(neighbours, v) for v in nodes}
        for v in nodes:
            found[v] = [
                far[start[0]].get(v, 0),
                max(far[v].values()),
                sum(x[v, 0] - x[u, 0] for u in neighbours[v]),
            ]
        adjacency = np.zeros((len(nodes), len(nodes)))
        for v in nodes:
            adjacency[v - nodes[0], np.array(neighbours[v], int) - nodes[0]] = 1
        radius = np.abs(np.linalg.eigvals(adjacency)).max()
        whole[g] = [len(far[nodes[0]]) == len(nodes), max(found[nodes, 1]), radius]
    train = np.isin(member, data.splits["train"])
    np.testing.assert_allclose(batch["node_labels"], found / np.abs(found[train]).max(0), atol=1e-5)
    np.testing.assert_allclose(batch["labels"], whole / np.abs(whole[data.splits["train"]]).max(0), atol=1e-5)


def test_some_multitask_graphs_are_connected_and_some_are_not():
    connected = multitask(COUNTS).targets["labels"][:, 0]
    assert 0.1 < connected.mean() < 0.9


def test_a_split_may_hold_larger_graphs():
    data = multitask({"train": 10, "larger": 4}, {"larger": (50, 50)})
    sizes = np.bincount(data.graph.member.numpy())
    assert (sizes[data.splits["larger"]] == 50).all() and (sizes[:10] < 25).all() and (sizes[:10] > 14).all()


def test_targets_of_nodes_follow_their_graphs():
    data = multitask(COUNTS)
    picked = np.array([7, 2])
    part = data.subset(picked)
    assert isinstance(part, NodeTargets)
    one, other = data.read(picked), part.read(np.arange(2))
    assert np.array_equal(one["node_labels"], other["node_labels"])
    assert torch.equal(one["x"], other["x"])
    first = data.graph.member.numpy().searchsorted(7)
    assert np.array_equal(one["node_labels"][:5], data.node_targets["node_labels"][first : first + 5])


def test_the_same_seed_draws_the_same_graphs():
    one, same, other = (multitask(COUNTS, seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert np.array_equal(one.node_targets["node_labels"], same.node_targets["node_labels"])


@pytest.mark.parametrize("family", graph_families.FAMILIES)
@pytest.mark.parametrize("nodes", [15, 17, 24, 50])
def test_a_family_gives_symmetric_graphs_without_loops_and_with_its_number_of_edges(family, nodes):
    rng = np.random.default_rng(0)
    for _ in range(5):
        found = family(nodes, rng)
        assert found.shape == (nodes, nodes) and found.dtype == bool
        assert not found.diagonal().any() and np.array_equal(found, found.T)
        edges, name = found.sum() // 2, family.__name__
        if name in ("tree", "line", "star", "caterpillar", "lobster"):
            assert edges == nodes - 1 and len(far_from([np.flatnonzero(row) for row in found], 0)) == nodes
        if name == "star":
            assert found[0].sum() == nodes - 1
        if name == "line":
            assert found.sum(1).max() == 2
        if name == "ladder":
            assert edges == 3 * (nodes // 2) - 2 + nodes % 2
        if name == "caveman":  # cliques: a neighbour's neighbour is a neighbour
            assert ((found @ found) <= (found | np.eye(nodes, dtype=bool))).all()


def test_toggling_keeps_the_number_of_edges_in_expectation():
    rng = np.random.default_rng(0)
    before = graph_families.tree(24, rng)
    after = [graph_families.toggled(before, rng) for _ in range(300)]
    assert np.mean([found.sum() / 2 for found in after]) == pytest.approx(23, abs=0.5)
    assert np.mean([(found & before).sum() / before.sum() for found in after]) == pytest.approx(0.9, abs=0.02)


def test_whoever_asks_is_answered_by_exactly_one_neighbour():
    data = dictionary_lookup({"train": 6}, keys=4)
    batch = data.read(np.array([1, 4]))
    x, labels = batch["x"].numpy(), batch["node_labels"]
    source, target = batch["graph"].edge_index.numpy()
    assert (labels >= 0).sum() == 8
    for node in np.flatnonzero(labels >= 0):
        heard = source[target == node]
        holds = heard[(x[heard, :4] == x[node, :4]).all(1)]
        assert len(heard) == 4 and len(holds) == 1 and not x[node, 4:].any()
        assert x[holds[0], 4:].argmax() == labels[node]
    assert not np.isin(np.flatnonzero(labels < 0), target).any()
    assert sorted(labels[4:8]) == list(range(4))


def test_the_label_counts_edges_between_classes():
    data = heterophily({"train": 12})
    batch = data.read(np.arange(12))
    kind, graph = batch["x"].argmax(1), batch["graph"]
    source, target = graph.edge_index
    for g in range(12):
        inside = (graph.member[source] == g) & (kind[source] != kind[target]) & (source < target)
        assert batch["labels"][g] == int(inside.sum())


def test_every_fifth_pair_is_one_graph_numbered_twice():
    pairs = random_pairs(40)
    told = [wl_distinguishes(*pair) for pair in pairs]
    assert not any(told[::5]) and 0.9 < np.mean(told) * 40 / 32 <= 1
    assert all(one.num_edges == other.num_edges and one.num_nodes == 8 for one, other in pairs)


def test_the_stored_pairs_differ_and_refinement_does_not_see_it():
    for one, other in inseparable_pairs().values():
        assert not wl_distinguishes(one, other)
        cycles = [np.linalg.matrix_power(dense(graph), k).trace() for graph in (one, other) for k in range(1, 11)]
        assert cycles[:10] != cycles[10:]  # closed walks: equal in equal graphs


def dense(graph):
    found = np.zeros((graph.num_nodes, graph.num_nodes), np.int64)
    found[graph.edge_index[0], graph.edge_index[1]] = 1
    assert np.array_equal(found, found.T) and found.sum() == graph.num_edges
    return found
