"""Learned, given and geometric sheaves: their maps, their operators, their symmetries."""

import numpy as np
import pytest
import torch

from semblance.encoders.topology.fused import KINDS
from semblance.encoders.topology.sheaf import MAPS, GivenSheaf, LocalPCA, SheafLearner
from semblance.errors import SemblanceError
from semblance.geometry.connections import connection
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import graph_laplacian
from semblance.geometry.pairs import pairs_of


def a_graph(nodes=11, edges=40, seed=0, **more):
    ends = torch.randint(0, nodes, (2, edges), generator=torch.Generator().manual_seed(seed))
    return Graph(ends, nodes, directed=True, **more)


def states(nodes, width, seed=1, dtype=torch.float64):
    return torch.randn(nodes, width, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def a_learner(maps, d=3, f=4, seed=0, dtype=torch.float64, **more):
    torch.manual_seed(seed)
    return SheafLearner(d, f, maps, **more).to(dtype)


@pytest.mark.parametrize("maps", MAPS)
def test_a_map_is_made_of_its_owners_state_and_the_others(maps):
    graph, x = a_graph(), states(11, 12)
    learner = a_learner(maps)
    pairs = pairs_of(graph)
    low, high = learner.restrictions(x, pairs)
    for q in (0, len(pairs) - 1):
        i, j = int(pairs.low[q]), int(pairs.high[q])
        for found, (owner, other) in ((low[q], (i, j)), (high[q], (j, i))):
            numbers = torch.tanh(learner.linear(torch.cat([x[owner], x[other]])))[None]
            torch.testing.assert_close(found, MAPS[maps][1](numbers, 3)[0])


@pytest.mark.parametrize("maps", ["householder", "cayley", "exponential"])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_orthogonal_maps_are_orthogonal(maps, d):
    numbers = states(7, MAPS[maps][0](d))
    found = MAPS[maps][1](numbers, d)
    torch.testing.assert_close(found @ found.transpose(1, 2), torch.eye(d, dtype=torch.float64).expand(7, d, d))


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("how", ["none", "block", "entries"])
def test_a_learned_laplacian_is_symmetric_and_positive_semi_definite(maps, how):
    operator = a_learner(maps, normalisation=how)(states(11, 12), a_graph()).laplacian()
    dense = operator.matrix.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    assert operator.spectrum()[0][0] > -1e-10
    if how == "block":
        assert operator.spectrum()[0][-1] < 2 + 1e-10


def test_fixed_coordinates_are_a_low_pass_and_a_high_pass_on_the_graph():
    graph = a_graph()
    learner = a_learner("general", d=3, low_pass=True, high_pass=True, normalisation="none")
    assert learner.linear.out_features == 1
    dense = learner(states(11, 12), graph).laplacian().matrix.toarray()
    smooth = graph_laplacian(graph).matrix.toarray()
    np.testing.assert_allclose(dense[1::3, 1::3], smooth)
    np.testing.assert_allclose(dense[2::3, 2::3], abs(smooth))
    np.testing.assert_allclose(dense[1::3, 2::3], 0)
    with pytest.raises(SemblanceError, match="leaves none to learn"):
        SheafLearner(2, 4, low_pass=True, high_pass=True)


@pytest.mark.parametrize("maps", KINDS)
@pytest.mark.parametrize("how", ["block", "entries"])
def test_compiled_blocks_agree_with_plain_ones_in_value_and_gradient(maps, how):
    graph, x, g = a_graph(), states(11, 12), states(11, 12, seed=2).view(11, 3, 4)
    found = []
    for dtype in (torch.float32, torch.float64):
        learner = a_learner(maps, dtype=dtype, normalisation=how, ridge=1e-3)
        given = x.to(dtype).requires_grad_()
        out = learner(given, graph).apply(given.view(11, 3, 4))
        out.backward(g.to(dtype))
        found.append([one.double() for one in (out, given.grad, learner.linear.weight.grad, learner.linear.bias.grad)])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=2e-4)


def test_the_sheaf_of_signs_flips_with_the_gauge_of_a_node():
    graph = a_graph(seed=3)
    graph = Graph(torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1), 11)
    code = graph.edge_index.min(0).values * 11 + graph.edge_index.max(0).values
    sign = 1.0 - 2.0 * (code % 2)
    gauge = torch.tensor([1.0, -1.0]).repeat(6)[:11]
    first = GivenSheaf("signs", augmented=True)(None, Graph(graph.edge_index, 11, sign=sign))
    turned = sign * gauge[graph.edge_index[0]] * gauge[graph.edge_index[1]]
    second = GivenSheaf("signs", augmented=True)(None, Graph(graph.edge_index, 11, sign=turned))
    turn = np.diag(gauge.numpy())
    np.testing.assert_allclose(second.matrix.toarray(), turn @ first.matrix.toarray() @ turn, atol=1e-12)


def test_what_a_given_sheaf_lacks_is_told():
    with pytest.raises(SemblanceError, match="take the constant sheaf"):
        GivenSheaf("signs")(None, a_graph())
    with pytest.raises(SemblanceError, match="sign 2, but"):
        GivenSheaf("signs")(None, a_graph(sign=torch.full((40,), 2.0)))
    with pytest.raises(SemblanceError, match="no given sheaf 'sign': did you mean signs"):
        GivenSheaf("sign")
    with pytest.raises(SemblanceError, match="no kind of restriction maps 'diag': did you mean diagonal"):
        SheafLearner(3, 4, "diag")


def test_a_table_of_relations_is_an_operator_kept_with_the_graph():
    graph = a_graph(kind=torch.zeros(40, dtype=torch.int64))
    one = np.array([[1.0]])
    sheaf = GivenSheaf({0: (one, one)}, normalisation="none")
    assert sheaf(None, graph) is sheaf(None, graph)
    found = sheaf(None, graph).matrix.toarray()
    loops = int((graph.edge_index[0] == graph.edge_index[1]).sum())
    np.testing.assert_allclose(np.trace(found), 2 * (40 - loops))


def test_local_pca_is_the_connection_laplacian_and_is_found_once():
    graph, x = a_graph(), states(11, 6)
    sheaf = LocalPCA(2)
    found = sheaf(x, graph)
    expected = connection(x, graph, 2).matrix.toarray()
    np.testing.assert_allclose(found.laplacian().matrix.toarray(), expected, atol=1e-9)
    assert sheaf(x.clone(), graph).cross is found.cross
    assert sheaf(x + 1e-3 * states(11, 6, seed=5), graph).cross is not found.cross
