"""Hyperedges and codes as targets, each against its equation written as loops."""

import pytest
import torch
from torch import nn

from semblance.encoders.graphs.codes import Codes
from semblance.geometry.hypergraph import Hypergraph
from semblance.objectives.distil.codes import SoftCodes
from semblance.objectives.distil.hyperedges import ReliableHyperedges, disturbed

MEMBERS = [[0, 1, 2], [2, 3], [4, 5, 0], [5]]
NODE = torch.tensor([v for members in MEMBERS for v in members])
EDGE = torch.tensor([e for e, members in enumerate(MEMBERS) for _ in members])


def hypergraph():
    return Hypergraph(NODE, EDGE, 6, 4)


class Reads(nn.Module):
    """A teacher whose answer is a linear map of the features."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 4)

    def forward(self, batch):
        return self.map(batch["x"])


def asked(noise=1.0):
    torch.manual_seed(0)
    x = torch.randn(6, 3)
    x[5] = 0  # noise multiplies, so what is zero stays
    batch, teacher, target = {"x": x, "graph": hypergraph()}, Reads(), ReliableHyperedges(lambda g: g, 1.5, noise)
    with torch.no_grad():
        target.ask(teacher, batch)
    return batch, teacher, target


def test_agreement_on_hyperedges_is_what_loops_give():
    batch, teacher, target = asked()
    logits = torch.randn(6, 4)
    p, q = (teacher(batch) / 1.5).softmax(1).detach(), (logits / 1.5).softmax(1)
    each = []
    for members in MEMBERS:
        a, b = p[members].mean(0), q[members].mean(0)
        each.append((a * (a / b).log()).sum())
    assert target.eval()(torch.empty(0), logits, batch).item() == pytest.approx(
        torch.stack(each).mean().item(), rel=1e-5
    )
    torch.manual_seed(1)
    drawn = torch.rand(4) < target.reliability
    torch.manual_seed(1)
    found = target.train()(torch.empty(0), logits, batch)
    assert found.item() == pytest.approx(torch.stack(each)[drawn].mean().item(), rel=1e-5)


def test_a_hyperedge_that_noise_does_not_reach_is_reliable_and_the_most_swayed_one_is_not():
    _, _, target = asked()
    assert target.reliability[3] == 1  # its only node has no features
    assert target.reliability.min() == 0 and (target.reliability <= 1).all()


def test_noise_strikes_stored_values_of_sparse_features_only():
    x = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    noisy = disturbed(x.to_sparse_csr(), 1.0).to_dense()
    assert ((noisy == 0) == (x == 0)).all() and not torch.equal(noisy, x)
    torch.manual_seed(0)
    half = disturbed(x, 0.5)
    torch.manual_seed(0)
    torch.testing.assert_close(half, disturbed(x, 1.0) / 2)


def test_soft_codes_are_a_softmax_of_distances_and_equal_states_have_nothing_to_learn():
    torch.manual_seed(0)
    h = torch.randn(6, 3)

    class Teacher(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Module()
            self.encoder.codes = Codes(5, 3)
            self.encoder.tokens = lambda batch: h

    teacher, target = Teacher(), SoftCodes(3, 3, temperature=0.7)
    target.ask(teacher, {})
    distance = torch.stack([(v - c).norm() for v in h for c in teacher.encoder.codes.codes]).view(6, 5)
    torch.testing.assert_close(target.p, (-distance / 0.7).softmax(1), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        target.map.weight.copy_(torch.eye(3))
        target.map.bias.zero_()
    assert abs(target(h, torch.empty(0), {}).item()) < 1e-6
    assert target(h + 1, torch.empty(0), {}).item() > 1e-3
