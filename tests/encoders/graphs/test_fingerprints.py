"""Fingerprints: what hashes and layers share, their mass, their limits, and that a fragment is what activates an entry."""

import networkx
import numpy as np
import pytest
import torch

from semblance.encoders.graphs.fingerprints import ByDegree, Circular, Fingerprint, fragments, tanimoto, within
from semblance.encoders.graphs.subtrees import Subtrees
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, joined
from semblance.testing.related import graphs, renumbered


def batch_of(dtype=torch.float32):
    batch = graphs().read(np.arange(20))
    batch["x"] = batch["x"].to(dtype)
    return batch


def made(**axes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Fingerprint(2, 3, 8, 12, **axes).eval()


@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_mass_of_a_fingerprint_is_atoms_times_radii(norm):
    batch = batch_of()
    z = made(norm=norm).embed(batch)
    assert torch.allclose(z.sum(1), 4.0 * batch["graph"].member.bincount())


def test_the_order_of_atoms_changes_nothing():
    data, rows = graphs(), np.arange(20)
    other = renumbered(data)[0]
    encoder = made()
    assert torch.allclose(encoder.embed(data.read(rows)), encoder.embed(other.read(rows)), atol=1e-5)


def test_a_layer_is_its_equation_atom_by_atom():
    batch = batch_of(torch.float64)
    graph, x = batch["graph"], batch["x"]
    edge_x = torch.randn(graph.num_edges, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    bonded = Graph(graph.edge_index, graph.num_nodes, edge_x=edge_x)
    layer = ByDegree(2, 5, degrees=2, bonds=3).double()
    found = layer(x, bonded)
    for v in range(graph.num_nodes):
        into = torch.where(graph.edge_index[1] == v)[0]
        state = torch.cat([x[v] + x[graph.edge_index[0, into]].sum(0), edge_x[into].sum(0)])
        assert torch.allclose(found[v], layer.weight[min(max(len(into), 1), 2) - 1] @ state + layer.bias)


def test_bonds_that_are_not_there_are_said():
    batch = batch_of()
    with pytest.raises(SemblanceError, match="edges have none features and 2 are read"):
        ByDegree(2, 4, bonds=2)(batch["x"], batch["graph"])


def test_gradients_of_a_layer_are_right():
    batch = batch_of(torch.float64)
    layer = ByDegree(2, 3).double()
    inputs = batch["x"].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, batch["graph"]), inputs)


def test_the_bits_of_a_graph_are_those_of_its_trees_and_equal_trees_share_them():
    batch = batch_of()
    bits = Circular(2, 64).embed(batch)
    hashes = Subtrees(2, 3)(batch).numpy().view(np.uint64) % np.uint64(64)
    for g in range(20):
        inside = (batch["graph"].member == g).numpy()
        assert set(torch.where(bits[g] > 0)[0].tolist()) == set(hashes[inside].ravel().tolist())
    hexagon, triangles = (networkx.cycle_graph(6), networkx.disjoint_union(*[networkx.cycle_graph(3)] * 2))
    pair = [Graph(torch.tensor([*g.edges, *((b, a) for a, b in g.edges)]).T, 6) for g in (hexagon, triangles)]
    same = Circular(4, 256).embed({"graph": joined(pair)})
    assert torch.equal(same[0], same[1])


def test_large_random_weights_give_the_distances_of_hashes_and_small_ones_do_not():
    drawn = [networkx.random_labeled_tree(9 + s % 4, seed=s) for s in range(60)]
    every = joined([Graph(torch.tensor([*g.edges, *((b, a) for a, b in g.edges)]).T, len(g)) for g in drawn])
    batch = {"graph": every, "x": torch.eye(3)[torch.arange(every.num_nodes) % 3]}
    a, b = np.random.default_rng(0).integers(0, 60, (2, 400))
    bits = Circular(4, 1024).embed(batch)
    torch.manual_seed(0)
    agreed = []
    for scale in (1.0, 30.0):
        with torch.no_grad():
            z = Fingerprint(3, 4, 32, 1024, "tanh", scale=scale).eval().embed(batch)
        agreed.append(np.corrcoef(tanimoto(z[a], z[b]), tanimoto(bits[a], bits[b]))[0, 1])
    assert agreed[1] > 0.6 and agreed[1] > agreed[0] + 0.1


def test_tanimoto_of_bits_is_that_of_sets():
    a, b = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]]), torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    assert torch.allclose(tanimoto(a, b), torch.tensor([2 / 3, 0.0]))


def test_a_fragment_decides_what_its_entry_takes_and_atoms_outside_do_not():
    batch, encoder = batch_of(), made()
    strongest = fragments(encoder, batch, 3, 5)
    assert [f.activation for f in strongest] == sorted((f.activation for f in strongest), reverse=True)
    for f in strongest:
        x = batch["x"].clone()
        outside = np.setdiff1d(np.arange(len(x)), f.atoms)
        x[outside] += 5.0
        again = encoder.parts({**batch, "x": x})[f.radius][f.atom, 3]
        assert abs(again.item() - f.activation) < 1e-6


def test_the_nodes_within_a_radius_are_those_of_networkx():
    graph = networkx.gnp_random_graph(30, 0.08, seed=1)
    ours = Graph(torch.tensor([*graph.edges, *((b, a) for a, b in graph.edges)]).T, 30)
    for v in range(0, 30, 7):
        assert within(ours, v, 2).tolist() == sorted(networkx.ego_graph(graph, v, 2))
