"""The sum over neighbours against the dense matrix it stands for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph, grouped
from semblance.geometry.lent import lender_of
from semblance.geometry.products import ends, spread


def entries(targets, sources, count, seed=0):
    """Rows and columns of random entries (repeated ones too), and their ends."""
    chance = torch.Generator().manual_seed(seed)
    i = torch.randint(0, targets, (count,), generator=chance) if count else torch.empty(0, dtype=torch.int64)
    j = torch.randint(0, sources, (count,), generator=chance) if count else torch.empty(0, dtype=torch.int64)
    return grouped(j, i, targets), grouped(i, j, sources), i, j


def draw(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def dense(i, j, targets, sources, weight, left, right, own):
    """[targets, sources], entry by entry."""
    matrix = torch.zeros(targets, sources, dtype=torch.float64)
    for e in range(len(i)):
        matrix[i[e], j[e]] += 1.0 if weight is None else weight[e]
    if own is not None:
        matrix = matrix + torch.diag(own if isinstance(own, torch.Tensor) and own.ndim else torch.full((targets,), own))
    matrix = matrix if right is None else matrix * right[None]
    return matrix if left is None else left[:, None] * matrix


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 9),
    st.integers(1, 9),
    st.integers(0, 30),
    st.sampled_from([1, 8, 13, 70, 150]),
    st.integers(0, 15),
)
def test_the_sum_is_the_product_with_the_dense_matrix_and_so_is_its_gradient(targets, sources, count, width, which):
    count = count if targets else 0
    rows, columns, i, j = entries(targets, sources, count)
    weight = draw(count) if which & 1 else None
    left, right = (draw(targets, seed=2) if which & 2 else None), (draw(sources, seed=3) if which & 4 else None)
    own = draw(targets, seed=4) if which & 8 and targets == sources else None
    matrix = dense(i, j, targets, sources, weight, left, right, own)
    x, g = draw(sources, width, seed=5), draw(targets, width, seed=6)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        given_x = x.clone().to(dtype).requires_grad_()
        factors = [None if v is None else v.to(dtype) for v in (weight, left, right, own)]
        out = spread(rows, columns, given_x, *factors)
        torch.testing.assert_close(out.double(), matrix @ x, atol=tolerance, rtol=tolerance)
        out.backward(g.to(dtype))
        torch.testing.assert_close(given_x.grad.double(), matrix.T @ g, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("heads, width", [(1, 5), (3, 12), (2, 160)])
def test_weights_by_block_get_the_gradient_of_the_plain_way(heads, width):
    rows, columns, *_ = entries(7, 5, 20)
    factors = {"left": draw(7, seed=2), "right": draw(5, seed=3)}
    results = []
    for dtype in (torch.float64, torch.float32):
        weight, x = (v.to(dtype).requires_grad_() for v in (draw(20, heads, seed=4), draw(5, width, seed=5)))
        out = spread(rows, columns, x, weight, **{k: v.to(dtype) for k, v in factors.items()})
        out.backward(draw(7, width, seed=6).to(dtype))
        results.append([v.double() for v in (out, weight.grad, x.grad)])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(plain, compiled, atol=2e-5, rtol=1e-4)


def test_every_factor_gets_its_gradient():
    rows, columns, *_ = entries(6, 6, 15)
    values = [draw(*shape, seed=k).requires_grad_() for k, shape in enumerate([(6, 3), (15,), (6,), (6,), (6,)])]
    assert torch.autograd.gradcheck(lambda *v: spread(rows, columns, *v), values)


def test_two_forwards_before_one_backward_keep_their_gradients_apart():
    rows, columns, i, j = entries(50, 50, 300)
    matrix = dense(i, j, 50, 50, None, None, None, None)
    xs = [draw(50, 16, seed=s, dtype=torch.float32).requires_grad_() for s in (1, 2)]
    outs = [spread(rows, columns, x) for x in xs]
    later = spread(rows, columns, xs[0].detach() * 5)
    for out, x in zip(outs, xs, strict=True):
        torch.testing.assert_close(out.double(), matrix @ x.detach().double(), atol=1e-4, rtol=1e-4)
    (outs[0] * outs[1]).sum().backward()
    torch.testing.assert_close(xs[0].grad, matrix.T.float() @ outs[1].detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(xs[1].grad, matrix.T.float() @ outs[0].detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(later, 5 * outs[0].detach(), atol=1e-4, rtol=1e-4)


def test_a_step_takes_no_new_memory_once_it_has_run():
    rows, columns, *_ = entries(500, 500, 3000)
    x = draw(500, 32, dtype=torch.float32).requires_grad_()
    for _ in range(2):
        spread(rows, columns, x).sum().backward()
    before = len(lender_of(rows).free)
    for _ in range(5):
        spread(rows, columns, x).sum().backward()
    assert len(lender_of(rows).free) <= before + 1


def test_the_number_of_threads_changes_no_bit():
    chance = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(0, 4000, (2, 80_000), generator=chance), 4000, directed=True)
    x = draw(4000, 24, dtype=torch.float32)
    before = torch.get_num_threads()
    outs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outs.append(spread(graph.rows(), graph.columns(), x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2])


def test_a_derivative_of_the_compiled_gradient_is_refused_and_not_silently_zero():
    rows, columns, *_ = entries(5, 5, 9)
    x = draw(5, 3, dtype=torch.float32).requires_grad_()
    (g,) = torch.autograd.grad((spread(rows, columns, x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_infinite_and_missing_numbers_stay_in_their_rows_and_columns():
    rows, columns, i, j = entries(6, 6, 12)
    x = draw(6, 3, dtype=torch.float32)
    x[2, 1] = torch.inf
    out = spread(rows, columns, x)
    reached = np.zeros((6, 3), bool)
    reached[i[j == 2].numpy(), 1] = True
    assert np.array_equal(~np.isfinite(out.numpy()), reached)


def test_wrong_shapes_are_said():
    rows, columns, *_ = entries(4, 5, 9)
    with pytest.raises(SemblanceError, match="x has 3 rows, but there are 5 sources"):
        spread(rows, columns, torch.zeros(3, 2))
    with pytest.raises(SemblanceError, match="4 targets and 5 sources differ"):
        spread(rows, columns, torch.zeros(5, 2), own=1.0)
    with pytest.raises(SemblanceError, match="do not split into 2 equal blocks"):
        spread(rows, columns, torch.zeros(5, 3), weight=torch.zeros(9, 2))


def test_ends_are_those_of_the_edge_list_in_the_order_of_the_rows():
    rows, _, i, j = entries(4, 5, 9)
    target, source = ends(rows)
    order = torch.from_numpy(rows.order)
    assert torch.equal(i[order], target) and torch.equal(j[order], source)
