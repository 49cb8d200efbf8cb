"""Paths are those of their kind, all of them and no others; what they tell of a graph hangs on no numbering."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from semblance.data.graph_generators import inseparable_pairs, random_pairs
from semblance.encoders.graphs.paths import KINDS, PathLayer, distances, nodes_of, paths
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined

GRAPHS = [one for one, _ in random_pairs(6)]


def plain(graph: Graph) -> nx.Graph:
    whole = nx.Graph(graph.edge_index.T.tolist())
    whole.add_nodes_from(range(graph.num_nodes))
    return whole


def rows(graph: Graph, k: int, kind: str, cap: int = 0) -> list[tuple[int, ...]]:
    return [tuple(path) for path in nodes_of(paths(graph, k, kind, cap), k).tolist()]


@pytest.mark.parametrize("graph", GRAPHS, ids=range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_paths_are_those_of_networkx(graph: Graph, k: int) -> None:
    whole = plain(graph)
    far = dict(nx.all_pairs_shortest_path_length(whole))
    simple, shortest = set(), set()
    for a in whole:
        others = [b for b in whole if b != a]
        simple |= {tuple(p) for p in nx.all_simple_paths(whole, a, others, cutoff=k) if len(p) == k + 1}
        for b in others:
            if far[a].get(b) == k:
                shortest |= {tuple(p) for p in nx.all_shortest_paths(whole, a, b)}
    for kind, wanted in (("simple", simple), ("all-shortest", shortest)):
        found = rows(graph, k, kind)
        assert len(found) == len(set(found))
        assert set(found) == wanted
    one = rows(graph, k, "shortest")
    assert set(one) <= shortest
    assert sorted((p[0], p[-1]) for p in one) == sorted({(p[0], p[-1]) for p in shortest})


def test_paths_go_back_along_directed_edges_and_stand_by_their_first_nodes() -> None:
    found = paths(Graph(torch.tensor([[0, 0, 1, 2, 2], [1, 1, 2, 2, 0]]), 4, directed=True), 3, "simple")
    assert [rows_.first.tolist() for rows_ in found[1:]] == [[0, 1, 2], [0, 1, 2], []]
    assert nodes_of(found, 2).tolist() == [[0, 2, 1], [1, 0, 2], [2, 1, 0]]
    for level in found:
        assert np.array_equal(np.repeat(np.arange(4), np.diff(level.start)), level.first)


def test_a_cap_keeps_so_many_of_a_node_and_length() -> None:
    full = np.array([(a, b) for a in range(6) for b in range(6) if a != b]).T
    complete = Graph(torch.from_numpy(full), 6)
    assert len(paths(complete, 3, "simple")[3].first) == 6 * 5 * 4 * 3
    capped = paths(complete, 3, "simple", 7)
    assert [np.bincount(level.first).max() for level in capped] == [1, 5, 7, 7]
    assert set(map(tuple, nodes_of(capped, 3).tolist())) <= set(rows(complete, 3, "simple"))


@pytest.mark.parametrize("graph", GRAPHS[:3], ids=range(3))
def test_distances_are_those_from_the_first_node(graph: Graph) -> None:
    far = dict(nx.all_pairs_shortest_path_length(plain(graph)))
    nodes = nodes_of(paths(graph, 4, "simple"), 4)
    wanted = [[far[p[0]][v] for v in p] for p in nodes.tolist()]
    assert np.array_equal(distances(graph, nodes), np.array(wanted))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_distances", [False, True])
@pytest.mark.parametrize("settings", [{}, {"shared": True}, {"update": "perceptron"}])
def test_a_round_sums_what_torchs_lstm_makes_of_every_path(
    kind: str, with_distances: bool, settings: dict[str, object]
) -> None:
    torch.manual_seed(0)
    layer = PathLayer(5, 3, kind, with_distances, **settings).double().eval()  # type: ignore[arg-type]
    graph = GRAPHS[0]
    x = torch.randn(graph.num_nodes, 5, dtype=torch.float64)
    expected = x
    for k in (1, 2, 3):
        cell = layer.lstms[min(k, len(layer.lstms)) - 1]
        lstm = nn.LSTM(5, 5, batch_first=True).double()
        lstm.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
        nodes = nodes_of(paths(graph, k, kind), k)
        read = expected[nodes]
        if layer.far is not None:
            read = read + layer.far(torch.from_numpy(distances(graph, nodes)))
        last = lstm(read.flip(1))[0][:, -1]
        total = torch.zeros_like(x).index_add(0, torch.from_numpy(nodes[:, 0]), last)
        if layer.maps is None:
            expected = expected + layer.norms[k - 1](total)
        else:
            expected = layer.norms[k - 1](layer.maps[k - 1](torch.cat([expected, total], 1)))
    torch.testing.assert_close(layer(x, graph), expected)


def pooled(layer: PathLayer, pair: tuple[Graph, Graph]) -> torch.Tensor:
    both = joined(pair)
    states = layer(torch.ones(both.num_nodes, layer.dim, dtype=torch.float64), both)
    return torch.stack([states[both.member == g].sum(0) for g in (0, 1)])


def test_pairs_that_refinement_does_not_tell_apart_are_told_by_paths_and_a_renumbered_graph_is_not() -> None:
    torch.manual_seed(1)
    pairs = inseparable_pairs()
    for name, k in (("decalin and bicyclopentyl", 3), ("hexagon and two triangles", 2)):
        layer = PathLayer(8, k).double().eval()
        one, other = pooled(layer, pairs[name])
        assert (one - other).abs().max() > 1e-4
        graph = pairs[name][0]
        order = torch.randperm(graph.num_nodes)
        same = Graph(order[graph.edge_index], graph.num_nodes)
        one, other = pooled(layer, (graph, same))
        torch.testing.assert_close(one, other)


def test_a_graph_among_others_is_as_alone_and_one_without_edges_keeps_its_states() -> None:
    torch.manual_seed(2)
    layer = PathLayer(4, 3, "simple").double().eval()
    alone = Graph(torch.empty(2, 0, dtype=torch.int64), 3)
    x = torch.randn(11, 4, dtype=torch.float64)
    found = layer(x, joined([GRAPHS[1], alone]))
    torch.testing.assert_close(found[:8], layer(x[:8], GRAPHS[1]))
    torch.testing.assert_close(found[8:], x[8:])


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(3)
    for with_distances in (False, True):
        layer = PathLayer(3, 2, "simple", with_distances).double().eval()
        x = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
        torch.autograd.gradcheck(lambda x, layer=layer: layer(x, GRAPHS[2]), (x,))


def test_a_wrong_setting_is_refused() -> None:
    for wrong in ({"kind": "longest"}, {"update": "gate"}):
        with pytest.raises(SemblanceError, match="there is no"):
            PathLayer(4, **wrong)  # type: ignore[arg-type]
    with pytest.raises(SemblanceError, match="1 or more"):
        paths(GRAPHS[0], 0)
