"""Networks on cell complexes: dense Hodge Laplacians, changed orientations and numbers, finite differences."""

import math

import numpy as np
import pytest
import torch

from semblance.encoders.topology.cells import CellAttention, CellConvolution, CellNetwork, hodge, incident
from semblance.errors import SemblanceError
from semblance.geometry.cell_builders import grid, of_graph, of_polygons, of_simplices
from semblance.geometry.cells import Boundary, CellComplex, joined_cells
from semblance.geometry.graph import Graph
from semblance.geometry.laplacians import hodge_laplacian


def some():
    """A box of cubes with a few faces left out, all orientations drawn."""
    box = grid((2, 2, 1))
    keep = [np.ones(n, bool) for n in box.num_cells]
    keep[3][0] = keep[2][[0, 5]] = False
    keep[3][np.unique(box.matrix(3).tocoo().coords[1][np.isin(box.matrix(3).tocoo().coords[0], [0, 5])])] = False
    part, _ = box.keep(keep)
    rng = np.random.default_rng(0)
    return part.reoriented([np.ones(part.size(0)), *(rng.choice([-1.0, 1.0], n) for n in part.num_cells[1:])])


def cochains(complex_, width=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(n, width, generator=rng, dtype=torch.float64) for n in complex_.num_cells]


def dense(complex_, k, signed=True, part="both", normalise=False):
    lower, upper = complex_.matrix(k).toarray(), complex_.matrix(k + 1).toarray()
    diagonal = (lower**2).sum(0) + (upper**2).sum(1)
    if not signed:
        lower, upper = abs(lower), abs(upper)
    whole = (part != "upper") * lower.T @ lower + (part != "lower") * upper @ upper.T
    root = np.where(diagonal > 0, np.maximum(diagonal, 1e-9) ** -0.5, 0)
    return torch.from_numpy(root[:, None] * whole * root if normalise else whole)


