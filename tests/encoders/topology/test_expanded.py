"""A hypergraph through its star: the walk between nodes and hyperedges, by matrices."""

import numpy as np
import torch

from semblance.encoders.graphs.projection import RandomProjection
from semblance.encoders.topology.expanded import OnStar
from semblance.geometry.hypergraph import Hypergraph


def hypergraph(seed=0, nodes=9, edges=6):
    rng = np.random.default_rng(seed)
    members = [rng.choice(nodes, rng.integers(1, 5), replace=False) for _ in range(edges)]
    edge = np.repeat(np.arange(edges), [len(m) for m in members])
    return Hypergraph(torch.from_numpy(np.concatenate(members)), torch.from_numpy(edge), nodes, edges)


def test_the_star_s_adjacency_is_the_incidence_both_ways():
    held = hypergraph()
    incidence = torch.zeros(9, 6)
    incidence[held.node, held.edge] = 1
    star = held.star()
    adjacency = torch.zeros(15, 15)
    adjacency[star.edge_index[0], star.edge_index[1]] = 1
    assert torch.equal(adjacency[:9, 9:], incidence)
    assert torch.equal(adjacency, adjacency.T)
    assert not adjacency[:9, :9].any() and not adjacency[9:, 9:].any()


def test_two_powers_are_the_walk_over_hyperedges_of_a_random_matrix():
    held = hypergraph()
    encoder = OnStar(RandomProjection(16, (0.0, 1.0), beta=0.0, law="normal", normalise=False))
    encoder.solve({"graph": held}, 3)
    incidence = torch.zeros(9, 6)
    incidence[held.node, held.edge] = 1
    to_edges = incidence / incidence.sum(1, keepdim=True).clamp(min=1)
    to_nodes = incidence.T / incidence.sum(0)[:, None]
    r = torch.from_numpy(encoder.encoder.projection(np.arange(15)))[:9]
    z = encoder.embed({"graph": held, "nodes": torch.tensor([4, 0])})
    torch.testing.assert_close(z, (to_edges @ to_nodes @ r)[[4, 0]], rtol=1e-4, atol=1e-5)
