from __future__ import annotations

from dataclasses import replace

import numpy as np

from semblance.claims.node_settings import half, scrambled, tell_several, told
from semblance.data.load import load


def test_half_of_the_labelled_nodes_teach_and_the_rest_are_asked() -> None:
    data = load("karate")
    one, other = half(data, 0), half(data, 1)
    rows, asked = one.splits["train"], one.splits["test"]
    assert len(rows) == len(asked) == 17 and not set(rows) & set(asked)
    assert (rows != other.splits["train"]).any()
    np.testing.assert_array_equal(rows, half(data, 0).splits["train"])
    hidden = half(data, 0).targets["labels"].copy()
    hidden[:10] = -1
    fewer = replace(data, targets={"labels": hidden})
    assert min(np.concatenate(list(half(fewer, 0).splits.values()))) == 10


def test_as_many_classes_are_told_as_a_node_has() -> None:
    rng = np.random.default_rng(0)
    y = rng.random((300, 4)) < 0.4
    y[~y.any(1), 0] = True
    rows, asked = np.arange(200), np.arange(200, 300)
    z = y + 0.1 * rng.normal(size=y.shape)
    assert tell_several(z, y, rows, asked) > 0.9
    chance = tell_several(rng.normal(size=y.shape), y, rows, asked)
    assert 0.3 < chance < 0.65
    y[:200, 3] = False  # a class that nobody taught is ranked last, not an error
    assert tell_several(z, y, rows, asked) > 0.6


def test_a_probe_tells_the_clubs_from_their_names() -> None:
    data = half(load("karate"), 0)
    y = np.asarray(data.targets["labels"])
    assert told(np.eye(2)[y], data) == 1


def test_scrambling_keeps_the_number_of_edges_and_loses_the_neighbours() -> None:
    graph = load("karate").graph
    other = scrambled(graph, 0)
    assert other.num_edges == graph.num_edges and other.num_nodes == graph.num_nodes
    kept = set(map(tuple, graph.edge_index.T.tolist())) & set(map(tuple, other.edge_index.T.tolist()))
    assert len(kept) < 0.4 * graph.num_edges
