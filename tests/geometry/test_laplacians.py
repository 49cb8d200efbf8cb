"""The Laplacian builder: kernels, spectra, limits and flows against what is known of them in closed form."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.hypergraph import Hypergraph
from semblance.geometry.laplacians import (
    graph_laplacian,
    hodge_laplacian,
    hypergraph_laplacian,
    laplacian,
    rank,
    rows_of,
)
from semblance.geometry.pairs import pairs_of
from semblance.geometry.sheaves import coboundary, of_relations, sheaf_laplacian


def a_graph(nodes=12, edges=30, seed=0, **more):
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, nodes, (2, edges)))
    return Graph(ends, nodes, directed=True, **more)


def adjacency(graph):
    pairs = pairs_of(graph)
    out = np.zeros((graph.num_nodes, graph.num_nodes))
    for i, j in zip(pairs.low.tolist(), pairs.high.tolist(), strict=True):
        out[i, j] += 1
        out[j, i] += 1
    return out


@given(st.integers(1, 9), st.integers(0, 25), st.integers(0, 10**6))
def test_pairs_are_the_mentioned_pairs_once_grouped_by_the_lower_end(nodes, edges, seed):
    graph = a_graph(nodes, edges, seed)
    pairs = pairs_of(graph)
    mentioned = {tuple(sorted(p)) for p in graph.edge_index.T.tolist() if p[0] != p[1]}
    assert set(zip(pairs.low.tolist(), pairs.high.tolist(), strict=True)) == mentioned
    for i in range(nodes):
        assert pairs.other[pairs.start[i] : pairs.start[i + 1]].tolist() == pairs.high[pairs.low == i].tolist()
    assert pairs.degree.tolist() == (adjacency(graph) != 0).sum(0).tolist() or not graph.without_loops().directed


def test_a_graphs_laplacian_is_degrees_minus_neighbours():
    graph = a_graph()
    a = adjacency(graph)
    np.testing.assert_allclose(graph_laplacian(graph).matrix.toarray(), np.diag(a.sum(0)) - a)


def test_one_minus_the_augmented_laplacian_is_the_operator_of_graph_convolution():
    from torch_geometric.nn.conv.gcn_conv import gcn_norm

    graph = a_graph(nodes=40, edges=60).without_loops().undirected()
    ends, weight = gcn_norm(graph.edge_index, None, graph.num_nodes, dtype=torch.float64)
    expected = torch.sparse_coo_tensor(ends, weight, (40, 40)).to_dense().numpy()
    found = np.eye(40) - graph_laplacian(graph, "block", augmented=True).matrix.toarray()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_isolated_node_stays_isolated_when_normalised():
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 3)
    matrix = graph_laplacian(graph, "block").matrix.toarray()
    np.testing.assert_allclose(matrix, [[1, -1, 0], [-1, 1, 0], [0, 0, 0]], atol=1e-12)


def a_ragged_sheaf(seed, nodes=14, edges=20):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, nodes)
    ends = rng.integers(0, nodes, (2, edges))
    ends[1] = np.where(ends[0] == ends[1], (ends[1] + 1) % nodes, ends[1])
    heights = rng.integers(1, 4, edges)
    maps = [[rng.normal(size=(h, sizes[v])) for h, v in zip(heights, side, strict=True)] for side in ends]
    return torch.from_numpy(ends), maps[0], maps[1], sizes


@pytest.mark.parametrize("seed", range(5))
def test_the_kernel_of_a_sheaf_laplacian_is_the_global_sections(seed):
    ends, source, target, sizes = a_ragged_sheaf(seed)
    delta, start = coboundary(ends, source, target, sizes)
    found = sheaf_laplacian(ends, source, target, sizes)
    kernel = found.kernel()
    assert kernel.shape[1] == sizes.sum() - rank(delta)
    for e, (u, v) in enumerate(ends.T.tolist()):
        at_u, at_v = kernel[start[u] : start[u + 1]], kernel[start[v] : start[v + 1]]
        np.testing.assert_allclose(source[e] @ at_u, target[e] @ at_v, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_sheaf_laplacian_is_symmetric_and_positive_semi_definite_also_normalised(seed):
    for normalisation, augmented in (("none", False), ("block", False), ("block", True)):
        found = sheaf_laplacian(*a_ragged_sheaf(seed), normalisation, augmented)
        dense = found.matrix.toarray()
        np.testing.assert_allclose(dense, dense.T, atol=1e-12)
        values = found.spectrum()[0]
        assert values[0] > -1e-10
        if normalisation == "block":
            assert values[-1] < 2 + 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_block_normalisation_makes_every_diagonal_block_a_projection(seed):
    found = sheaf_laplacian(*a_ragged_sheaf(seed), "block")
    dense = found.matrix.toarray()
    for a, b in zip(found.start[:-1], found.start[1:], strict=True):
        block = dense[a:b, a:b]
        np.testing.assert_allclose(block @ block, block, atol=1e-8)


def test_a_sheaf_of_identity_maps_is_d_graph_laplacians():
    graph = a_graph()
    pairs = pairs_of(graph)
    same = np.broadcast_to(np.eye(3), (len(pairs), 3, 3))
    ends = torch.stack([pairs.low, pairs.high])
    for form in (("none", False), ("block", False), ("block", True)):
        found = sheaf_laplacian(ends, same, same, np.full(12, 3), *form).matrix.toarray()
        np.testing.assert_allclose(
            found, np.kron(graph_laplacian(graph, *form).matrix.toarray(), np.eye(3)), atol=1e-12
        )


def test_changing_the_basis_of_a_stalk_changes_the_operator_by_that_basis():
    ends, source, target, sizes = a_ragged_sheaf(0)
    rng = np.random.default_rng(1)
    bases = [np.linalg.qr(rng.normal(size=(s, s)))[0] for s in sizes]
    turned = [[m @ bases[v].T for m, v in zip(maps, side.tolist(), strict=True)]
              for maps, side in ((source, ends[0]), (target, ends[1]))]  # fmt: skip
    change = sp.block_diag(bases).toarray()
    for form in ("none", "block"):
        before = sheaf_laplacian(ends, source, target, sizes, form).matrix.toarray()
        after = sheaf_laplacian(ends, *turned, sizes, form).matrix.toarray()
        np.testing.assert_allclose(after, change @ before @ change.T, atol=1e-8)


def test_friend_and_foe_maps_give_the_signed_laplacian():
    ends = torch.tensor([[0, 1, 0], [1, 2, 2]])
    graph = Graph(torch.cat([ends, ends.flip(0)], 1), 3, kind=torch.tensor([0, 1, 1, 0, 1, 1]))
    one = np.eye(1)
    found = of_relations(graph, {0: (one, one), 1: (one, -one)}).matrix.toarray()
    np.testing.assert_allclose(found, [[2, -1, 1], [-1, 2, 1], [1, 1, 2]])


def test_relations_that_differ_at_their_ends_need_a_directed_graph():
    ends = torch.tensor([[0, 1], [1, 0]])
    table = {0: (np.array([[1.0, 0.0]]), np.array([[2.0]]))}
    with pytest.raises(SemblanceError, match="direct it"):
        of_relations(Graph(ends, 2, kind=torch.zeros(2, dtype=torch.int64)), table)
    one_way = Graph(ends[:, :1], 2, directed=True, kind=torch.zeros(1, dtype=torch.int64))
    found = of_relations(one_way, table)
    assert found.sizes.tolist() == [2, 1]
    np.testing.assert_allclose(found.matrix.toarray(), [[1, 0, -2], [0, 0, 0], [-2, 0, 4]])


def test_a_map_of_the_wrong_size_is_told_with_its_edge():
    with pytest.raises(SemblanceError, match="node 1 at edge 0 is \\[2, 3\\]"):
        coboundary(torch.tensor([[0], [1]]), [np.zeros((2, 2))], [np.zeros((2, 3))], np.array([2, 2]))


@pytest.mark.parametrize("seed", range(3))
def test_a_hypergraph_laplacian_is_one_minus_the_two_step_walk(seed):
    rng = np.random.default_rng(seed)
    incidence = (rng.random((10, 6)) < 0.4) | (np.arange(10)[:, None] % 6 == np.arange(6))
    node, edge = (torch.from_numpy(v) for v in np.nonzero(incidence))
    weight = torch.from_numpy(rng.random(6) + 0.1)
    h = incidence.astype(float)
    degree, size = h @ weight.numpy(), h.sum(0)
    theta = np.diag(degree**-0.5) @ h @ np.diag(weight.numpy() / size) @ h.T @ np.diag(degree**-0.5)
    found = hypergraph_laplacian(Hypergraph(node, edge, 10, 6, weight=weight))
    np.testing.assert_allclose(found.matrix.toarray(), np.eye(10) - theta, atol=1e-12)


def test_hodge_laplacians_count_the_holes_of_a_hollow_and_of_a_filled_triangle():
    first = np.array([[-1, -1, 0], [1, 0, -1], [0, 1, 1]])
    second = np.array([[1], [-1], [1]])
    first, second = sp.csr_array(first.astype(float)), sp.csr_array(second.astype(float))
    assert hodge_laplacian(None, first).kernel().shape[1] == 1
    assert hodge_laplacian(first, None).kernel().shape[1] == 1
    assert hodge_laplacian(first, second).kernel().shape[1] == 0
    with pytest.raises(SemblanceError, match="boundary of a boundary"):
        hodge_laplacian(first, abs(second))


def test_heat_flows_to_its_projection_on_the_kernel_and_energy_falls_on_the_way():
    found = sheaf_laplacian(*a_ragged_sheaf(2), "block")
    x = np.random.default_rng(0).normal(size=(found.matrix.shape[0], 2))
    energies = [found.energy(found.heat(x, t)) for t in (0.0, 0.5, 1.0, 4.0)]
    assert all(a > b for a, b in itertools.pairwise(energies))
    np.testing.assert_allclose(found.heat(x, 1e4), found.heat(x, np.inf), atol=1e-3)
    assert found.energy(found.project(x)) < 1e-9
    np.testing.assert_allclose(found.energy(x), np.sum((found.coboundary @ x) ** 2))


def test_the_harmonic_extension_of_the_ends_of_a_path_is_linear():
    n = 6
    ends = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    found = graph_laplacian(Graph(ends, n, directed=True)).harmonic(np.array([0, n - 1]), np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(found[:, 0], np.linspace(0, 1, n), atol=1e-9)


def test_the_least_eigenvalues_of_a_large_operator_are_those_of_a_cycle():
    n = 3000
    ends = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    found = graph_laplacian(Graph(ends, n, directed=True))
    expected = np.sort(2 - 2 * np.cos(2 * np.pi * np.arange(n) / n))[:5]
    np.testing.assert_allclose(found.spectrum(5)[0], expected, atol=1e-8)


def test_the_product_with_the_operator_has_the_operator_as_its_gradient():
    found = graph_laplacian(a_graph(), "block")
    x = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(found.apply, x)
    np.testing.assert_allclose(found.apply(x).detach(), found.matrix @ x.detach().numpy())


def test_rows_of_ragged_stalks_follow_the_cells_asked_for():
    start = np.array([0, 2, 3, 6])
    assert rows_of(start, np.array([2, 0])).tolist() == [3, 4, 5, 0, 1]


def test_wrong_input_is_told_in_one_line():
    with pytest.raises(SemblanceError, match="at least one matrix"):
        laplacian()
    with pytest.raises(SemblanceError, match="no normalisation 'blocks'"):
        laplacian(sp.eye_array(2), normalisation="blocks")
    with pytest.raises(SemblanceError, match="same cells"):
        laplacian(sp.eye_array(2), sp.eye_array(3))
