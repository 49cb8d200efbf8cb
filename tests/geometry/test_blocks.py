"""Block operators: against the sparse builder, against plain torch, and by finite differences."""

import numpy as np
import pytest
import torch

from semblance.errors import SemblanceError
from semblance.geometry.blocks import Blocks, _plain, blocks_of, inverse_root, scaling
from semblance.geometry.graph import Graph
from semblance.geometry.pairs import pairs_of
from semblance.geometry.sheaves import sheaf_laplacian


def a_sheaf(d, diagonal=False, nodes=11, edges=40, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    graph = Graph(torch.randint(0, nodes, (2, edges), generator=draw), nodes, directed=True)
    pairs = pairs_of(graph)
    shape = (len(pairs), d) if diagonal else (len(pairs), d, d)
    low, high = (torch.randn(shape, generator=draw, dtype=dtype) for _ in range(2))
    return pairs, low, high


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("how", ["none", "block"])
def test_blocks_are_the_sheaf_laplacian_of_the_builder(diagonal, how):
    pairs, low, high = a_sheaf(3, diagonal)
    maps = [torch.diag_embed(m).numpy() if diagonal else m.numpy() for m in (low, high)]
    expected = sheaf_laplacian(torch.stack([pairs.low, pairs.high]), *maps, np.full(11, 3), how)
    found = blocks_of(pairs, low, high).normalised(how)
    np.testing.assert_allclose(found.laplacian().matrix.toarray(), expected.matrix.toarray(), atol=1e-9)
    x = torch.randn(11, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(found.apply(x).reshape(33, 4), expected.matrix @ x.reshape(33, 4).numpy(), atol=1e-9)


@pytest.mark.parametrize(("d", "f", "diagonal"), [(1, 3, False), (3, 20, True), (3, 20, False), (5, 33, False)])
def test_compiled_passes_agree_with_plain_torch_in_value_and_gradient(d, f, diagonal):
    pairs, low, high = a_sheaf(d, diagonal, dtype=torch.float32)
    draw = torch.Generator().manual_seed(2)
    own = torch.randn(low[:1].shape[1:].numel() * 11, generator=draw).reshape(11, *low.shape[1:])
    own = own if diagonal else own + own.transpose(1, 2)
    x, g = (torch.randn(11, d, f, generator=draw) for _ in range(2))
    cross = low * high if diagonal else low.transpose(1, 2) @ high
    given = [one.clone().requires_grad_() for one in (cross, own, x)]
    doubled = [one.double().clone().requires_grad_() for one in (cross, own, x)]
    found = Blocks(pairs, given[0], given[1]).apply(given[2])
    expected = _plain(pairs, *doubled)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)
    found.backward(g)
    expected.backward(g.double())
    for mine, theirs in zip(given, doubled, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=1e-4, rtol=1e-4)


def test_two_products_before_a_backward_keep_their_own_gradients():
    pairs, low, high = a_sheaf(3, dtype=torch.float32)
    operator = blocks_of(pairs, low, high)
    first, second = (torch.randn(11, 3, 20, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    alone = []
    for x in (first, second):
        cross = operator.cross.clone().requires_grad_()
        (Blocks(pairs, cross, operator.own).apply(x) ** 2).sum().backward()
        alone.append(cross.grad.clone())
    crosses = [operator.cross.clone().requires_grad_() for _ in range(2)]
    outs = [Blocks(pairs, c, operator.own).apply(x) for c, x in zip(crosses, (first, second), strict=True)]
    for out in outs:
        (out**2).sum().backward()
    for cross, expected in zip(crosses, alone, strict=True):
        assert torch.equal(cross.grad, expected)


@pytest.mark.parametrize("how", ["none", "block", "entries"])
@pytest.mark.parametrize("diagonal", [True, False])
def test_gradients_of_the_maps_are_those_of_finite_differences(how, diagonal):
    pairs, low, high = a_sheaf(2, diagonal, nodes=4, edges=5)
    x = torch.randn(4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def applied(low, high, x):
        return blocks_of(pairs, low, high, ridge=1e-3).normalised(how, 0.1).apply(x)

    assert torch.autograd.gradcheck(applied, [one.requires_grad_() for one in (low, high, x)])


def test_the_inverse_root_has_a_gradient_where_eigenvalues_meet_and_where_they_are_clamped():
    blocks = torch.stack(
        [torch.eye(3), torch.diag(torch.tensor([2.0, 2.0, 1.0])), torch.diag(torch.tensor([1.0, 1e-8, 3.0]))]
    )
    blocks = blocks.double().requires_grad_()
    found = inverse_root(blocks)
    torch.testing.assert_close(found[:2] @ found[:2] @ blocks[:2], torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    found.sum().backward()
    assert torch.isfinite(blocks.grad).all()

    def symmetric(b):
        return inverse_root(0.5 * (b + b.transpose(1, 2)), floor=0.3)

    draw = torch.randn(3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(symmetric, (draw @ draw.transpose(1, 2)).requires_grad_())


def test_a_graph_without_edges_has_the_ridge_alone():
    pairs = pairs_of(Graph(torch.empty(2, 0, dtype=torch.int64), 3))
    x = torch.ones(3, 2, 5)
    found = blocks_of(pairs, torch.empty(0, 2, 2), torch.empty(0, 2, 2), ridge=0.5).apply(x)
    torch.testing.assert_close(found, 0.5 * x)


def test_an_unknown_normalisation_is_answered_with_the_known_ones():
    with pytest.raises(SemblanceError, match="no normalisation 'blok': did you mean block"):
        scaling(torch.ones(1, 2), "blok")


def test_normalised_by_its_entries_an_operator_has_ones_on_its_diagonal():
    pairs, low, high = a_sheaf(3)
    before, after = (blocks_of(pairs, low, high, ridge=1e-3).normalised(how).laplacian() for how in ("none", "entries"))
    before, after = before.matrix.toarray(), after.matrix.toarray()
    np.testing.assert_allclose(np.diag(after), 1)
    root = np.diag(before) ** 0.5
    np.testing.assert_allclose(after * root[:, None] * root, before, atol=1e-12)


def test_a_folded_operator_is_the_same_without_a_scale():
    pairs, low, high = a_sheaf(2)
    operator = blocks_of(pairs, low, high).normalised("block", 1.0)
    x = torch.randn(11, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert operator.folded().scale is None
    torch.testing.assert_close(operator.folded().apply(x), operator.apply(x))
