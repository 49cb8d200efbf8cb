"""Subtree features: the kernel they approximate, what they cannot tell apart, and that a tree keeps its hash anywhere."""

import networkx
import numpy as np
import torch

from semblance.encoders.graphs.refinement import subtree_kernel, wl_distinguishes
from semblance.encoders.graphs.subtrees import Subtrees
from semblance.geometry.graph import Graph, joined


def as_graph(graph):
    ends = torch.tensor(list(graph.edges), dtype=torch.int64).reshape(-1, 2).T
    return Graph(torch.cat([ends, ends.flip(0)], 1), graph.number_of_nodes())


def some_graphs():
    drawn = [networkx.gnp_random_graph(8, 0.35, seed=s) for s in range(12)]
    return [
        as_graph(g) for g in [*drawn, networkx.cycle_graph(6), networkx.disjoint_union(*[networkx.cycle_graph(3)] * 2)]
    ]


def test_squared_rows_give_the_subtree_kernel_where_no_buckets_are_shared():
    graphs = some_graphs()
    z = Subtrees(2, dim=3 * 100_003).embed({"graph": joined(graphs)}).double().numpy() ** 2
    assert np.allclose(z @ z.T, subtree_kernel(graphs, rounds=2))


def test_graphs_differ_exactly_where_colour_refinement_tells_them_apart():
    graphs = some_graphs()
    z = Subtrees(8, dim=9 * 10_007).embed({"graph": joined(graphs)}).numpy()
    pairs = [(i, j) for i in range(len(graphs)) for j in range(i)]
    told = [not np.array_equal(z[i], z[j]) for i, j in pairs]
    assert told == [wl_distinguishes(graphs[i], graphs[j]) for i, j in pairs]
    assert not told[-1]  # a hexagon and two triangles


def test_a_graph_embeds_the_same_alone_and_among_others_and_features_count():
    graphs = some_graphs()
    x = [torch.eye(3)[torch.arange(g.num_nodes) % 3] for g in graphs]
    encoder = Subtrees(3, 256)
    together = encoder.embed({"graph": joined(graphs), "x": torch.cat(x)})
    for i in (0, 5):
        alone = encoder.embed({"graph": joined([graphs[i]]), "x": x[i]})
        assert torch.equal(alone[0], together[i])
    assert not torch.equal(together, encoder.embed({"graph": joined(graphs)}))
    turned = torch.randperm(graphs[0].num_nodes, generator=torch.Generator().manual_seed(0))
    moved = {"graph": joined([graphs[0].part(turned)]), "x": x[0][turned]}
    assert torch.equal(encoder.embed(moved)[0], together[0])
