"""Codebooks: the nearest code by cosine, its gradient, running means; edges read back without forming a pair."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semblance.encoders.graphs.alone import Alone
from semblance.encoders.graphs.codes import Codes, Tokenised, edge_error
from semblance.encoders.graphs.message import Sage
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph

NODES = 12


def a_graph(seed=0):
    ends = torch.from_numpy(np.random.default_rng(seed).integers(0, NODES, (2, 25)))
    return Graph(torch.cat([ends, ends.flip(0)], 1).unique(dim=1), NODES)


def test_a_state_takes_the_code_of_largest_cosine_and_the_gradient_passes_straight_through():
    torch.manual_seed(0)
    codes, h = Codes(5, 4).eval(), torch.randn(NODES, 4, requires_grad=True)
    chosen, number = codes(h)
    nearest = torch.stack([F.cosine_similarity(h, code[None]) for code in codes.codes], 1).argmax(1)
    assert torch.equal(number, nearest)
    torch.testing.assert_close(chosen, codes.codes[nearest])
    slope = torch.randn(NODES, 4)
    (chosen * slope).sum().backward()
    assert torch.equal(h.grad, slope)


def test_codes_begin_as_states_and_follow_them_as_running_means():
    torch.manual_seed(0)
    codes, h = Codes(4, 3, decay=0.6).train(), torch.randn(NODES, 3)
    codes(h)
    first = codes.codes.clone()
    again = h + 0.5
    number = codes.numbers(again)
    mass, total = codes.mass.clone(), codes.total.clone()
    codes(again)
    for c in range(4):
        mine = again[number == c]
        mass[c] = 0.6 * mass[c] + 0.4 * len(mine)
        total[c] = 0.6 * total[c] + 0.4 * mine.sum(0)
        torch.testing.assert_close(codes.codes[c], total[c] / mass[c] if len(mine) else first[c])
    codes.eval()
    held = codes.codes.clone()
    codes(h)
    assert torch.equal(codes.codes, held)


def test_a_code_that_nobody_takes_any_more_becomes_a_state_again():
    torch.manual_seed(0)
    codes = Codes(6, 3, decay=0.5).train()
    codes(torch.randn(NODES, 3))
    far = torch.tensor([[5.0, 5.0, 5.0]]) + 0.1 * torch.randn(NODES, 3)
    for _ in range(8):
        codes(far)
    near = torch.cdist(codes.codes, far).min(1).values
    assert near.max() < 1 and len(codes.numbers(far).unique()) > 1


def test_a_book_larger_than_the_graph_has_no_code_twice():
    torch.manual_seed(0)
    codes = Codes(5 * NODES, 3).train()
    codes(torch.randn(NODES, 3))
    assert len(codes.codes.unique(dim=0)) == 5 * NODES


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_of_the_edges_is_that_of_all_pairs(dtype):
    torch.manual_seed(0)
    graph, x = a_graph(), torch.randn(NODES, 5, dtype=dtype, requires_grad=True)
    apart = ~torch.eye(NODES, dtype=torch.bool)
    adjacency = torch.zeros(NODES, NODES, dtype=dtype)
    adjacency[graph.edge_index[0], graph.edge_index[1]] = 1
    unit = F.normalize(x, dim=1)
    slow = (adjacency - (1 + unit @ unit.T) / 2)[apart].square().mean()
    fast = edge_error(x, graph)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(*(torch.autograd.grad(v, x)[0] for v in (fast, slow)), rtol=1e-4, atol=1e-6)


def test_the_penalty_reaches_both_decoders_and_is_left_in_training_only():
    torch.manual_seed(0)
    encoder = Tokenised(Sage(6, 6), Sage(6, 3), Codes(5, 6))
    batch = {"x": torch.randn(NODES, 6), "graph": a_graph()}
    encoder.train()(batch)
    encoder.penalty.backward()
    assert encoder.state.weight.grad.abs().max() > 0 and encoder.link.weight.grad.abs().max() > 0
    encoder.penalty = 0.0
    z = encoder.eval().embed({**batch, "nodes": torch.tensor([3])})
    assert encoder.penalty == 0.0 and z.shape == (1, 3)
    assert torch.equal(encoder.numbers(batch), encoder.codes.numbers(encoder.tokens(batch)))


def test_a_node_alone_needs_no_graph_and_reads_its_own_row():
    torch.manual_seed(0)
    encoder, x = Alone(6, 4, layers=2).eval(), torch.randn(NODES, 6)
    every = encoder({"x": x})
    poisoned = torch.full_like(x, torch.nan)
    poisoned[5] = x[5]
    torch.testing.assert_close(encoder.embed({"x": poisoned, "nodes": torch.tensor([5])}), every[5:6])
    sparse = encoder.embed({"x": x.to_sparse_csr(), "nodes": torch.tensor([5, 0])})
    torch.testing.assert_close(sparse, every[[5, 0]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Codes(1, 3), "2 codes"),
        (lambda: Codes(4, 3, 1.0), "share"),
        (lambda: Alone(0, 3), "no features"),
    ],
)
def test_wrong_sizes_are_told(make, words):
    with pytest.raises(SemblanceError, match=words):
        make()
