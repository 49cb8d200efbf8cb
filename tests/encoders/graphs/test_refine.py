"""Refined graphs: what is dropped, added and weighed, and the network over it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semblance.encoders.graphs.refine import alike, refined, united, weighed
from semblance.encoders.graphs.robust import Reader, Robust
from semblance.geometry.graph import Graph
from semblance.objectives.summaries import Summaries, put_back


def random_graph(nodes=20, edges=40, seed=0):
    ends = torch.randint(0, nodes, (2, edges), generator=torch.Generator().manual_seed(seed))
    ends = ends[:, ends[0] != ends[1]]
    return Graph(ends, nodes, directed=True).undirected()


def words(nodes=20, seed=0):
    return (torch.rand(nodes, 12, generator=torch.Generator().manual_seed(seed)) < 0.2).float()


def pairs(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


@pytest.mark.parametrize("sparse", [False, True])
def test_alike_is_the_jaccard_of_features(sparse):
    graph, x = random_graph(), words()
    told = alike(graph, x.to_sparse_csr() if sparse else x, 0.2)
    for (i, j), found in zip(graph.edge_index.T.tolist(), told.tolist(), strict=True):
        a, b = set(x[i].nonzero().ravel().tolist()), set(x[j].nonzero().ravel().tolist())
        assert found == (len(a & b) >= 0.2 * len(a | b) > 0)


def test_refinement_is_what_plain_loops_say():
    graph, z = random_graph(), torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    threshold, k, degree = 0.1, 3, 2
    cosine = F.normalize(z, dim=1) @ F.normalize(z, dim=1).T
    wanted = {(i, j) for i, j in pairs(graph) if cosine[i, j] > threshold}
    counts = torch.bincount(graph.edge_index[1], minlength=20)
    for i in range(20):
        hubs = [j for j in range(20) if j != i and counts[j] > degree]
        for j in sorted(hubs, key=lambda j: -cosine[i, j])[:k]:
            wanted |= {(i, j), (j, i)}
    assert pairs(refined(graph, z, threshold, k, degree)) == wanted


def test_nothing_is_added_where_nothing_is_asked_or_no_node_has_the_degree():
    graph, z = random_graph(), torch.randn(20, 4)
    for settings in ({"k": 0}, {"degree": 1000}):
        assert pairs(refined(graph, z, -2.0, **settings)) == pairs(graph)
    empty = Graph(torch.empty(2, 0, dtype=torch.int64), 0)
    assert refined(empty, torch.empty(0, 4)).num_edges == 0


def test_weights_are_powers_of_degrees_and_minus_a_half_is_gcn():
    graph = random_graph()
    degree = torch.bincount(graph.edge_index[1], minlength=20).float() + 1
    for power in (0.5, -0.5, 2.0):
        found = weighed(graph, power)
        source, target = found.edge_index
        ratio = found.weight / (degree[source] * degree[target]) ** power
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert pairs(found) == pairs(graph) | {(i, i) for i in range(20)}


def test_united_lists_every_pair_once():
    first, second = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1, 2], [0, 0]])
    assert united(Graph(first, 3), first, second).edge_index.T.tolist() == [[0, 1], [1, 0], [2, 0]]


def batch_of(graph, x, **more):
    return {"graph": graph, "x": x, **more}


def test_the_states_are_two_rows_normalised_propagations_of_what_the_reader_reads():
    graph, x = random_graph(), words()
    torch.manual_seed(0)
    encoder = Robust(12, Reader(12, 6, 0.1), 5, threshold=0.0, k=2).eval()
    found = encoder.embed(batch_of(graph, x, nodes=torch.tensor([3, 4])))
    z = encoder.reader(batch_of(graph, x))
    held = weighed(refined(graph, z, 0.0, 2, 2), 0.5)
    a = torch.zeros(20, 20)
    a[held.edge_index[1], held.edge_index[0]] = held.weight
    a = a / a.sum(1, keepdim=True)
    h = torch.relu(a @ z @ encoder.layer.map.weight.T + encoder.layer.map.bias)
    torch.testing.assert_close(found, (a @ h)[[3, 4]])


def test_the_refined_graph_follows_the_readers_weights_and_the_data():
    graph, x = random_graph(), words()
    torch.manual_seed(0)
    encoder = Robust(12, Reader(12, 6, 0.1), 5, k=2).eval()
    first = encoder.seen(batch_of(graph, x))
    assert encoder.seen(batch_of(graph, x))[1] is first[1]
    with torch.no_grad():
        encoder.reader.map.weight.normal_()
    second = encoder.seen(batch_of(graph, x))
    assert pairs(second[1]) != pairs(first[1])
    other = random_graph(seed=9)
    assert pairs(encoder.seen(batch_of(other, x))[1]) != pairs(second[1])


def test_without_a_reader_the_features_refine():
    graph, x = random_graph(), words()
    encoder = Robust(12, None, 5, k=2).eval()
    z, held = encoder.seen(batch_of(graph, x.to_sparse_csr()))
    torch.testing.assert_close(z, x)
    assert pairs(held) == pairs(weighed(refined(graph, x, 0.1, 2, 2)))


def test_a_share_of_what_was_dropped_comes_back_in_both_directions():
    graph = random_graph(200, 2000)
    low = torch.minimum(*graph.edge_index)
    stays = low % 2 == 0
    torch.manual_seed(0)
    view = put_back(graph, stays, 0.2)
    assert view.is_symmetric()
    assert (view.num_edges - int(stays.sum())) / int((~stays).sum()) == pytest.approx(0.2, abs=0.05)
    assert pairs(put_back(graph, stays, 0.0)) == pairs(graph.with_edges(stays))
    assert pairs(put_back(graph, stays, 1.0)) == pairs(graph)


def test_contrast_learns_to_tell_nodes_from_shuffled_ones():
    generator = torch.Generator().manual_seed(0)
    side = torch.arange(40) % 2
    likely = torch.where((torch.arange(12) < 6) == (side[:, None] == 0), 0.6, 0.05)
    x = (torch.rand(40, 12, generator=generator) < likely).float()
    ends = torch.randint(0, 40, (2, 300), generator=generator)
    graph = Graph(ends[:, (side[ends[0]] == side[ends[1]]) & (ends[0] != ends[1])], 40, directed=True).undirected()
    torch.manual_seed(0)
    model = torch.nn.Module()
    model.encoder = Robust(12, Reader(12, 16), 4)
    objective = Summaries(16)
    adam = torch.optim.Adam([*model.encoder.reader.parameters(), *objective.parameters()], 0.01)
    told = []
    for _ in range(60):
        loss, metrics = objective(model, batch_of(graph, x))
        adam.zero_grad()
        loss.backward()
        adam.step()
        told.append((metrics["loss"], metrics["told"]))
    assert told[-1][0] < 0.8 * told[0][0] and np.mean([t for _, t in told[-10:]]) > 0.75
    assert model.encoder.layer.map.weight.grad is None  # the classifier rests
