"""Colour refinement, and that GIN tells apart what it tells apart."""

import numpy as np
import pytest
import torch
from torch import nn

from semblance.encoders.graphs import Stack, Sum, colours, subtree_kernel, wl_distinguishes
from semblance.geometry.graph import Graph, joined


def undirected(pairs, nodes):
    ends = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return Graph(torch.cat([ends, ends.flip(0)], 1), nodes)


def cycle(*sizes):
    pairs, first = [], 0
    for size in sizes:
        pairs += [(first + k, first + (k + 1) % size) for k in range(size)]
        first += size
    return undirected(pairs, first)


def random_graph(seed, nodes=8):
    chance = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(nodes) for b in range(a) if chance.random() < chance.choice([0.25, 0.4])]
    return undirected(pairs, nodes)


def refined_by_loops(graph, rounds):
    """Colours as nested tuples: the definition."""
    now = dict.fromkeys(range(graph.num_nodes), ())
    into = {v: [] for v in now}
    for s, t in graph.edge_index.T.tolist():
        into[t].append(s)
    for _ in range(rounds):
        now = {v: (now[v], tuple(sorted(now[u] for u in into[v]))) for v in now}
    return now


@pytest.mark.parametrize("seed", range(10))
def test_colours_are_those_of_the_definition(seed):
    graph = random_graph(seed)
    for rounds, colour in enumerate(colours(graph, 3)):
        slow = refined_by_loops(graph, rounds)
        for a in range(8):
            for b in range(8):
                assert (colour[a] == colour[b]) == (slow[a] == slow[b])


def test_refinement_ends_when_no_class_splits():
    path = undirected([(0, 1), (1, 2), (2, 3), (3, 4)], 5)
    rounds = list(colours(path))
    assert len(rounds) == 3 and len(set(rounds[-1])) == 3
    assert len(list(colours(cycle(6)))) == 1
    assert [len(c) for c in colours(Graph(torch.empty(2, 0, dtype=torch.int64), 0))] == [0]


def test_a_six_cycle_and_two_triangles_are_not_told_apart_but_by_labels_they_are():
    assert not wl_distinguishes(cycle(6), cycle(3, 3))
    assert wl_distinguishes(cycle(6), cycle(5))
    labels = np.array([0, 1, 0, 1, 0, 1])
    assert wl_distinguishes(cycle(6), cycle(3, 3), (labels, labels))


def test_the_subtree_kernel_counts_common_colours():
    graphs = [cycle(6), cycle(3, 3), cycle(4)]
    kernel = subtree_kernel(graphs, rounds=2)
    assert np.array_equal(kernel, 3 * np.outer([6, 6, 4], [6, 6, 4]))
    star = undirected([(0, 1), (0, 2), (0, 3)], 4)
    kernel = subtree_kernel([star, cycle(4)], rounds=1)
    assert kernel.tolist() == [[16 + 10, 16], [16, 32]]
    assert np.linalg.eigvalsh(subtree_kernel([random_graph(s) for s in range(6)])).min() > -1e-9


def gin(aggregator="sum", width=16):
    torch.manual_seed(0)
    sizes = [1, *[width] * 5]
    layers = [
        Sum(nn.Sequential(nn.Linear(a, width), nn.Tanh(), nn.Linear(width, width)), 0.1, aggregator=aggregator)
        for a in sizes[:-1]
    ]
    return Stack(layers, activation="tanh", jump="concatenation").double()


def read(net, graph):
    return net.embed({"x": torch.ones(graph.num_nodes, 1, dtype=torch.float64), "graph": joined([graph])})


def test_gin_separates_exactly_what_colour_refinement_separates():
    net = gin()
    equal = [(cycle(6), cycle(3, 3)), (cycle(8), cycle(4, 4)), (cycle(9), cycle(3, 6)), (cycle(9), cycle(4, 5))]
    pairs = [(random_graph(2 * s), random_graph(2 * s + 1)) for s in range(60)] + equal
    verdicts = []
    for one, other in pairs:
        gap = float((read(net, one) - read(net, other)).detach().abs().max())
        told = wl_distinguishes(one, other)
        assert gap > 1e-5 if told else gap < 1e-6
        verdicts.append(told)
    assert not any(verdicts[60:]) and sum(verdicts) > 50


def test_a_mean_misses_counts_a_maximum_misses_repeats_and_a_sum_misses_neither():
    a, b = 0.3, -0.8

    def seen(aggregator, values):
        ends = torch.tensor([[k + 1, 0] for k in range(len(values))]).T
        x = torch.tensor([[0.0], *[[v] for v in values]], dtype=torch.float64)
        layer = Sum(nn.Identity(), aggregator=aggregator, dim=1)
        return float(layer(x, Graph(ends, len(x), directed=True))[0])

    assert seen("mean", [a, b]) == pytest.approx(seen("mean", [a, a, b, b]))
    assert seen("max", [a, b, b]) == pytest.approx(seen("max", [a, a, b]))
    assert abs(seen("sum", [a, b]) - seen("sum", [a, a, b, b])) > 0.1
    assert abs(seen("sum", [a, b, b]) - seen("sum", [a, a, b])) > 0.1