@pytest.mark.parametrize("part", ["both", "lower", "upper"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
def test_the_products_with_boundaries_are_the_hodge_laplacian(part, signed, normalise):
    complex_ = some()
    for k, x in enumerate(cochains(complex_)):
        expected = dense(complex_, k, signed, part, normalise) @ x
        torch.testing.assert_close(hodge(x, complex_, k, signed, normalise, part), expected)
        found = hodge(x.float(), complex_, k, signed, normalise, part)
        torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
def test_signed_it_is_the_operator_of_the_one_builder(normalise):
    complex_ = some()
    for k, x in enumerate(cochains(complex_)):
        one = hodge_laplacian(complex_.matrix(k), complex_.matrix(k + 1), "block" if normalise else "none")
        torch.testing.assert_close(hodge(x, complex_, k, True, normalise), torch.from_numpy(one.matrix @ x.numpy()))


@pytest.mark.parametrize("outputs", [2, 6])
def test_the_layer_is_its_equation(outputs):
    complex_ = some()
    layer = CellConvolution([3] * 4, outputs).double()
    x = cochains(complex_)
    for k, found in enumerate(layer(x, complex_)):
        expected = dense(complex_, k, False, normalise=True) @ x[k] @ layer.maps[k].weight.T + layer.maps[k].bias
        torch.testing.assert_close(found, expected.relu())


def test_split_parts_of_equal_weights_are_the_whole():
    complex_ = some()
    whole, split = CellConvolution([3] * 4, 5).double(), CellConvolution([3] * 4, 5, split=True).double()
    split.maps.load_state_dict(whole.maps.state_dict())
    split.upper.load_state_dict({name: v for name, v in whole.maps.state_dict().items() if "weight" in name})
    for a, b in zip(whole(cochains(complex_), complex_), split(cochains(complex_), complex_), strict=True):
        torch.testing.assert_close(a, b)
    torch.nn.init.normal_(split.upper[0].weight)
    assert not torch.allclose(split(cochains(complex_), complex_)[0], whole(cochains(complex_), complex_)[0])


def signed_layers():
    return [
        CellConvolution([3] * 4, 4, signed=True, activation="tanh", split=True),
        CellConvolution([4] * 4, 4, signed=True, activation="tanh", normalise=False),
        CellAttention(4, 4, heads=2, signed=True, activation="tanh"),
    ]


def test_signed_turning_cells_over_turns_their_outputs_over_and_no_others():
    complex_ = some()
    network = CellNetwork([3] * 4, signed_layers(), signed=True).double()
    rng = np.random.default_rng(1)
    signs = [torch.from_numpy(rng.choice([-1.0, 1.0], n)) for n in complex_.num_cells]
    x = cochains(complex_)
    before = network({"x": x, "graph": complex_})
    turned = {"x": [s[:, None] * h for s, h in zip(signs, x, strict=True)], "graph": complex_.reoriented(signs)}
    for s, a, b in zip(signs, before, network(turned), strict=True):
        torch.testing.assert_close(b, s[:, None] * a)
    torch.testing.assert_close(network.embed(turned), network.embed({"x": x, "graph": complex_}))


def test_the_check_of_orientations_can_fail():
    complex_ = some()
    network = CellNetwork([3] * 4, [CellConvolution([3] * 4, 4)]).double()
    signs = [-torch.ones(n, dtype=torch.float64) for n in complex_.num_cells]
    x = cochains(complex_)
    before = network({"x": x, "graph": complex_})
    after = network({"x": [-h for h in x], "graph": complex_.reoriented(signs)})
    assert not torch.allclose(after[1], -before[1])


@pytest.mark.parametrize("attention", [False, True])
def test_unsigned_orientations_do_not_matter(attention):
    complex_, x = some(), None
    layer = CellAttention(3, 4, heads=3) if attention else CellConvolution([3] * 4, 4)
    network, x = CellNetwork([3] * 4, [layer]).double(), cochains(complex_)
    rng = np.random.default_rng(1)
    turned = complex_.reoriented([rng.choice([-1.0, 1.0], n) for n in complex_.num_cells])
    for a, b in zip(network({"x": x, "graph": complex_}), network({"x": x, "graph": turned}), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("signed", [False, True])
def test_renumbered_cells_have_renumbered_outputs(signed):
    complex_, x = some(), cochains(some())
    activation = "tanh" if signed else "relu"
    layers = [CellConvolution([3] * 4, 4, signed, activation=activation), CellAttention(4, 4, 2, signed, activation)]
    network = CellNetwork([3] * 4, layers, signed=signed).double()
    place = [torch.randperm(n) for n in complex_.num_cells]
    moved = [Boundary(place[k][b.face], place[k + 1][b.cell], b.sign) for k, b in enumerate(complex_.boundaries)]
    other = CellComplex(complex_.num_cells, tuple(moved))
    before = network({"x": x, "graph": complex_})
    there = {"x": [h[torch.argsort(p)] for h, p in zip(x, place, strict=True)], "graph": other}
    for a, b, p in zip(before, network(there), place, strict=True):
        torch.testing.assert_close(b[p], a)
    torch.testing.assert_close(network.embed(there), network.embed({"x": x, "graph": complex_}))


def test_attention_is_its_equation():
    complex_ = of_polygons([[0, 1, 2], [1, 2, 3]], edges=[[3], [4]])
    layer = CellAttention(4, 3, heads=2).double()
    x = cochains(complex_, 4)
    inside = [abs(complex_.matrix(k).toarray()) > 0 for k in (1, 2)]
    sizes = complex_.num_cells
    first = np.cumsum([0, *sizes])
    allowed = np.eye(first[-1], dtype=bool)
    for k, b in enumerate(inside):
        faces, cells = slice(first[k], first[k + 1]), slice(first[k + 1], first[k + 2])
        allowed[faces, cells] |= b
        allowed[cells, faces] |= b.T
        allowed[cells, cells] |= b.astype(int).T @ b.astype(int) > 0
        allowed[faces, faces] |= b.astype(int) @ b.astype(int).T > 0
    joint = torch.cat([m(n(h)) for m, n, h in zip(layer.joint, layer.norms[::2], x, strict=True)])
    query, key, value = joint.chunk(3, 1)
    heads = []
    for h in (slice(0, 2), slice(2, 4)):
        scores = query[:, h] @ key[:, h].T / math.sqrt(2)
        heads.append(scores.masked_fill(~torch.from_numpy(allowed), -torch.inf).softmax(1) @ value[:, h])
    mixed = torch.cat(heads, 1).split(list(sizes))
    for k, found in enumerate(layer(x, complex_)):
        states = x[k] + layer.out[k](mixed[k])
        expected = states + layer.narrow[k](layer.wide[k](layer.norms[2 * k + 1](states)).relu())
        torch.testing.assert_close(found, expected)


def test_incident_cells_carry_the_signs_of_their_entries():
    complex_ = some()
    graph = incident(complex_, 4)
    first = np.cumsum([0, *complex_.num_cells])
    signs = np.full((first[-1], first[-1]), np.nan)
    signs[graph.edge_index[1].numpy(), graph.edge_index[0].numpy()] = graph.sign.numpy()
    for k in (1, 2, 3):
        b = complex_.matrix(k).toarray()
        block = np.nan_to_num(signs[first[k - 1] : first[k], first[k] : first[k + 1]])
        assert np.array_equal(block, b)
        own = signs[first[k] : first[k + 1], first[k] : first[k + 1]]
        assert np.array_equal(np.diag(own), np.ones(len(own)))
        lower = np.sign(b.T @ b)
        assert np.array_equal(own[lower != 0], lower[lower != 0])


@pytest.mark.parametrize("layer", range(3))
def test_gradients_agree_with_finite_differences(layer):
    complex_ = of_polygons([[0, 1, 2], [1, 2, 3]])
    made = [
        CellConvolution([2] * 3, 3, signed=True, activation="tanh", split=True),
        CellConvolution([2] * 3, 3, activation="gelu"),
        CellAttention(2, 3, heads=2, signed=True, activation="tanh"),
    ][layer].double()
    x = [h.requires_grad_() for h in cochains(complex_, 2)]
    names = [name for name, _ in made.named_parameters()]
    weights = [p.detach().clone().requires_grad_() for p in made.parameters()]

    def run(*values):
        parts = dict(zip(names, values[3:], strict=True))
        return tuple(torch.func.functional_call(made, parts, (list(values[:3]), complex_)))

    assert torch.autograd.gradcheck(run, (*x, *weights))


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_a_complex_is_answered_alike_alone_and_in_company(readout):
    parts = [grid((2, 3)), of_polygons([[0, 1, 2]]), grid((3,)), grid((1, 1))]
    whole = joined_cells(parts)
    layers = [CellConvolution([4] * 3, 4), CellAttention(4, 3)]
    network = CellNetwork([0] * 3, layers, embed=4, readout=readout, hidden=6).double().eval()
    together = network.embed({"graph": whole})
    assert together.shape == (4, 6) == (4, network.dim)
    for i, part in enumerate(parts):
        torch.testing.assert_close(network.embed({"graph": part})[0], together[i])
    taken, _ = whole.take(np.array([3, 0]))
    torch.testing.assert_close(network.embed({"graph": taken}), together[[3, 0]])


def test_vertices_of_one_complex_are_answered_at_the_nodes_asked_for():
    mesh = of_simplices([[[0, 1, 2], [1, 2, 3], [2, 3, 4]]])
    network = CellNetwork([2, 0, 0], [CellConvolution([5] * 3, 4)], embed=5, readout="vertices")
    batch = {"graph": mesh, "x": [torch.randn(5, 2), None, None]}
    states = network(batch)[0]
    assert torch.equal(network.embed(batch), states)
    assert torch.equal(network.embed({**batch, "nodes": torch.tensor([4, 0])}), states[[4, 0]])
    assert network.dim == 4


def test_unsigned_constant_features_do_not_tell_a_hexagon_from_two_triangles():
    six, three = [[i, (i + 1) % 6] for i in range(6)], [[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]]
    network = CellNetwork([0, 0, 0], [CellConvolution([1, 1, 1], 8), CellConvolution([8] * 3, 8)])
    one, two = (of_graph(Graph(torch.tensor(e).T, 6), longest=3) for e in (six, three))
    hollow, _ = two.keep([np.ones(6), np.ones(6), np.zeros(2)])
    torch.testing.assert_close(network.embed({"graph": one}), network.embed({"graph": hollow}))
    assert not torch.allclose(network.embed({"graph": one}), network.embed({"graph": two}))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: CellConvolution([1], 2, signed=True), "relu is not: give tanh"),
        (lambda: CellAttention(5, 2, heads=2), "2 heads do not share a width of 5"),
        (lambda: CellNetwork([1], [], readout="vertex"), "no readout 'vertex'"),
        (lambda: CellNetwork([1, 0], [], signed=True), "cells of dimension 1 have no features"),
        (lambda: CellNetwork([1, 1], [])({"graph": grid((1, 1))}), "has cells of dimension 2"),
        (lambda: CellNetwork([1, 1], [])({"graph": grid((2,))}), "dimension 0 are none"),
        (lambda: CellNetwork([1, 0], [])({"graph": grid((2,)), "x": [torch.ones(2, 1)]}), r"dimension 0 are \[2, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(build, text):
    with pytest.raises(SemblanceError, match=text):
        build()
