"""Graphs made from vectors or link by link: likelihoods add up to 1, orders follow the structure, draws are graphs."""

from itertools import product

import numpy as np
import pytest
import torch

from semblance.data.community_graphs import clustering, community_graphs
from semblance.data.dataset import Shape
from semblance.data.graph_generators import both_ways, of_adjacency, ring
from semblance.encoders.graphs.edge_by_edge import EdgeByEdge
from semblance.encoders.graphs.orders import breadth, fiedler, graphs_of, ordered
from semblance.errors import SemblanceError
from semblance.geometry.graph import joined
from semblance.recipes.graph_generation import graph_vae
from semblance.space.model import assemble


def test_the_chances_of_all_sequences_of_links_add_up_to_one():
    torch.manual_seed(0)
    model = EdgeByEdge(8, nodes=4).double()
    links, sizes = [], []

    def grow(rows):
        here = len(rows)
        for told in product((0, 1), repeat=here):
            row = [*told, *[0] * (3 - here)]
            if not any(told) or here == 3:  # the graph ends: without links, or for want of room
                size = here if not any(told) else here + 1
                links.append([*rows, row, *[[0] * 3] * (3 - here)])
                sizes.append(size)
            else:
                grow([*rows, row])

    grow([[0, 0, 0]])
    found = model.of_links(torch.tensor(links).double(), torch.tensor(sizes))
    assert len(sizes) == 1 + 1 * (1 + 3 * 8) and abs(float(found.detach().exp().sum()) - 1) < 1e-9


def test_what_is_drawn_link_by_link_follows_the_likelihood():
    torch.manual_seed(0)
    model = EdgeByEdge(8, nodes=3)
    torch.nn.init.normal_(model.link.weight, std=3.0)
    made = model.sample(4000, torch.Generator().manual_seed(0))
    share = np.mean([g.num_nodes == 3 and g.num_edges == 6 for g in made])
    triangle = both_ways(np.array(ring(range(3))).T, 3)
    wanted = float(model.log_likelihood({"graph": joined([triangle])}).exp())
    assert abs(share - wanted) < 0.03
    sizes = {g.num_nodes for g in made}
    assert sizes <= {1, 2, 3} and all(bool((g.edge_index[0] != g.edge_index[1]).all()) for g in made)


def test_the_bound_of_one_shot_is_below_what_is_rebuilt_and_exact_at_a_point():
    data = community_graphs({"train": 6, "val": 2, "test": 2}, nodes=6)
    batch = data.read(np.arange(10))
    encoder = assemble(graph_vae(nodes=6, hidden=8), Shape("graphs", (0,), 0, 6), 0).encoder.eval()
    adjacency, _, _ = ordered(batch["graph"], "fiedler", 6)
    told = encoder.decoder(encoder.embed(batch))
    wanted = torch.nn.functional.logsigmoid(told[:, :6]).sum(1)
    for row, (low, high) in enumerate(torch.triu_indices(6, 6, 1).T.tolist()):
        sign = 2 * adjacency[:, low, high] - 1
        wanted = wanted + torch.nn.functional.logsigmoid(sign * told[:, 6 + row])
    encoder.variational.penalty = 0.25
    assert torch.allclose(encoder.log_likelihood(batch), wanted - 0.25, rtol=1e-4)
    made = encoder.sample(5, torch.Generator().manual_seed(0))
    assert len(made) == 5 and all(g.num_nodes <= 6 and g.is_symmetric() for g in made)


@pytest.mark.parametrize("order", [fiedler, breadth])
def test_an_order_follows_the_structure(order):
    rng = np.random.default_rng(0)
    half = np.triu(rng.random((12, 12)) < 0.4, 1)
    a = (half | half.T).astype(float)
    shuffle = rng.permutation(12)
    b = a[np.ix_(shuffle, shuffle)]
    one, other = order(a), order(b)
    assert sorted(one) == list(range(12))
    if order is fiedler:  # whose entries are distinct here, while equal degrees are decided by number
        assert (a[np.ix_(one, one)] == b[np.ix_(other, other)]).all()
    else:
        seen = [one[0]]
        for v in one[1:]:
            assert a[v, seen].any() or not a[np.ix_([u for u in one if u not in seen], seen)].any()
            seen.append(v)


def test_communities_stand_together_in_the_order_of_the_fiedler_vector():
    data = community_graphs({"train": 4, "test": 2}, nodes=20, across=0.02)
    adjacency, sizes, place = ordered(data.graph, "fiedler", 20)
    inside = adjacency[:, :10, :10].sum((1, 2)) + adjacency[:, 10:, 10:].sum((1, 2))
    assert (inside / adjacency.sum((1, 2)) > 0.85).all() and (sizes == 20).all()
    again = graphs_of(adjacency, sizes)
    for number, graph in enumerate(again):
        assert graph.num_edges == data.graph.take(np.array([number]))[0].num_edges
    assert sorted(place[:20].tolist()) == list(range(20))
    short, small, _ = ordered(data.graph, "breadth", 5)
    assert short.shape == (6, 5, 5) and (small == 5).all()


def test_clustering_is_the_share_of_linked_pairs_of_neighbours():
    triangle_with_tail = np.zeros((4, 4), bool)
    for i, j in ((0, 1), (1, 2), (0, 2), (2, 3)):
        triangle_with_tail[i, j] = triangle_with_tail[j, i] = True
    assert np.allclose(clustering([of_adjacency(triangle_with_tail)]), (1 + 1 + 1 / 3 + 0) / 4)
    several = community_graphs({"train": 10}, nodes=12, communities=(2, 3))
    assert several.classes == ("2", "3") and np.bincount(several.targets["labels"]).tolist() == [5, 5]


def test_graphs_that_have_no_pairs_are_refused():
    with pytest.raises(SemblanceError, match="1 nodes have no pairs"):
        graph_vae(nodes=1).encoder(Shape("graphs", (2,), 0, 5))
    with pytest.raises(SemblanceError, match="reach of -1"):
        EdgeByEdge(reach=-1)
