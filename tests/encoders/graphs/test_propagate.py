"""Operators, bases and filters against dense matrices, closed forms and PyTorch Geometric with copied weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semblance.encoders.graphs.bases import Bernstein, Chebyshev, Favard, Monomial, Optimal, Resolvent
from semblance.encoders.graphs.inputs import InputLinear, read_rows
from semblance.encoders.graphs.operators import KINDS, operator_of
from semblance.encoders.graphs.propagate import (
    Filter,
    Gate,
    Matrices,
    Propagation,
    Weights,
    geometric,
    last,
)
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

NODES = 30


def random_graph(seed: int = 0, directed: bool = False, weighted: bool = False, nodes: int = NODES) -> Graph:
    """With self-loops, one isolated node (the last) and, directed, repeated edges."""
    rng = np.random.default_rng(seed)
    ends = torch.from_numpy(rng.integers(0, nodes - 1, (2, 4 * nodes)))
    weight = torch.from_numpy(rng.random(4 * nodes)) if weighted else None
    graph = Graph(ends, nodes, directed=True, weight=weight)
    return graph if directed else graph.undirected()


def dense(graph: Graph) -> torch.Tensor:
    """A[v, u], the sum of the weights of the edges u -> v."""
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    w = torch.ones(graph.num_edges) if graph.weight is None else graph.weight
    return a.index_put((graph.edge_index[1], graph.edge_index[0]), w.double(), accumulate=True)


def features(seed: int = 0, width: int = 5, dtype: torch.dtype = torch.float64, nodes: int = NODES) -> torch.Tensor:
    return torch.randn(nodes, width, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def power(d: torch.Tensor, e: float) -> torch.Tensor:
    return torch.where(d > 0, d.clamp(min=1e-300) ** e, 0.0)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(seed=st.integers(0, 1000), directed=st.booleans(), weighted=st.booleans())
def test_an_operator_is_its_formula(kind: str, seed: int, directed: bool, weighted: bool) -> None:
    graph = random_graph(seed, directed, weighted)
    a, x = dense(graph), features(seed)
    looped = a.clone()
    has_loop = torch.zeros(NODES, dtype=torch.bool)
    has_loop[graph.edge_index[0][graph.edge_index[0] == graph.edge_index[1]]] = True
    looped[~has_loop, ~has_loop] += 1
    into, into_looped, out_of = a.sum(1), looped.sum(1), a.sum(0)
    expected = {
        "symmetric": power(into, -0.5)[:, None] * a * power(into, -0.5),
        "symmetric-loops": power(into_looped, -0.5)[:, None] * looped * power(into_looped, -0.5),
        "row": power(into, -1)[:, None] * a,
        "row-loops": power(into_looped, -1)[:, None] * looped,
        "two-way": power(into, -0.25)[:, None] * a * power(out_of, -0.25),
        "in-laplacian": torch.diag(into) - a,
        "adjacency": a,
    }[kind]
    operator = operator_of(graph, kind)
    torch.testing.assert_close(operator(x), expected @ x)
    torch.testing.assert_close(operator.T(x), expected.T @ x)
    torch.testing.assert_close(operator(x.float()), (expected @ x).float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(operator.matrix().toarray()), expected)
    assert operator.T.T is operator
    assert torch.autograd.gradcheck(operator, x[:, :2].clone().requires_grad_())


def test_an_operator_is_built_once_and_negative_edges_are_refused() -> None:
    graph = random_graph()
    assert operator_of(graph, "row") is operator_of(graph, "row")
    assert operator_of(graph, "row") is not operator_of(graph, "symmetric")
    with pytest.raises(SemblanceError, match="signed graphs"):
        operator_of(replace(graph, sign=-torch.ones(graph.num_edges), kept={}))
    with pytest.raises(SemblanceError, match="symmetric"):
        operator_of(graph, "symetric")


def test_a_graph_without_edges_and_one_without_nodes_are_propagated() -> None:
    for nodes in (3, 0):
        graph = Graph(torch.empty(2, 0, dtype=torch.int64), nodes)
        x = features(nodes=nodes)
        torch.testing.assert_close(Filter(2, Weights(last(2)))(x, graph), x)
        torch.testing.assert_close(operator_of(graph, "symmetric")(x), 0 * x)


def spectrum(kind: str = "symmetric") -> tuple[Graph, torch.Tensor, torch.Tensor]:
    graph = random_graph(3)
    values, vectors = np.linalg.eigh(operator_of(graph, kind).matrix().toarray())
    return graph, torch.from_numpy(values), torch.from_numpy(vectors)


@pytest.mark.parametrize(
    ("basis", "polynomial"),
    [
        (Monomial(), lambda s, k: s**k),
        (Chebyshev(), lambda s, k: torch.special.chebyshev_polynomial_t(s, k)),
        (Chebyshev(2), lambda s, k: torch.special.chebyshev_polynomial_u(s, k)),
        (Bernstein(), lambda s, k: torch.tensor([1, 6, 15, 20, 15, 6, 1])[k] / 64 * (1 + s) ** (6 - k) * (1 - s) ** k),
    ],
    ids=["monomials", "first kind", "second kind", "Bernstein"],
)
def test_a_basis_acts_on_eigenvectors_as_its_polynomial(basis: nn.Module, polynomial) -> None:
    graph, values, vectors = spectrum()
    terms = list(basis.terms(operator_of(graph, "symmetric"), vectors, 6))
    assert len(terms) == 7
    for k, term in enumerate(terms):
        torch.testing.assert_close(term, vectors * polynomial(values, k), rtol=1e-8, atol=1e-8)


def test_the_resolvent_basis_solves_and_its_gradient_does_too() -> None:
    graph, x = random_graph(4, directed=True), features(width=2)
    operator = operator_of(graph, "in-laplacian")
    inverse = torch.linalg.inv(torch.eye(NODES) + torch.from_numpy(operator.matrix().toarray()))
    terms = list(Resolvent().terms(operator, x, 2))
    torch.testing.assert_close(terms[2], inverse @ inverse @ x)
    assert torch.autograd.gradcheck(operator.solve, x.clone().requires_grad_())


def test_favard_with_no_shift_and_a_quarter_is_chebyshev_of_the_second_kind() -> None:
    graph, values, vectors = spectrum()
    favard = Favard(NODES, 10).double()
    for k, term in enumerate(favard.terms(operator_of(graph, "symmetric"), vectors, 10)):
        torch.testing.assert_close(
            term, vectors * torch.special.chebyshev_polynomial_u(values, k), rtol=1e-6, atol=1e-6
        )


def test_favard_learns_each_channels_recurrence_and_its_roots_stay_away_from_zero() -> None:
    graph, x = random_graph(5), features(width=3)
    favard = Favard(3, 4).double()
    with torch.no_grad():
        favard.root.copy_(torch.rand(5, 3) + 0.2)
        favard.shift.copy_(torch.rand(4, 3) - 0.5)
        favard.root[2, 1] = -4.0
    s = torch.from_numpy(operator_of(graph, "symmetric").matrix().toarray())
    for c in range(3):
        b, g = favard.root.detach()[:, c].clamp(min=0.01), favard.shift.detach()[:, c]
        p = [torch.zeros(NODES, dtype=torch.float64), x[:, c] / b[0]]
        for k in range(4):
            p.append((s @ p[-1] - g[k] * p[-1] - (b[k] * p[-2] if k else 0)) / b[k + 1])
        terms = list(favard.terms(operator_of(graph, "symmetric"), x, 4))
        torch.testing.assert_close(torch.stack([t[:, c] for t in terms]).detach(), torch.stack(p[1:]))
    layer = Filter(4, Weights([1.0] * 5, learned=True, channels=3), favard, "symmetric").double()
    layer(x, graph).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("channels", [1, 6])
def test_optimal_vectors_are_orthonormal_and_span_what_the_powers_span(channels: int) -> None:
    graph, x = random_graph(6), features(1, channels)
    operator = operator_of(graph, "symmetric")
    v = torch.stack(list(Optimal().terms(operator, x, 6)))  # [7, V, C]
    gram = torch.einsum("jvc,kvc->cjk", v, v)
    torch.testing.assert_close(gram, torch.eye(7, dtype=torch.float64).expand(channels, 7, 7), rtol=0, atol=1e-8)
    powers = torch.stack(list(Monomial().terms(operator, x, 6)))
    left = powers - torch.einsum("jvc,kvc,kwc->jwc", powers, v, v)
    assert left.abs().max() < 1e-8 * powers.abs().max()


def test_an_exhausted_space_gives_zeros_and_finite_gradients() -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), 3)  # two eigenvalues at most are met from any start
    x = features(2, 4, nodes=3).requires_grad_()
    v = list(Optimal().terms(operator_of(graph, "symmetric"), x, 6))
    assert all(not t.any() for t in v[4:])
    sum(t.sum() for t in v).backward()
    assert torch.isfinite(x.grad).all()
    zero = list(Optimal().terms(operator_of(graph, "symmetric"), torch.zeros(3, 1), 2))
    assert not any(t.any() for t in zero)


def test_a_features_scale_does_not_change_its_optimal_basis() -> None:
    graph, x = random_graph(7), features(3)
    a, b = (list(Optimal().terms(operator_of(graph, "symmetric"), x * s, 5)) for s in (1.0, 1000.0))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("basis", [Monomial(), Chebyshev(), Chebyshev(2)], ids=str)
def test_summing_from_the_highest_order_down_gives_the_same(basis) -> None:
    graph, x = random_graph(8), features(width=6)
    for depth in (0, 1, 2, 5):
        mix = Matrices(6, 3, depth).double()
        layer = Filter(depth, mix, basis, "symmetric")
        terms = basis.terms(operator_of(graph, "symmetric"), x, depth)
        torch.testing.assert_close(layer(x, graph), mix(terms))


MIXES = {
    "last": lambda: Weights(last(3)),
    "geometric": lambda: Weights(geometric(3, 0.2)),
    "learned": lambda: Weights(geometric(3, 0.2), learned=True),
    "per channel": lambda: Weights(geometric(3, 0.2), learned=True, channels=4),
    "gate": lambda: Gate(4),
    "matrices": lambda: Matrices(4, 3, 3),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("basis", [Monomial, Optimal, Bernstein])
def test_gradients_agree_with_finite_differences(mix: str, basis) -> None:
    graph, x = random_graph(9, directed=True, weighted=True, nodes=8), features(width=4, nodes=8)
    layer = Filter(3, MIXES[mix](), basis(), "symmetric-loops").double()

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        named = dict(zip([n for n, _ in layer.named_parameters()], parameters, strict=True))
        return torch.func.functional_call(layer, named, (x, graph))

    inputs = [x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in layer.parameters())]
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("basis", [Monomial, Optimal])
def test_renumbering_the_nodes_renumbers_the_result(mix: str, basis) -> None:
    graph, x = random_graph(10, directed=True, weighted=True), features(width=4)
    layer = Filter(3, MIXES[mix](), basis()).double()
    order = torch.randperm(NODES, generator=torch.Generator().manual_seed(0))
    place = torch.argsort(order)
    moved = Graph(place[graph.edge_index], NODES, directed=True, weight=graph.weight)
    torch.testing.assert_close(layer(x[order], moved), layer(x, graph)[order])


@pytest.mark.parametrize("directed", [False, True])
def test_sgc_is_pygs_with_copied_weights(directed: bool) -> None:
    graph, x = random_graph(11, directed).without_loops(), features(width=5, dtype=torch.float32)
    theirs = pyg.SGConv(5, 3, K=2)
    ours = Propagation(Filter(2, Weights(last(2))), dim=5)
    z = ours.embed({"x": x, "graph": graph}) @ theirs.lin.weight.T + theirs.lin.bias
    torch.testing.assert_close(z, theirs(x, graph.edge_index), rtol=1e-5, atol=1e-5)


def test_self_loops_that_exist_are_kept_as_pyg_keeps_them() -> None:
    ends = torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]])
    x = features(width=5, dtype=torch.float32, nodes=3)
    theirs = pyg.SGConv(5, 3, K=3)
    z = Filter(3, Weights(last(3)))(x, Graph(ends, 3)) @ theirs.lin.weight.T + theirs.lin.bias
    torch.testing.assert_close(z, theirs(x, ends), rtol=1e-5, atol=1e-5)


def test_appnp_is_pygs() -> None:
    graph, x = random_graph(12).without_loops(), features(width=5, dtype=torch.float32)
    z = Filter(10, Weights(geometric(10, 0.1)))(x, graph)
    torch.testing.assert_close(z, pyg.APPNP(K=10, alpha=0.1)(x, graph.edge_index), rtol=1e-5, atol=1e-5)


def test_chebnet_is_pygs_with_copied_weights_up_to_the_sign_of_odd_orders() -> None:
    graph, x = random_graph(13).without_loops(), features(width=5, dtype=torch.float32)
    for out in (3, 8):
        theirs = pyg.ChebConv(5, out, K=4)
        ours = Filter(3, Matrices(5, out, 3), Chebyshev(), "symmetric")
        with torch.no_grad():
            for k, linear in enumerate(theirs.lins):
                ours.mix.weight[k] = (-1) ** k * linear.weight.T
            ours.mix.bias.copy_(theirs.bias)
        torch.testing.assert_close(ours(x, graph), theirs(x, graph.edge_index), rtol=1e-5, atol=1e-5)


def test_many_steps_of_appnp_are_the_resolvent() -> None:
    graph, x = random_graph(14), features()
    s = torch.from_numpy(operator_of(graph).matrix().toarray())
    limit = 0.1 * torch.linalg.solve(torch.eye(NODES) - 0.9 * s, x)
    torch.testing.assert_close(Filter(300, Weights(geometric(300, 0.1)))(x, graph), limit)


def test_two_steps_of_sgc_are_a_linear_gcn_of_two_layers() -> None:
    graph, x = random_graph(15).without_loops(), features(width=5, dtype=torch.float32)
    first, second = pyg.GCNConv(5, 16, bias=False), pyg.GCNConv(16, 3)
    deep = second(first(x, graph.edge_index), graph.edge_index)
    w = second.lin.weight @ first.lin.weight
    flat = Filter(2, Weights(last(2)))(x, graph) @ w.T + second.bias
    torch.testing.assert_close(flat, deep, rtol=1e-5, atol=1e-5)


def test_fixed_coefficients_sum_to_one_and_learned_ones_start_there() -> None:
    assert sum(geometric(7, 0.3)) == pytest.approx(1)
    graph, x = random_graph(16), features()
    fixed, learned = Weights(geometric(4, 0.3)), Weights(geometric(4, 0.3), learned=True).double()
    torch.testing.assert_close(Filter(4, fixed)(x, graph), Filter(4, learned)(x, graph), rtol=1e-6, atol=1e-6)
    with pytest.raises(SemblanceError, match="restart"):
        geometric(3, 1.5)


def words(seed: int = 0, width: int = 12) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    x = torch.from_numpy((rng.random((NODES, width)) < 0.2) * rng.random((NODES, width))).float()
    x[3] = 0
    return x


@pytest.mark.parametrize("coefficients", [last(2), last(0), geometric(3, 0.2)])
def test_bags_of_words_are_propagated_as_their_dense_form(coefficients: list[float]) -> None:
    graph, x = random_graph(17), words()
    encoder = Propagation(Filter(len(coefficients) - 1, Weights(coefficients)), dim=12)
    nodes = torch.tensor([5, 3, 29, 5])
    full = encoder.forward({"x": x, "graph": graph})
    batch = {"x": x.to_sparse_csr(), "graph": graph, "nodes": nodes}
    torch.testing.assert_close(encoder.forward(batch), full)
    torch.testing.assert_close(encoder.embed(batch), full[nodes])
    torch.testing.assert_close(read_rows(x.to_sparse_csr(), torch.tensor([], dtype=torch.int64)), x[:0])


def test_propagated_features_are_computed_once_but_never_for_other_features() -> None:
    graph, x = random_graph(18), features(dtype=torch.float32)
    layer = Filter(2, Weights(last(2)))
    first = layer.blocks(x, graph)
    assert layer.blocks(x.clone(), graph) is first
    other = layer.blocks(x + 1, graph)
    torch.testing.assert_close(other[0], layer(x + 1, graph))
    assert Filter(3, Weights(last(3))).blocks(x, graph) is not layer.blocks(x, graph)
    kinds = [Filter(2, Weights([1.0] * 3), Chebyshev(kind)).blocks(x, graph)[0] for kind in (1, 2)]
    assert not torch.equal(*kinds)


def test_kept_terms_train_the_coefficients_on_the_rows_asked_for() -> None:
    graph, x = random_graph(19), features(dtype=torch.float32)
    mix = Weights([1.0] * 5, learned=True, channels=5)
    encoder = Propagation(Filter(4, mix, Optimal(), "symmetric"), dim=5)
    nodes = torch.tensor([1, 4])
    with torch.inference_mode():
        encoder.embed({"x": x, "graph": graph})  # what is kept from here must still serve training
    z = encoder.embed({"x": x, "graph": graph, "nodes": nodes})
    torch.testing.assert_close(z, encoder.filter(x, graph)[nodes])
    z.square().sum().backward()
    assert mix.value.grad is not None and mix.value.grad.abs().sum() > 0


def test_graphs_among_graphs_are_pooled() -> None:
    graph = replace(random_graph(20), member=torch.tensor([0] * 10 + [2] * 20), num_graphs=3, kept={})
    encoder = Propagation(Filter(1, Weights(last(1))), dim=5, readout="sum")
    states = encoder.forward({"x": features(), "graph": graph})
    z = encoder.embed({"x": features(), "graph": graph})
    torch.testing.assert_close(z, torch.stack([states[:10].sum(0), 0 * states[0], states[10:].sum(0)]))


def test_nodes_without_features_are_told_by_their_degree() -> None:
    graph = random_graph(21)
    z = Propagation(Filter(0, Weights(last(0))), dim=2).embed({"graph": graph, "nodes": torch.tensor([29, 0])})
    assert z[0].tolist() == [1.0, 0.0]
    assert z[1, 1] == pytest.approx(np.log1p(float(graph.rows().degree[0])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_map_of_sparse_rows_is_that_of_dense_ones_with_its_gradient(dtype: torch.dtype) -> None:
    x = words().to(dtype)
    layer = InputLinear(12, 7).to(dtype)
    with torch.no_grad():
        layer.bias.normal_()
    grads = []
    for form in (x, x.to_sparse_csr()):
        layer.zero_grad()
        y = layer(form)
        y.square().sum().backward()
        grads.append((y.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()))
    torch.testing.assert_close(grads[0], grads[1])


def test_dropout_on_sparse_rows_keeps_the_mean_and_acts_in_training_only() -> None:
    layer = InputLinear(12, 7, bias=False, dropout=0.5)
    x = words().to_sparse_csr()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mean = torch.stack([layer(x) for _ in range(2000)]).mean(0)
        assert not torch.equal(layer(x), layer(x))
    layer.eval()
    torch.testing.assert_close(mean, layer(x), rtol=0, atol=0.05)
    assert torch.equal(layer(x), layer(x))


def test_two_forwards_before_a_backward_give_the_gradients_of_each_alone() -> None:
    graph, layer = random_graph(22), Filter(2, Weights(geometric(2, 0.3)))
    linear = InputLinear(5, 4)
    xs = [features(s, dtype=torch.float32) for s in (1, 2)]
    alone = [torch.autograd.grad(layer(linear(x), graph).square().sum(), linear.weight)[0] for x in xs]
    both = torch.autograd.grad(sum(layer(linear(x), graph).square().sum() for x in xs), linear.weight)[0]
    torch.testing.assert_close(both, alone[0] + alone[1])


def test_new_nodes_are_embedded_by_propagating_over_the_graph_that_has_them() -> None:
    graph, x = random_graph(23), features(dtype=torch.float32)
    encoder = Propagation(Filter(2, Weights(last(2))), dim=5)
    encoder.embed({"x": x, "graph": graph})
    ends = torch.cat([graph.edge_index, torch.tensor([[NODES, 0], [0, NODES]])], 1)
    larger = Graph(ends, NODES + 1)
    grown = torch.cat([x, torch.ones(1, 5)])
    z = encoder.embed({"x": grown, "graph": larger, "nodes": torch.tensor([NODES])})
    s = torch.from_numpy(operator_of(larger).matrix().toarray()).float()
    torch.testing.assert_close(z, (s @ s @ grown)[NODES:])
